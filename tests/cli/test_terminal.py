"""The program at a terminal, drawing as fast as it can, on a busy machine: as root and as ordinary users."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.program import CHECKOUT, Program
from tests.crash.watch import debris, gone_within, processes_with
from tests.sandbox.conftest import users
from tests.support.busybox import BUSYBOX
from tests.support.ordinary import as_user
from tests.support.terminal import CTRL_C, HIDE_CURSOR, SHOW_CURSOR, Terminal

__all__ = ["users"]

BUILDS = int(os.environ.get("PYBUILD_TEST_BUILDS", "4"))
"""How often the stress tests build; some hundreds find what is rare."""

BASE = 'FROM scratch AS base\nSHELL ["/bin/busybox", "sh", "-c"]\nCOPY busybox /bin/busybox\n'
RUN = "RUN {}\n".format

FAST = "import builder.cli.display.tty as tty; tty._REFRESH_PER_SECOND = 1e6"
SLOW_CLONE = f"""{FAST}
from builder.linux import process
class Slow(list): _as_parameter_ = property(sum)
call = process.syscall_holding_lock
process.syscall_holding_lock = lambda *words: call(*words[:-1], Slow([0] * 1_000_000))
"""
"""Converting the last argument takes longer than a thread's turn: whoever waits for the lock gets it at the clone."""


@dataclass
class Desk:
    """Somebody at a terminal, with a context and a store of their own."""

    folder: Path
    user: str

    def build(self, dockerfile: str, *words: str, before: str = FAST) -> Terminal:
        """Start a build at a terminal; `before` is Python that the program runs first."""
        (self.folder / "context" / "Dockerfile").write_text(dockerfile)
        code = f"{before}\nimport sys\nfrom builder.cli.main import main\nsys.exit(main())"
        command = [sys.executable, "-c", code, "--root", str(self.folder / "store"), *words, "./context"]
        return Terminal([*self.words(), *command], self.environment(), str(self.folder))

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYBUILD_", "SOURCE_DATE"))}
        return {**kept, "PYTHONPATH": str(CHECKOUT), "HOME": str(self.folder)}

    def words(self) -> tuple[str, ...]:
        """Return the words before a command that make it theirs."""
        return as_user(pwd.getpwnam(self.user).pw_uid) if self.user else ()

    @property
    def program(self) -> Program:
        return Program(self.folder / "store", self.folder, "")


