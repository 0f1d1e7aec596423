"""A cancel is an event that poll(2) sees, whoever comes first."""

from __future__ import annotations

import os
import select
import threading

import pytest

from builder.linux.cancel import Cancel


def polled(cancel: Cancel, milliseconds: float = 0) -> bool:
    poll = select.poll()
    poll.register(cancel, select.POLLIN)
    return bool(poll.poll(milliseconds))


@pytest.mark.parametrize("asked_first", [True, False])
def test_it_is_readable_once_it_is_set_and_stays_so(asked_first: bool) -> None:
    cancel = Cancel()
    if asked_first:
        assert not polled(cancel)
    cancel.set()
    cancel.set()
    assert cancel.is_set()
    assert all(polled(cancel) for _ in range(3))


def test_all_who_wait_are_woken_at_once() -> None:
    cancel, woken = Cancel(), threading.Barrier(9)
    threads = [threading.Thread(target=lambda: polled(cancel, 60_000) and woken.wait()) for _ in range(8)]
    for thread in threads:
        thread.start()
    cancel.set()
    woken.wait(30)
    for thread in threads:
        thread.join()


def test_its_descriptor_goes_with_it() -> None:
    cancel = Cancel()
    descriptor = cancel.fileno()
    del cancel
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
