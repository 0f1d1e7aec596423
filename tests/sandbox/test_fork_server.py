"""The process that starts commands: what must not end it, and what it leaves behind when something does."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from builder.errors import SandboxError
from builder.linux import threads
from builder.linux.cancel import Cancel
from builder.linux.process import close_all_except
from builder.sandbox.namespace import enter_build_namespace
from builder.sandbox.process import fork_server as room
from builder.sandbox.process.fork_loop import ForkLoop
from builder.sandbox.process.fork_server import ForkServer, Request
from builder.sandbox.process.messages import Exit, to_json
from builder.sandbox.process.run_request import run_request
from builder.sandbox.spec import ExitStatus
from tests.support.alone import alone, in_child

TELLING = Request(namespaces=False, own_network=False, payload=b"tell")
ENDING = Request(namespaces=False, own_network=False, payload=b"end")


@contextmanager
def opened() -> Iterator[ForkServer]:
    fork_server = ForkServer(say_and_wait, namespaces=False)
    try:
        yield fork_server
    finally:
        fork_server.close()


def say_and_wait(payload: bytes, channel: int) -> NoReturn:
    """Send the exit before it comes, with all output closed, as the supervisor does; end once the channel is closed.

    What is to tell sends its process id instead.
    """
    close_all_except(frozenset((channel,)))
    with socket.socket(fileno=channel) as said:
        said.send(b"%d" % os.getpid() if payload == TELLING.payload else to_json(Exit(0)))
        said.recv(1)
    os._exit(0)


def launch(fork_server: ForkServer) -> socket.socket:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        return fork_server.launch(TELLING, null, null, null)
    finally:
        os.close(null)


def receive_pid(channel: socket.socket) -> int:
    """The process id of a run that has begun."""
    answer = channel.recv(1000)
    assert answer, "the fork server closed the channel"
    return int(answer)


def has_ended(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def run(fork_server: ForkServer) -> ExitStatus:
    return run_request(fork_server, ENDING, on_output=lambda *_: None, cancel=Cancel())


@alone
def test_a_run_that_ends_in_the_moment_it_is_hung_up_on_leaves_the_fork_server_alive() -> None:
    with opened() as fork_server:
        first = launch(fork_server)
        pid = receive_pid(first)
        os.kill(fork_server.pid, signal.SIGSTOP)  # so that it learns of both at once
        os.waitpid(fork_server.pid, os.WUNTRACED)
        first.close()
        deadline = time.monotonic() + 10
        while not has_ended(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert has_ended(pid)
        os.kill(fork_server.pid, signal.SIGCONT)
        with launch(fork_server) as second:
            assert receive_pid(second) != pid


@alone
def test_one_fork_server_runs_hundreds_of_commands_from_several_threads() -> None:
    with opened() as fork_server:
        results: list[ExitStatus] = []
        threads = [
            threading.Thread(target=lambda: results.extend(run(fork_server) for _ in range(100)), daemon=True)
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results == [ExitStatus(0)] * 400


@alone
def test_a_killed_fork_server_is_reported_with_the_signal() -> None:
    with opened() as fork_server:
        os.kill(fork_server.pid, signal.SIGKILL)
        with pytest.raises(SandboxError) as caught:
            run(fork_server)
    assert caught.value.message == "the process that starts commands is gone (killed by signal 9)"
    assert "memory" in caught.value.hint


@alone
def test_a_fork_server_that_failed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(ForkLoop, "_accept", fail)
    with opened() as fork_server, pytest.raises(SandboxError) as during:
        run(fork_server)
    with opened() as fork_server:
        launch(fork_server).recv(1)  # until it has closed everything
        with pytest.raises(SandboxError) as after:
            run(fork_server)
    said = "the process that starts commands is gone (exit code 1: ZeroDivisionError: nobody thought of this at "
    assert during.value.message.startswith(f"{said}test_fork_server.py:")
    assert after.value.message.startswith(f"{said}test_fork_server.py:")


@alone
def test_a_fork_server_that_hangs_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_END_SECONDS", 0.1)
    with opened() as fork_server:
        assert "does not answer" in fork_server.gone().message


@alone
def test_a_fork_server_that_never_gets_ready_is_killed_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_READY_SECONDS", 0.1)
    monkeypatch.setattr(room, "become_fork_server", lambda *_: time.sleep(1000))
    with pytest.raises(SandboxError, match="not ready within"):
        ForkServer(say_and_wait, namespaces=False)
    assert has_no_children()


@alone
def test_a_fork_server_that_fails_before_it_is_ready_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(ForkLoop, "announce", fail)
    with pytest.raises(SandboxError, match="too many open files at test_fork_server"):
        ForkServer(say_and_wait, namespaces=False)
    assert has_no_children()


@pytest.mark.parametrize("namespaces", [False, True])
def test_a_fork_server_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch, namespaces: bool) -> None:
    if namespaces and os.geteuid() != 0:
        pytest.skip("needs root")
    monkeypatch.setattr(room, "_CLOSE_SECONDS", 0.2)

    def close_a_stopped_one() -> None:
        fork_server = ForkServer(say_and_wait, namespaces=namespaces)
        os.kill(fork_server.pid, signal.SIGSTOP)
        fork_server.close()
        assert has_no_children()

    in_child(close_a_stopped_one)


@alone
def test_a_fork_server_is_not_born_while_other_threads_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_LEAVING_SECONDS", 0.1)
    with another_thread("a painter"):
        for start in (lambda: ForkServer(say_and_wait, namespaces=False), enter_build_namespace):
            with pytest.raises(SandboxError, match=r"while other threads run \(a painter\)"):
                start()
    with opened() as fork_server:  # none is there any more
        assert run(fork_server) == ExitStatus(0)


@alone
def test_a_fork_server_waits_for_threads_that_are_leaving() -> None:
    threading.Thread(target=time.sleep, args=(0.3,), daemon=True).start()
    with opened() as fork_server:
        assert run(fork_server) == ExitStatus(0)


@contextmanager
def another_thread(name: str) -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name=name)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def has_no_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False
