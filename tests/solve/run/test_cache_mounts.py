"""Sharing of cache mounts between threads and processes: who waits for whom, and who gets a directory of their own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import Cancelled
from builder.plan.step import CacheMount
from builder.solve.run.cache_mounts import CacheMounts, CacheRequest


def caches(root: Path) -> CacheMounts:
    return CacheMounts(str(root / "mounts"), str(root / "trash"), owners=os.geteuid() == 0)


def request(sharing: str, identifier: str = "id", target: str = "/c") -> CacheRequest:
    return CacheRequest(mount=CacheMount(identifier=identifier, target=target, sharing=sharing))  # type: ignore[arg-type]


def in_child(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def hold(root: Path, sharing: str, seconds: float, log: Path) -> None:
    with caches(root).acquire([request(sharing)], empty=False, cancel=threading.Event()) as (path,):
        with open(log, "a") as file:
            file.write(f"in {os.path.basename(path)}\n")
        time.sleep(seconds)
        with open(log, "a") as file:
            file.write("out\n")


@pytest.mark.rule("M-4")
@pytest.mark.parametrize(
    ("sharing", "expected"),
    [
        ("locked", ["in 0", "out", "in 0", "out", "in 0", "out"]),
        ("shared", ["in 0", "in 0", "in 0", "out", "out", "out"]),
        ("private", ["in 0", "in 1", "in 2", "out", "out", "out"]),
    ],
)
def test_processes_share_as_asked(tmp_path: Path, sharing: str, expected: list[str]) -> None:
    log = tmp_path / "log"
    children = [in_child(lambda: hold(tmp_path, sharing, 0.6, log)) for _ in range(3)]
    for child in children:
        os.waitpid(child, 0)
    lines = log.read_text().splitlines()
    assert (lines if sharing == "locked" else sorted(lines)) == expected


def test_threads_of_one_build_wait_for_a_locked_cache(tmp_path: Path) -> None:
    log = tmp_path / "log"
    threads = [threading.Thread(target=hold, args=(tmp_path, "locked", 0.2, log)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text().splitlines() == ["in 0", "out"] * 3


def test_a_killed_build_holds_no_lock(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = in_child(lambda: hold(tmp_path, "locked", 60, log))
    while not log.exists():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    hold(tmp_path, "locked", 0, log)
    assert log.read_text().splitlines() == ["in 0", "in 0", "out"]


def test_waiting_for_a_locked_cache_can_be_cancelled(tmp_path: Path) -> None:
    cancel = threading.Event()
    with caches(tmp_path).acquire([request("locked")], empty=False, cancel=cancel):
        threading.Timer(0.2, cancel.set).start()
        with pytest.raises(Cancelled), caches(tmp_path).acquire([request("locked")], empty=False, cancel=cancel):
            raise AssertionError("two have it")


def test_the_same_locked_cache_twice_in_one_step_does_not_wait_for_itself(tmp_path: Path) -> None:
    wanted = [request("locked"), request("shared", target="/d"), request("locked", target="/e")]
    with caches(tmp_path).acquire(wanted, empty=False, cancel=threading.Event()) as paths:
        assert len(set(paths)) == 1


def test_two_steps_that_want_two_locked_caches_in_opposite_order_both_end(tmp_path: Path) -> None:
    def work(names: tuple[str, str]) -> None:
        for _ in range(5):
            wanted = [request("locked", name) for name in names]
            with caches(tmp_path).acquire(wanted, empty=False, cancel=threading.Event()):
                time.sleep(0.01)

    threads = [threading.Thread(target=work, args=(names,)) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


def test_a_private_cache_is_used_again_when_it_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        with caches(tmp_path).acquire([request("private")], empty=False, cancel=threading.Event()) as (path,):
            assert path.endswith("/0")


def test_attack_an_id_is_never_part_of_a_path(tmp_path: Path) -> None:
    wanted = [request("shared", "../../../../escape/\0 x")]
    with caches(tmp_path).acquire(wanted, empty=False, cancel=threading.Event()) as (path,):
        assert Path(path).parent.parent == tmp_path / "mounts"
    assert set(os.listdir(tmp_path)) == {"mounts", "trash"}


def test_a_seed_that_fails_leaves_no_half_filled_cache(tmp_path: Path) -> None:
    def fail(path: str) -> None:
        os.mkdir(path)
        raise OSError(28, "No space left on device")

    mount = CacheMount(identifier="id", target="/c")
    with (
        pytest.raises(Exception, match="No space left"),
        caches(tmp_path).acquire([CacheRequest(mount=mount, seed=fail)], empty=False, cancel=threading.Event()),
    ):
        raise AssertionError("it was filled")
    with caches(tmp_path).acquire([CacheRequest(mount=mount)], empty=False, cancel=threading.Event()) as (path,):
        assert os.listdir(path) == []
