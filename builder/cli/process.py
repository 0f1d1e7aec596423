"""The process we find ourselves in, made into one that the rest can rely on.

descriptors 0-2    open: a descriptor that was closed would otherwise be given to the first file we open
file names         UTF-8 with surrogateescape, whatever the locale: so are the names in a Dockerfile and a tar
SIGTERM, SIGHUP    like Ctrl-C: the build is cancelled, commands are killed, temporary files removed
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

_UTF8 = "utf-8"


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came; `exit_code` is 128 + its number, as a shell would say."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def prepare_process() -> None:
    """Open what is closed, choose UTF-8, listen to signals. May start the program again, with other settings."""
    _open_standard_descriptors()
    if sys.getfilesystemencoding() != _UTF8:
        _restart_with_utf8()
    # What is printed may be a file name that is no text.
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # a TextIOWrapper
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup(1) has it ignored
            signal.signal(number, _terminate)


def stop_listening() -> None:
    """Let a second signal end the process at once."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _terminate(number: int, _frame: object) -> NoReturn:
    raise Terminated(number)


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
