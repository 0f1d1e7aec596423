"""Stores and image layouts of another machine: over a real sshd where one is installed, and else over a shell."""

from __future__ import annotations

import fcntl
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import DigestMismatch, TransportError, UsageError
from builder.layer.compression import open_decompressed
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.reference import parse_reference
from builder.store.prune import prune
from builder.store.store import Store, open_store
from builder.store.verify import verify_store
from builder.transport.copy import copy_image
from builder.transport.places.location import parse_location
from builder.transport.places.opening import open_destination, open_source
from builder.transport.places.store import StoreDestination
from tests.support.registry import sha256
from tests.transport.test_places import IMAGE, INDEX, NAME, OTHER, Memory, client

FAKE = """#!/bin/sh
echo "$@" >>"{folder}/calls"
for last; do :; done
{before}exec sh -c "$last"
"""
BLOB = max(IMAGE.blobs, key=lambda digest: len(IMAGE.blobs[digest]))


def fake_ssh(folder: Path, before: str = "") -> dict[str, str]:
    """An environment in which `ssh` is a program that runs the command here, after `before`."""
    program = folder / "bin" / "ssh"
    program.parent.mkdir(exist_ok=True)
    program.write_text(FAKE.format(folder=folder, before=before))
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


@pytest.fixture
def fake(tmp_path: Path) -> dict[str, str]:
    return fake_ssh(tmp_path)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The beginning of a location, and the environment, for a real sshd that lets in whoever runs the tests."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    if program is None:
        pytest.skip("sshd is not installed")
    folder = tmp_path_factory.mktemp("sshd")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    options = (
        *("ListenAddress=127.0.0.1", f"Port={port}", f"HostKey={folder}/host", f"PidFile={folder}/pid"),
        *(f"AuthorizedKeysFile={folder}/user.pub", "StrictModes=no", "UsePAM=no", "PermitRootLogin=yes"),
    )
    words = [word for option in options for word in ("-o", option)]
    with subprocess.Popen([program, "-D", "-e", "-f", "/dev/null", *words], stderr=subprocess.PIPE) as server:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert server.poll() is None, server.stderr and server.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        known = f"-o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known"
        ssh = f"ssh -F none -i {folder}/user -o BatchMode=yes {known}"
        try:
            yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}", dict(os.environ) | {"PYBUILD_SSH": ssh}
        finally:
            server.terminate()


def send(store: Store, where: str, environ: dict[str, str], what: str = "one", source: Memory | None = None) -> Memory:
    """Copy what `Memory` calls `what`; return the source, which knows what it gave."""
    source = source or Memory()
    location = parse_location(where)
    with open_destination(location, store, client(), environ) as destination:
        copy_image(source, destination, what, names=location.names or [NAME])
    return source


def fetch(store: Store, where: str, environ: dict[str, str], target: Path) -> Digest:
    """Copy an image of another machine to a store at `target`, and return its digest."""
    location = parse_location(where)
    with open_store(str(target)) as other, open_source(location, store, client(), environ) as source:
        documents = copy_image(source, StoreDestination(other), location.image, names=[NAME])
        assert verify_store(other, open_decompressed) == ()
    return documents.top.descriptor.digest


