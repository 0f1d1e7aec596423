"""A run whose input and output are this process's own (`pybuild run`), as docker has it with and without --tty.

    a terminal on all three    a pseudo-terminal of the run's own, with the command in its foreground: what is typed
                               goes there as it is, Ctrl-C too
    otherwise                  stdin as it is; pipes of the run's own for the rest, so that its user can open them

Signals to this process are the command's to answer. It gets ten seconds for the first SIGTERM or SIGHUP (as from
docker stop); the second of these, or the third SIGINT (as in docker run), kills it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Protocol

from builder.errors import SandboxError
from builder.sandbox.process.fork_server import ForkServer, Request
from builder.sandbox.process.run_request import Connection, Take
from builder.sandbox.process.standard_streams import Pipe, output_pipes
from builder.sandbox.spec import PASSED_ON, ExitStatus

Streams = tuple[int, int, int]
"""Stdin, stdout and stderr."""


class Screen(Protocol):
    """What output passes on its way to a terminal."""

    def hide(self, data: bytes) -> bytes:
        """Return the data without what may not be shown."""
        ...

    def screen(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of a piece may be shown, and its end, as it is, which has to wait for the next piece."""
        ...


_PIECE_BYTES = 65536
_TYPED_BYTES = 1024
_GRACE_SECONDS = 10.0
_INTERRUPTS = 3
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RETRY_MS = 20
"""How soon to offer again what a terminal had no room for."""
_HELD_SECONDS = 0.2
"""So long the end of some output waits for more: a program writes a secret at once, and who types waits for an echo."""


def are_terminal(streams: Streams) -> bool:
    """Say whether there is somebody at a terminal, who neither redirects nor pipes."""
    return all(os.isatty(one) for one in streams)


def run_attached_request(
    fork_server: ForkServer,
    request: Request,
    streams: Streams,
    *,
    uid: int,
    open_pipes: Callable[[], tuple[Pipe, Pipe]] = output_pipes,
    screen: Screen | None = None,
) -> ExitStatus:
    """Launch `request`, made for a terminal if `streams` are one, for the user `uid`. Raises SandboxError.

    What a terminal is shown goes through `screen`.
    """
    with ExitStack() as stack:
        signals = stack.enter_context(_listening())
        if are_terminal(streams):
            return _at_terminal(fork_server, request, streams, uid, signals, stack, screen)
        return _through_pipes(fork_server, request, streams, open_pipes, signals, stack)


def _through_pipes(
    fork_server: ForkServer,
    request: Request,
    streams: Streams,
    open_pipes: Callable[[], tuple[Pipe, Pipe]],
    signals: int,
    stack: ExitStack,
) -> ExitStatus:
    stdin, stdout, stderr = streams
    (out, out_write), (err, err_write) = open_pipes()
    stack.callback(os.close, out)
    stack.callback(os.close, err)
    # What goes to one file goes through one pipe, or its order would be lost; but pipes with names are two.
    shared = open_pipes is output_pipes and os.path.sameopenfile(stdout, stderr)
    try:
        channel = fork_server.launch(request, stdin, out_write, out_write if shared else err_write)
    finally:
        os.close(out_write)
        os.close(err_write)
    outputs: dict[int, Take] = {out: partial(_copy, out, stdout), err: partial(_copy, err, stderr)}
    with Connection(fork_server, channel) as connection:
        return _Attendance(connection).follow(outputs, signals, {})


def _at_terminal(
    fork_server: ForkServer,
    request: Request,
    streams: Streams,
    uid: int,
    signals: int,
    stack: ExitStack,
    screen: Screen | None,
) -> ExitStatus:
    stdin, stdout, _ = streams
    master, slave = os.openpty()
    stack.callback(os.close, master)
    # Keys that the command does not read must not stop its output, which one thread takes as well.
    os.set_blocking(master, False)
    _take_size(stdout, master)
    try:
        with suppress(OSError):  # an id that does not exist in this user namespace
            os.fchown(slave, uid, -1)
        channel = fork_server.launch(request, slave, slave, slave)
    finally:
        os.close(slave)
    stack.enter_context(_raw(stdin))
    with Connection(fork_server, channel) as connection:
        typed = _Typed(stdin, master)
        shown = None if screen is None else _Screened(master, stdout, screen)
        offers = (typed.offer,) if shown is None else (typed.offer, shown.offer)
        attendance = _Attendance(connection, offers, lambda: _take_size(stdout, master))
        take = partial(_copy, master, stdout) if shown is None else shown.take
        return attendance.follow({master: take}, signals, {stdin: typed.take})


