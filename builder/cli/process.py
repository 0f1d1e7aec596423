"""The process we find ourselves in, made into one that the rest can rely on.

descriptors 0-2    open: a descriptor that was closed would otherwise be given to the first file we open
file names         UTF-8 with surrogateescape, whatever the locale: so are the names in a Dockerfile and a tar
SIGTERM, SIGHUP    like Ctrl-C: the build is cancelled, commands are killed, temporary files removed
a second signal    ends the process where it stands, and so do a few seconds: for the store that is a kill -9, which it
                   stands, and the kernel kills what was started (fork_server.py)
SIGCHLD            as usual: where it was ignored, children could not be waited for
garbage            looked for seldom: the objects of imported code stay until the end, where nobody looks at all
"""

from __future__ import annotations

import atexit
import gc
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

_UTF8 = "utf-8"
_NEW_OBJECTS = 50_000
"""Between two looks for garbage. With Python's own 700 a push looks sixty times while it imports (docs: gc)."""
_SHOW_CURSOR = b"\x1b[?25h"
_LAST_WORDS = b"pybuild: interrupted\n"
_READER_MS = 500
"""The time that a full pipe or terminal has to make room for our last words."""

_ENDING_SECONDS = 5.0
"""The time for an orderly end after a signal. Some work, as reading a large layer, cannot be stopped."""
_SAME_SECONDS = 0.1
"""A signal so soon after the first is the same wish: timeout(1) signals the process and then its group."""


class Terminated(KeyboardInterrupt):
    """A signal asked for the end; `exit_code` is 128 + its number, as a shell would say."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def prepare_process() -> None:
    """Open what is closed, choose UTF-8, listen to signals. May start the program again, with other settings."""
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)  # else Python looks once more before it lets go of everything
    _open_standard_descriptors()
    if sys.getfilesystemencoding() != _UTF8:
        _restart_with_utf8()
    # What is printed may be a file name that is no text.
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # a TextIOWrapper
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup(1) and shells do for what runs in the background
            signal.signal(number, _terminate)


def _terminate(number: int, _frame: object) -> NoReturn:
    """Begin the orderly end, which another signal or the alarm cuts short."""
    again = time.monotonic() + _SAME_SECONDS

    def end(_number: int, _frame: object) -> None:
        if time.monotonic() > again:
            end_now(128 + number)

    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        if signal.getsignal(other) != signal.SIG_IGN:
            signal.signal(other, end)
    # By a signal, which reaches the main thread also where it waits for a lock (docs: threading.Lock.acquire).
    signal.setitimer(signal.ITIMER_REAL, _ENDING_SECONDS)
    raise Terminated(number)


def end_now(exit_code: int) -> NoReturn:
    """Restore the terminal, say the last words, and end without waiting for threads, or for readers that have gone."""
    words = (_SHOW_CURSOR if os.isatty(2) else b"") + _LAST_WORDS
    # Past sys.stderr, whose lock may belong to a thread that waits for a reader.
    with suppress(OSError):
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        if poll.poll(_READER_MS):
            os.write(2, words)
    os._exit(exit_code)


def _open_standard_descriptors() -> None:
    """Python leaves None in sys for what is closed (docs: sys.stdin)."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # lives as long as the process


def _restart_with_utf8() -> NoReturn:
    """The encoding of file names is settled when Python starts (PEP 540)."""
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