def test_only_what_is_missing_goes_to_a_layout_and_it_comes_back(
    store: Store, fake: dict[str, str], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    assert set(send(store, f"ssh://host{there}:v1", fake).given) >= set(IMAGE.blobs)
    assert send(store, f"ssh://host{there}:v2", fake).given == []
    assert set(send(store, f"ssh://host{there}:all", fake, "all").given) == {*OTHER.blobs, *INDEX.blobs} - set(
        IMAGE.blobs
    )
    assert not (there / ".incoming").exists()
    for name, digest in (("v1", IMAGE.digest), ("all", INDEX.digest)):
        assert fetch(store, f"ssh://host{there}:{name}", fake, tmp_path / "back") == digest
    with open_source(parse_location(f"oci:{there}:v2"), store, client()) as source:
        assert source.manifest("v2").descriptor.digest == IMAGE.digest


def test_a_real_ssh_carries_it_too(store: Store, sshd: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    beginning, environ = sshd
    there = tmp_path / "a 'quoted' $name"
    assert send(store, f"{beginning}{there}:v1", environ).given
    assert send(store, f"{beginning}{there}:v1", environ).given == []
    assert fetch(store, f"{beginning}{there}:v1", environ, tmp_path / "back") == IMAGE.digest
    wrong = environ | {"PYBUILD_SSH": environ["PYBUILD_SSH"].replace("/user ", "/gone ")}
    with pytest.raises(TransportError, match=r"the connection ended: .*Permission denied"):
        send(store, f"{beginning}{there}:v1", wrong)


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed")
def test_a_store_there_stays_a_store(store: Store, fake: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "store there"
    with open_store(str(path)) as other, other.lease():
        send(store, f"ssh://host{path}:team/app:2", fake)
        assert other.leases.running() == 1, "the lease is gone with the shell"
        named = other.names.get(parse_reference("team/app:2"))
        assert named.digest == IMAGE.digest
        assert verify_store(other, open_decompressed) == ()
        send(store, f"ssh://host{path}", fake)
        assert [name for name, _ in other.names.items()] == [str(NAME), "docker.io/team/app:2"]
    assert fetch(store, f"ssh://host{path}:team/app:2", fake, tmp_path / "back") == IMAGE.digest


@pytest.mark.parametrize("rest", ["same", "other"])
def test_a_transfer_goes_on_where_it_broke_off(store: Store, fake: dict[str, str], tmp_path: Path, rest: str) -> None:
    class Breaking(Memory):
        def blob(self, descriptor: Descriptor, sink: object) -> None:
            if descriptor.digest == BLOB:
                sink.write(self.blobs[BLOB][:3])  # type: ignore[attr-defined]
                raise TransportError("the line broke")
            super().blob(descriptor, sink)  # type: ignore[arg-type]

    there = tmp_path / "there"
    with pytest.raises(TransportError, match="the line broke"):
        send(store, f"ssh://host{there}:v1", fake, source=Breaking())
    part = there / ".incoming" / BLOB.partition(":")[2]
    assert part.read_bytes() == IMAGE.blobs[BLOB][:3]
    assert not (there / "index.json").exists()
    if rest == "other":
        part.write_bytes(b"xyz")
    source = send(store, f"ssh://host{there}:v1", fake)
    assert source.given.count(BLOB) == (2 if rest == "other" else 1)
    assert (there / "blobs/sha256" / BLOB.partition(":")[2]).read_bytes() == IMAGE.blobs[BLOB]


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed")
def test_parts_that_nobody_finishes_go_after_a_week_and_never_while_somebody_writes(
    store: Store, fake: dict[str, str], tmp_path: Path
) -> None:
    there, week = tmp_path / "there", time.time() - 8 * 86_400
    with open_store(str(there)) as other:
        (there / ".incoming").mkdir()
        held, old, young = parts = [there / ".incoming" / name for name in ("held", "old.17", "young")]

        def begin() -> None:
            for part in parts:
                part.write_bytes(b"x")
                os.utime(part, (week, week) if part != young else None)

        with held.open("wb") as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            begin()
            send(store, f"ssh://host{there}:team/app:1", fake)
            assert [part.exists() for part in parts] == [True, False, True]
            begin()
            assert prune(other, dry_run=True).bytes > 0
            assert old.exists()
            prune(other)
            assert [part.exists() for part in parts] == [True, False, True]
        young.unlink()
        prune(other)
        assert not (there / ".incoming").exists()
        assert verify_store(other, open_decompressed) == ()


def test_what_is_damaged_there_is_sent_again_and_wrong_bytes_are_refused(
    store: Store, fake: dict[str, str], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    send(store, f"ssh://host{there}:v1", fake)
    path = there / "blobs/sha256" / BLOB.partition(":")[2]
    path.write_bytes(b"x" * len(IMAGE.blobs[BLOB]))
    # A source that vouches for its bytes is not digested here: the other machine finds out.
    with pytest.raises(DigestMismatch, match="other bytes: their digest is sha256:"):
        send(store, f"ssh://host{there}:v1", fake, source=Memory(wrong=BLOB, is_checked=True))
    assert send(store, f"ssh://host{there}:v1", fake).given == [BLOB]
    assert sha256(path.read_bytes()) == BLOB


@pytest.mark.parametrize("lacks", ["flock", "head", "both"])
def test_little_is_needed_there(store: Store, tmp_path: Path, lacks: str) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    needed = (
        "sh",
        "cat",
        "cut",
        "date",
        "dd",
        "chmod",
        "ls",
        "mkdir",
        "mv",
        "rm",
        "rmdir",
        "sha256sum",
        "sleep",
        "sync",
    )
    missing = {"both": {"head", "flock"}}.get(lacks, {lacks})
    for name in {*needed, "tail", "tr", "wc", "head", "flock"} - missing:
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    environ = fake_ssh(tmp_path, f"PATH={tools}; echo motd\n")
    there = tmp_path / "there"
    send(store, f"ssh://host{there}:v1", environ)
    assert send(store, f"ssh://host{there}:v1", environ).given == []
    assert fetch(store, f"ssh://host{there}:v1", environ, tmp_path / "back") == IMAGE.digest
    assert not {".incoming", ".lock"} & set(os.listdir(there))
    with open_store(str(tmp_path / "a store")):
        pass
    if lacks != "head":
        with pytest.raises(TransportError, match=r"that machine has no flock\(1\)"):
            send(store, f"ssh://host{tmp_path}/a store", environ)


def test_ssh_is_asked_as_it_wants_to_be(store: Store, tmp_path: Path) -> None:
    environ = fake_ssh(tmp_path)
    send(store, f"ssh://me@host:2222{tmp_path}/there", environ)
    assert (tmp_path / "calls").read_text().startswith("-T -p 2222 me@host sh -c ")
    own = environ | {"PYBUILD_SSH": "ssh -i 'a key'"}
    send(store, f"ssh://host{tmp_path}/there", own)
    assert "\n-i a key -T host sh -c " in (tmp_path / "calls").read_text()


def test_what_goes_wrong_is_said(store: Store, tmp_path: Path, fake: dict[str, str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    with pytest.raises(TransportError, match="gone does not exist: not found"):
        fetch(store, f"ssh://host{tmp_path}/gone:v1", fake, tmp_path / "back")
    with pytest.raises(TransportError, match="no store, no image layout, and not empty"):
        send(store, f"ssh://host{tmp_path}/full", fake)
    with pytest.raises(TransportError, match="ssh cannot be started: no such file"):
        send(store, f"ssh://host{tmp_path}/x", {"PATH": "/nowhere"})
    with pytest.raises(TransportError, match="the connection ended: no such host"):
        send(store, f"ssh://host{tmp_path}/x", fake_ssh(tmp_path, "echo no such host >&2; exit 255\n"))


@pytest.mark.parametrize("text", ["ssh://host", "ssh://-oProxyCommand=x/y", "ssh://-x@host/y", "ssh://h:99999/y"])
def test_attack_a_machine_is_never_an_option(text: str) -> None:
    with pytest.raises(UsageError):
        parse_location(text)


def test_another_store_of_this_machine_takes_exact_bytes(store: Store, tmp_path: Path) -> None:
    send(store, f"store:{tmp_path}/other:team/app:1", {})
    assert send(store, f"store:{tmp_path}/other:team/app:2", {}).given == []
    assert fetch(store, f"store:{tmp_path}/other:team/app:1", {}, tmp_path / "back") == IMAGE.digest
    with pytest.raises(TransportError, match="is not a store: not found"):
        fetch(store, f"store:{tmp_path}/gone:app", {}, tmp_path / "back")
    assert str(parse_location("store:1")) == "store:1", "an image of that name"
