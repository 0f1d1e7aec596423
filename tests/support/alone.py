"""Work in a forked child, which has one thread whatever the test runner has; its result, or error, comes back."""

from __future__ import annotations

import functools
import os
import pickle
import signal
from collections.abc import Callable
from typing import Any, ParamSpec

from builder.linux.process import PR_SET_PDEATHSIG, prctl

LONGEST_SECONDS = 60
P = ParamSpec("P")


def in_child(work: Callable[[], Any]) -> Any:
    """Call `work` in a child; what it returns, or raises. A child that takes a minute is killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _answer(write, work)
    os.close(write)
    with open(read, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    assert data, "the child died without an answer"
    result = pickle.loads(data)
    if isinstance(result, BaseException):
        raise result
    return result


def alone(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test in a child."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        in_child(lambda: test(*args, **kwargs))

    return run


def _answer(write: int, work: Callable[[], Any]) -> None:
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LONGEST_SECONDS)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        result = work()
    except BaseException as error:
        result = error
    with open(write, "wb") as file:
        file.write(pickle.dumps(result))
    os._exit(0)
