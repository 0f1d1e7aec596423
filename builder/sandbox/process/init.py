"""Process 1 of a container, where it is not the command itself (`pybuild run --init`): reaps, and passes signals on.

It keeps more rights than the command and the memory of the program it was forked from: no process of the container may
look into it, and its command line, which the container can read, says nothing of ours.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from builder.linux.process import close_all_except, rename_process
from builder.sandbox.spec import PASSED_ON

_NAME = "init"
_AWAITED = (signal.SIGCHLD, *PASSED_ON)


def become_init(*, terminal: bool) -> None:
    """Go on as a child of process 1; with `terminal`, in the foreground of the one on descriptor 0."""
    # Before the fork: what comes now waits until it is asked for. SIGTTOU would stop the child, which is not in the
    # foreground yet, for putting itself there (man 3 tcsetpgrp).
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_AWAITED, signal.SIGTTOU))
    child = os.fork()
    if child == 0:
        if terminal:
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpgrp())
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return
    close_all_except(frozenset())
    rename_process(_NAME)
    _attend(child)


def _attend(child: int) -> NoReturn:
    while True:
        number = signal.sigwait(_AWAITED)
        if number != signal.SIGCHLD:
            os.kill(child, number)
            continue
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                code = os.waitstatus_to_exitcode(ended[1])
                os._exit(128 - code if code < 0 else code)
