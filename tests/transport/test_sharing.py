"""One store, several builds: pulling at once, and being killed while pulling."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from builder.layer.compression import open_decompressed
from builder.oci.platform import Platform
from builder.store.store import open_store
from builder.store.verify import verify_store
from builder.transport.resolver import Resolver
from tests.support.registry import FakeRegistry, make_image

AMD64 = Platform("linux", "amd64")


def _pull(root: str, name: str) -> int:
    """Pull in a process of its own; returns its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with open_store(root) as store, store.lease():
                resolver = Resolver(store)
                resolver.layers(resolver.resolve(name, AMD64).manifest_digest)
            code = 0
        finally:
            os._exit(code)
    return child


def test_processes_that_pull_the_same_image_at_once_all_get_it(tmp_path: Path) -> None:
    layers = [{f"file{number}": os.urandom(200_000)} for number in range(6)]
    with FakeRegistry() as registry:
        name = registry.add_image("library/x", "1", make_image(layers))
        children = [_pull(str(tmp_path / "store"), name) for _ in range(4)]
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    with open_store(str(tmp_path / "store")) as store:
        assert verify_store(store, open_decompressed, remarks=True) == ()
        assert len(list(store.blobs.walk())) == 8


def test_a_pull_that_is_killed_can_be_taken_up_again(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    layers = [{f"file{number}": os.urandom(400_000)} for number in range(8)]
    with FakeRegistry() as registry:
        name = registry.add_image("library/x", "1", make_image(layers))
        for number in range(10):
            child = _pull(root, name)
            before = len(registry.requests)
            while len(registry.requests) == before and os.waitpid(child, os.WNOHANG)[0] == 0:
                time.sleep(0.001)
            time.sleep(0.004 * number)
            try:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            except (ProcessLookupError, ChildProcessError):
                break  # it had finished before
            with open_store(root) as store:
                assert [finding for finding in verify_store(store, open_decompressed) if finding.is_error] == []
        assert os.waitpid(_pull(root, name), 0)[1] == 0
    with open_store(root) as store:
        assert verify_store(store, open_decompressed, remarks=True) == ()
        assert os.listdir(f"{root}/tmp") == []


def test_no_thread_stays_behind_since_namespaces_are_entered_by_a_single_one(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with FakeRegistry() as registry, open_store(str(tmp_path / "store")) as store:
        name = registry.add_image("library/x", "1", make_image([{f"f{n}": os.urandom(6 << 20)} for n in range(3)]))
        resolver = Resolver(store)
        resolver.layers(resolver.resolve(name, AMD64).manifest_digest)
    assert set(threading.enumerate()) <= before