class _Attendance:
    """Follows a run, and answers signals."""

    def __init__(
        self,
        connection: Connection,
        offers: Sequence[Callable[[], int | None]] = (),
        resize: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._offers = offers
        self._resize = resize
        self._interrupts = 0
        self._asked: int | None = None
        self._deadline: float | None = None

    def follow(self, outputs: dict[int, Take], signals: int, inputs: dict[int, Take]) -> ExitStatus:
        inputs = {signals: partial(self._receive, signals), **inputs}
        status = self._connection.follow(outputs, self._before_wait, inputs)
        was_killed = self._deadline is not None and time.monotonic() >= self._deadline
        if was_killed and self._asked is not None and status.signal == signal.SIGKILL:
            return ExitStatus(128 + self._asked, self._asked)
        return status

    def _before_wait(self) -> int | None:
        """Kill the run when its time is up; return for how many milliseconds there is nothing else to do."""
        waits = [offer() for offer in self._offers]
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                self._connection.shutdown()
            waits.append(int(left * 1000) + 1 if left > 0 else None)
        return min((wait for wait in waits if wait is not None), default=None)

    def _receive(self, signals: int) -> bool:
        for number in os.read(signals, _PIECE_BYTES):
            if number == signal.SIGWINCH:
                self._resize()
            else:
                self._pass_on(number)
        return True

    def _pass_on(self, number: int) -> None:
        self._connection.signal(number)
        if number == signal.SIGINT:
            self._interrupts += 1
            if self._interrupts >= _INTERRUPTS:
                self._end(number, 0)
        elif number in (signal.SIGTERM, signal.SIGHUP):
            self._end(number, _GRACE_SECONDS if self._deadline is None else 0)

    def _end(self, number: int, seconds: float) -> None:
        self._asked = number
        self._deadline = time.monotonic() + seconds


class _Typed:
    """From the keyboard to the run's terminal, which has little room while nobody reads there."""

    def __init__(self, stdin: int, master: int) -> None:
        self._stdin = stdin
        self._master = master
        self._left = b""

    def take(self) -> bool:
        if self._left:
            return True
        self._left = os.read(self._stdin, _TYPED_BYTES)
        return bool(self._left)

    def offer(self) -> int | None:
        """Give what is left; return in how many milliseconds to try again."""
        with suppress(OSError):  # no room (EAGAIN), or nobody there any more (EIO)
            while self._left:
                self._left = self._left[os.write(self._master, self._left) :]
        return _RETRY_MS if self._left else None


class _Screened:
    """From the run's terminal to ours, through a screen."""

    def __init__(self, master: int, stdout: int, screen: Screen) -> None:
        self._master = master
        self._stdout = stdout
        self._screen = screen
        self._held = b""
        self._until = 0.0

    def take(self) -> bool:
        goes_on = _copy(self._master, self._stdout, self._screened)
        return goes_on or self._give_held()

    def _screened(self, data: bytes) -> bytes:
        shown, self._held = self._screen.screen(self._held + data)
        self._until = time.monotonic() + _HELD_SECONDS
        return shown

    def offer(self) -> int | None:
        """Give what has waited long enough; return in how many milliseconds to ask again."""
        left = self._until - time.monotonic()
        if self._held and left <= 0:
            self._give_held()
        return int(left * 1000) + 1 if self._held else None

    def _give_held(self) -> bool:
        held, self._held = self._held, b""
        with suppress(OSError):  # nobody is there to see it
            _write_all(self._stdout, self._screen.hide(held))
        return False


def _copy(source: int, target: int, screened: Callable[[bytes], bytes] = lambda data: data) -> bool:
    try:
        data = os.read(source, _PIECE_BYTES)
    except BlockingIOError:
        return True
    except OSError:  # EIO: nobody has the terminal open any more
        return False
    try:
        _write_all(target, screened(data))
    except OSError as error:  # whoever read it has gone: so the command finds it, too
        if error.errno in _NO_ROOM:
            raise SandboxError(
                f"cannot write the output of the command: {error.strerror}",
                hint="The command was ended; what it had said before is there.",
            ) from error
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(null, source, inheritable=False)
        os.close(null)
        return False
    return bool(data)


def _write_all(target: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(target, data) :]
        except BlockingIOError:
            select.select([], [target], [])


def _take_size(terminal: int, master: int) -> None:
    with suppress(OSError):
        fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Keys go to the run as they are; its own terminal makes of them what it has to."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        with suppress(termios.error):  # the terminal has gone: what the command made of that is the answer
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextmanager
def _listening() -> Iterator[int]:
    """Give a descriptor on which the numbers of signals come, which do nothing else. Those ignored stay so."""
    read, write = os.pipe()
    heard = [one for one in (*PASSED_ON, signal.SIGWINCH) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in heard}
    os.set_blocking(write, False)
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        for number in heard:
            signal.signal(number, lambda *_: None)
        yield read
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(read)
        os.close(write)
