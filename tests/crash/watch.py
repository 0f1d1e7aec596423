"""What a build that ended in the middle may and may not leave: processes, mounts, debris."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cli.program import Program, listen_to_signals


class Running:
    """A build in a process group of its own, as a shell starts it; its stderr goes to a file."""

    def __init__(self, program: Program, log: Path, *words: str) -> None:
        self.program = program
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                program.command("--progress=plain", *program.base_words(), *words),
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=program.folder, env=program.environment(),
                start_new_session=True, preexec_fn=listen_to_signals,
            )  # fmt: skip

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait until the build has said `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"{text!r} never came:\n{self.said()}"
            time.sleep(0.01)

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def stop(self, number: signal.Signals, *, group: bool = False) -> int:
        """Send a signal, to the whole process group as a terminal does it or to the process; return the exit code."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(60)


def processes_with(marker: str) -> list[int]:
    """Return the ids of processes whose command line holds `marker`; zombies have none."""
    return [pid for pid, words in _command_lines() if marker.encode() in words and pid != os.getpid()]


def gone_within(seconds: float, marker: str) -> bool:
    """Say whether all processes with `marker` end by themselves; SIGKILL takes the kernel a moment."""
    deadline = time.monotonic() + seconds
    while processes_with(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def mounts_below(folder: Path) -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line for line in file if str(folder) in line]


def debris(program: Program) -> list[str]:
    """Return what is left in the store's tmp/ once it has been opened again, and in its trash/ once it was pruned."""
    program("images").succeeded()
    left = [f"tmp/{found}" for found in os.listdir(program.store / "tmp")]
    program("prune").succeeded()
    return left + [f"trash/{found}" for found in os.listdir(program.store / "trash")]


def verified(program: Program) -> None:
    """Assert that every blob, name and record of the store is sound."""
    outcome = program("info", "--verify")
    assert outcome.code == 0, outcome.out + outcome.err


def _command_lines() -> Iterator[tuple[int, bytes]]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    yield int(name), file.read()
            except OSError:
                continue