@pytest.fixture(params=["me", "ranges", "single"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    user = "" if request.param == "me" else request.getfixturevalue("users")[request.param]
    folder = Path(tempfile.mkdtemp(prefix="pybuild-terminal-"))
    folder.chmod(0o755)
    (folder / "context").mkdir()
    shutil.copy(BUSYBOX, folder / "context" / "busybox")
    if user:
        subprocess.run(["chown", "-R", user, str(folder)], check=True)
    yield Desk(folder, user)
    subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.fixture
def busy() -> Iterator[None]:
    """A machine with twice as much to do as it has processors."""
    spin = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(spin) for _ in range(2 * (os.cpu_count() or 1))]
    yield
    for process in spinning:
        process.kill()
        process.wait()


def succeeded(terminal: Terminal) -> bytes:
    assert terminal.end(120) == 0, terminal.said[-3000:]
    assert terminal.said.rfind(SHOW_CURSOR) > terminal.said.rfind(HIDE_CURSOR)
    return terminal.said


@pytest.mark.timeout(300 + 10 * BUILDS)
@pytest.mark.usefixtures("busy")
def test_build_after_build_with_a_run_ends(desk: Desk) -> None:
    for number in range(BUILDS):
        said = succeeded(desk.build(BASE + RUN(f"echo {number}") + RUN("true")))
        assert b"isolat" not in said, said


def test_the_process_that_starts_commands_is_born_while_nothing_draws(desk: Desk) -> None:
    for number in range(3):
        succeeded(desk.build(BASE + RUN(f"echo {number}"), before=SLOW_CLONE))


def test_shells_in_a_build_leave_no_mark_on_it(desk: Desk) -> None:
    steps = BASE + RUN("echo made > /made") + RUN("ls /; test -e /mended")
    terminal = desk.build(steps, "--step", "--on-error=shell")
    for answer in (b"\n", b"s\n"):
        terminal.wait_for(b"q quit > ")
        terminal.said = b""
        terminal.type(answer)
    terminal.wait_for(b"/ # ")
    terminal.type(b"ls made || exit; : > /mended; exit\n")
    terminal.wait_for(b"q quit > ")
    terminal.said = b""
    terminal.type(b"\n")
    terminal.wait_for(b"/ # ")
    terminal.type(b": > /mended; echo $((6*7))\n")
    terminal.wait_for(b"42\r\n")
    terminal.type(b"exit\n")
    assert terminal.end() == 1
    assert b"mended\r\n" not in terminal.said
    assert b"isolat" not in terminal.said


def test_a_second_platform_enters_namespaces_after_steps_of_the_first(desk: Desk) -> None:
    first, second = {"x86_64": ("amd64", "386"), "aarch64": ("arm64", "arm")}[os.uname().machine]
    dockerfile = f"{BASE}FROM base AS for-{first}\nFROM base AS for-{second}\n{RUN('true')}"
    dockerfile += "FROM for-$TARGETARCH\nCOPY busybox /b\n"
    for _ in range(3):
        said = succeeded(
            desk.build(dockerfile, "--no-cache", f"--platform=linux/{first},linux/{second}", before=SLOW_CLONE)
        )
        assert b"RUN true" in said


def test_steps_that_are_shown_follow_each_other(desk: Desk) -> None:
    said = succeeded(desk.build(BASE + RUN("echo a; sleep 0.3; echo said-late; sleep 0.3"), before=""))
    shown = said.decode()
    assert "said-late" in shown, "the output of a running step"
    assert "✔" in shown.partition("said-late")[2], "the line that stays"
    assert any(mark in shown for mark in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_one_signal_ends_a_build_and_leaves_the_terminal_as_it_was(
    desk: Desk, number: signal.Signals, code: int
) -> None:
    marker = f"{os.getpid()}.{int(number)}3"
    terminal = desk.build(BASE + RUN(f"trap : INT TERM HUP; echo be''gun; /bin/busybox sleep {marker}"))
    terminal.wait_for(b"begun")
    if number == signal.SIGINT:
        terminal.type(CTRL_C)
    else:
        terminal.signal(number)
    assert terminal.end(30) == code
    assert terminal.said.rfind(SHOW_CURSOR) > terminal.said.rfind(HIDE_CURSOR)
    assert b"interrupted" in terminal.said
    assert gone_within(5, f"sleep\0{marker}"), processes_with(marker)


Stop = Callable[[Terminal], None]


def _twice(terminal: Terminal) -> None:
    for _ in range(2):
        terminal.type(CTRL_C)
        terminal.read_for(0.5)


def _once(terminal: Terminal) -> None:
    terminal.signal(signal.SIGTERM)


@pytest.mark.parametrize(("stop", "code"), [(_twice, 130), (_once, 143)])
def test_a_build_that_cannot_end_ends_all_the_same(desk: Desk, stop: Stop, code: int) -> None:
    marker = f"{os.getpid()}.{code}4"
    terminal = desk.build(BASE + RUN(f"echo be''gun; /bin/busybox sleep {marker}"))
    terminal.wait_for(b"begun")
    (fork_server,) = children(terminal.pid)
    os.kill(fork_server, signal.SIGSTOP)  # it does not hear that the run is to be killed
    stop(terminal)
    assert terminal.end(30) == code
    assert terminal.said.rfind(SHOW_CURSOR) > terminal.said.rfind(HIDE_CURSOR)
    assert gone_within(5, f"sleep\0{marker}"), processes_with(marker)
    assert not os.path.exists(f"/proc/{fork_server}/fd/0")


def test_a_terminal_that_nobody_reads_does_not_keep_a_build_from_ending(desk: Desk) -> None:
    marker = f"{os.getpid()}.85"
    terminal = desk.build(BASE + RUN(f"echo be''gun; /bin/busybox sleep {marker}"))
    terminal.wait_for(b"begun")
    time.sleep(1)  # its buffer is full
    terminal.signal(signal.SIGTERM)
    assert terminal.end_unread(30) == 143
    assert gone_within(5, f"sleep\0{marker}"), processes_with(marker)


def test_a_signal_that_comes_twice_at_once_is_one(desk: Desk) -> None:
    """timeout(1) signals the process and its group."""
    terminal = desk.build(BASE + RUN("echo be''gun; /bin/busybox sleep 100"))
    terminal.wait_for(b"begun")
    terminal.signal(signal.SIGTERM)
    terminal.signal(signal.SIGTERM)
    assert terminal.end(30) == 143
    assert b"interrupted" in terminal.said, "it ended in order"
    if not desk.user:
        assert debris(desk.program) == []


def children(parent: int) -> list[int]:
    with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]
