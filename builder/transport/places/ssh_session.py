"""A conversation with the shell of another machine, over the ssh program that is installed here.

PYBUILD_SSH    a command in place of `ssh`, with options, as the shell reads it (git's GIT_SSH_COMMAND):
               PYBUILD_SSH="ssh -o BatchMode=yes -i key"

One connection serves a whole copy, so a password or the passphrase of a key is asked for once, by ssh, on the terminal.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from threading import RLock
from typing import IO, NoReturn, cast

from builder.errors import TransportError
from builder.transport.places.ssh_script import SCRIPT
from builder.transport.places.store_location import SshLocation

_BLOCK_BYTES = 1 << 18
_MAX_LINE_BYTES = 4096
_MAX_GREETING_LINES = 1000
"""Files that a shell reads at its start may print something."""
_LAST_CHARACTERS = 500


class SshSession:
    """The other side: one question, one answer, one after the other. Safe for threads that hold `lock` meanwhile."""

    def __init__(self, location: SshLocation, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self.location = location
        self.lock = RLock()
        self._process = process
        self._said = said
        self.kind, self.exact, self.locking = self._greeting()

    def ask(self, *words: object) -> list[str]:
        """Send a line, and return the words of the answer. Raises TransportError."""
        self.send(" ".join(map(str, words)).encode() + b"\n")
        return self.answer()

    def send(self, data: bytes) -> None:
        """Send bytes. Raises TransportError."""
        try:
            self._input.write(data)
            self._input.flush()
        except OSError:
            self._broken()

    def answer(self) -> list[str]:
        """Return the words of the next line. Raises TransportError, also for one that says what went wrong."""
        line = self._output.readline(_MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            self._broken()
        words = line.decode("utf-8", "replace").split()
        if words[:1] == ["error"]:
            said = self._last_words()
            raise TransportError(f"{self.location}: {' '.join(words[1:])}{f' ({said})' if said else ''}")
        return words

    def receive(self, write: Callable[[bytes], object], size: int) -> None:
        """Give the next `size` bytes to `write`. Raises TransportError, and what it raises."""
        left = size
        while left:
            block = self._output.read(min(left, _BLOCK_BYTES))
            if not block:
                self._broken()
            left -= len(block)
            write(block)

    def hang_up(self) -> None:
        """End the conversation; the other side tidies up by itself."""
        for stream in (self._input, self._output):
            with suppress(OSError):  # what was not sent any more is for nobody
                stream.close()

    @property
    def _input(self) -> IO[bytes]:
        return cast(IO[bytes], self._process.stdin)

    @property
    def _output(self) -> IO[bytes]:
        return cast(IO[bytes], self._process.stdout)

    def _greeting(self) -> tuple[str, str, str]:
        for _ in range(_MAX_GREETING_LINES):
            words = self.answer()
            if words[:2] == ["pybuild-ssh", "1"] and len(words) == 5:
                return words[2], words[3], words[4]
        raise TransportError(f"{self.location}: its shell says other things than it was asked")

    def _broken(self) -> NoReturn:
        self.hang_up()
        code = self._process.wait()
        said = self._last_words() or f"exit code {code}"
        hint = "Try the same machine with ssh; PYBUILD_SSH takes options: PYBUILD_SSH='ssh -i KEY'."
        raise TransportError(f"{self.location}: the connection ended: {said}", hint=hint)

    def _last_words(self) -> str:
        self._said.seek(0)
        words = self._said.read().decode("utf-8", "replace").split()
        return " ".join(words)[-_LAST_CHARACTERS:]


@contextmanager
def open_session(location: SshLocation, environ: Mapping[str, str] = os.environ) -> Iterator[SshSession]:
    """Connect for the time of a `with`. Raises TransportError."""
    remote = f"sh -c {shlex.quote(SCRIPT)} pybuild {shlex.quote(location.path)}"
    port = ("-p", location.port) if location.port else ()
    arguments = ("-T", *port, location.destination, remote)
    own = environ.get("PYBUILD_SSH", "")
    # As git does: the shell splits the command, and arguments stay what they are.
    command = ("sh", "-c", f'{own} "$@"', own, *arguments) if own.strip() else ("ssh", *arguments)
    with TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, bufsize=-1
            )
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            hint = "Install it (openssh-client), or name another program with PYBUILD_SSH."
            raise TransportError(f"{location}: ssh cannot be started: {reason}", hint=hint) from error
        session = None
        try:
            session = SshSession(location, process, said)
            yield session
        finally:
            if session is not None:
                session.hang_up()
            elif process.stdin is not None:
                process.stdin.close()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
