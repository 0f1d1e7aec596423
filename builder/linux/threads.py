"""Whether this process is alone with its one thread, as whoever enters a user namespace or is cloned must be.

unshare(CLONE_NEWUSER)   EINVAL while there is another thread (man 2 unshare)
clone                    copies one thread only: what the others hold, the child waits for in vain
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

_TASKS = "/proc/self/task"
_LEAVING_SECONDS = 5.0
"""How long threads that have done their work may take to leave the kernel: on a busy machine they wait for a turn."""
_LOOK_SECONDS = 0.001


def other_threads() -> tuple[str, ...]:
    """Return the names of the threads beside the calling one, waiting a little for those that are leaving."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    while others := [int(task) for task in os.listdir(_TASKS) if int(task) != threading.get_native_id()]:
        if time.monotonic() >= deadline:
            return tuple(sorted(map(_name, others)))
        time.sleep(_LOOK_SECONDS)
    return ()


def _name(task: int) -> str:
    for thread in threading.enumerate():
        if thread.native_id == task:
            return thread.name
    with suppress(OSError), open(f"{_TASKS}/{task}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return str(task)
