"""The process that starts commands: what must not end it, and what it leaves behind when something does."""

from __future__ import annotations

import json
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
from builder.linux.process import close_all_except
from builder.sandbox import zygote as room
from builder.sandbox.runner import ExitStatus, converse
from builder.sandbox.zygote import Request, Zygote

REQUEST = Request(namespaces=False, own_network=False, payload=b"a payload")


@contextmanager
def opened() -> Iterator[Zygote]:
    zygote = Zygote(say_and_wait, namespaces=False)
    try:
        yield zygote
    finally:
        zygote.close()


def say_and_wait(payload: bytes, channel: int) -> NoReturn:
    """Tell the exit before it comes, with all output closed, as the supervisor does, and end once hung up on."""
    close_all_except(frozenset((channel,)))
    with socket.socket(fileno=channel) as said:
        said.send(json.dumps({"pid": os.getpid(), "exit": 0}).encode())
        said.recv(1)
    os._exit(0)


def launch(zygote: Zygote) -> socket.socket:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        return zygote.launch(REQUEST, null, null, null)
    finally:
        os.close(null)


def hear(channel: socket.socket) -> int:
    """The process id of a run that has begun."""
    answer = json.loads(channel.recv(1000) or b"{}")
    assert answer, "the zygote closed the channel"
    return int(answer["pid"])


def has_ended(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def run(zygote: Zygote) -> ExitStatus:
    return converse(zygote, REQUEST, on_output=lambda *_: None, cancel=threading.Event())


def test_a_run_that_ends_in_the_moment_it_is_hung_up_on_leaves_the_zygote_alive() -> None:
    with opened() as zygote:
        first = launch(zygote)
        pid = hear(first)
        os.kill(zygote.pid, signal.SIGSTOP)  # so that it learns of both at once
        os.waitpid(zygote.pid, os.WUNTRACED)
        first.close()
        deadline = time.monotonic() + 10
        while not has_ended(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert has_ended(pid)
        os.kill(zygote.pid, signal.SIGCONT)
        with launch(zygote) as second:
            assert hear(second) != pid


def test_one_zygote_runs_hundreds_of_commands_from_several_threads() -> None:
    with opened() as zygote:
        results: list[ExitStatus] = []
        threads = [
            threading.Thread(target=lambda: results.extend(run(zygote) for _ in range(100)), daemon=True)
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results == [ExitStatus(0)] * 400


def test_a_killed_zygote_is_reported_with_the_signal() -> None:
    with opened() as zygote:
        os.kill(zygote.pid, signal.SIGKILL)
        with pytest.raises(SandboxError) as caught:
            run(zygote)
    assert caught.value.message == "the process that starts commands is gone (killed by signal 9)"
    assert "memory" in caught.value.hint


def test_a_zygote_that_failed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(room._Server, "_accept", fail)
    with opened() as zygote, pytest.raises(SandboxError) as during:
        run(zygote)
    with opened() as zygote:
        launch(zygote).recv(1)  # until it has closed everything
        with pytest.raises(SandboxError) as after:
            run(zygote)
    said = "the process that starts commands is gone (exit code 1: ZeroDivisionError: nobody thought of this at "
    assert during.value.message.startswith(f"{said}test_zygote.py:")
    assert after.value.message.startswith(f"{said}test_zygote.py:")


def test_a_zygote_that_hangs_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_END_SECONDS", 0.1)
    with opened() as zygote:
        assert "does not answer" in zygote.gone().message
