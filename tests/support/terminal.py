"""A program at a terminal: a pseudo-terminal of its own, whose other end we read and type at."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence

_ROWS, _COLUMNS = 40, 120
_PIECE_BYTES = 65536
CTRL_C = b"\x03"
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """The leader of a session of its own, in the foreground, as a login shell would start it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        self.said = b""
        self._status: int | None = None
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", _ROWS, _COLUMNS, 0, 0))
                for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)
                os.chdir(cwd)
                os.execvpe(command[0], list(command), {**env, "TERM": "xterm"})
            finally:
                os._exit(99)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def shutdown(self) -> None:
        """Have the terminal go, as one whose window is closed."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self.master, inheritable=False)
        os.close(null)

    def wait_for(self, text: bytes, seconds: float = 60) -> None:
        """Read until the program has shown `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.said:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} never came: {self.said[-2000:]!r}"
            assert self._read(left), f"it ended without {text!r}: {self.said[-2000:]!r}"

    def read_for(self, seconds: float) -> None:
        """Read what comes in that time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self._read(left):
            pass

    def end(self, seconds: float = 60) -> int:
        """Read until the program has ended; its exit code, as a shell would say it. Kills it when that takes longer."""
        deadline = time.monotonic() + seconds
        self.read_for(seconds)
        return self.end_unread(deadline - time.monotonic())

    def end_unread(self, seconds: float) -> int:
        """The same, with a terminal that nobody reads."""
        deadline = time.monotonic() + seconds
        while not self._has_ended():
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"it did not end: {self.said[-2000:]!r}")
            time.sleep(0.01)
        os.close(self.master)
        assert self._status is not None
        return self._status

    def _has_ended(self) -> bool:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            self._status = 128 - code if code < 0 else code
        return bool(pid)

    def _read(self, seconds: float) -> bool:
        """Read a piece, if one comes; False once the program and all that it started have left the terminal."""
        if not select.select([self.master], [], [], min(seconds, 1))[0]:
            return True
        try:
            self.said += os.read(self.master, _PIECE_BYTES)
        except OSError:  # EIO: nobody has it open any more
            return False
        return True
