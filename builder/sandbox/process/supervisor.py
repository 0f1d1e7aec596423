"""The parent of one run that has no process-id namespace: it adopts, and in the end kills, all that the run leaves.

It is a child of the fork server and a "subreaper" (man 2 prctl): a process whose parent ends becomes its child, daemons
included. STOP, which also comes when the fork server dies, makes it kill the command first; signals that are meant for
the command it passes on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from builder.linux.process import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, close_all_except, prctl
from builder.sandbox.process.channel import Channel
from builder.sandbox.process.messages import Exit
from builder.sandbox.spec import PASSED_ON, STOP

Command = Callable[[bytes, Channel], NoReturn]
"""Becomes the command, in a child of the supervisor, or reports over the channel why not."""

_SIGKILL = 9
_AWAITED = (STOP, signal.SIGCHLD, *PASSED_ON)


def supervise(payload: bytes, channel: int, command: Command) -> NoReturn:
    """Start the command, wait for it, then kill every process it left; send its status over the channel."""
    # Blocked before the command starts, so that no request to stop can come too early to be seen.
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    prctl(PR_SET_PDEATHSIG, STOP)  # and not SIGKILL, which would leave nobody to kill the command's descendants
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    close_all_except(frozenset((0, 1, 2, channel)))  # the fork server's, which would outlive it here
    child = os.fork()
    if child == 0:
        command(payload, Channel(channel))
    for number in range(3):
        os.close(number)  # the readers wait for the last writer
    status = _wait(child)
    Channel(channel).send(Exit(status))
    os._exit(0)


def _wait(child: int) -> int:
    status = _SIGKILL
    running = True
    while running:
        number = signal.sigwait(_AWAITED)
        if number != signal.SIGCHLD:
            os.kill(child, signal.SIGKILL if number == STOP else number)
        while True:  # one SIGCHLD may stand for several ends: it does not queue (man 7 signal)
            try:
                finished, found = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return status
            if finished == 0:
                break
            if finished == child:
                status, running = found, False
    _kill_descendants()  # daemons, too: a run is over when its command is
    return status


def _kill_descendants() -> None:
    """Kill what was adopted, and what is adopted because of that, until nothing is left."""
    own = os.getpid()
    while True:
        for pid in _children(own):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Each that ends leaves its children to us, and some were forked since the list was read: so once more.
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children(parent: int) -> list[int]:
    try:
        with open(f"/proc/self/task/{parent}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _parent(pid) == parent]


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name before it, in parentheses, may have spaces and parentheses of its own (man 5 proc).
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0
