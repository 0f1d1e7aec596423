"""The threads of a pipeline end with it, also where Ctrl-C comes while they are started."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.store.pipeline import _ALONE_BYTES, _WRITE_BACK_BYTES, Digester, Pipeline


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "blob", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


def interrupt(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let Ctrl-C come just before the thread `name` is started, and before no other."""
    start = threading.Thread.start

    def broken(thread: threading.Thread) -> None:
        if thread.name == name:
            raise KeyboardInterrupt
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", broken)


def test_an_interrupted_ingest_ends(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    interrupt(monkeypatch, "ingest")
    pipeline = Pipeline(descriptor, "sha256")
    with pytest.raises(KeyboardInterrupt):
        pipeline.parallel()
    pipeline.finish()


def test_an_interrupted_write_back_ends(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    """It is started by the thread that writes, which Ctrl-C doesn't reach; a failure to start does."""
    pipeline = Pipeline(descriptor, "sha256")
    pipeline.parallel()
    assert pipeline._flusher is not None
    interrupt(monkeypatch, "write-back")
    with pytest.raises(KeyboardInterrupt):
        pipeline._flusher.flush()
    pipeline.finish()


def test_an_interrupted_digest_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, "digest")
    digester = Digester("sha256")
    with pytest.raises(KeyboardInterrupt):
        digester.update(bytes(_ALONE_BYTES + 1))
    digester.stop()


@pytest.mark.parametrize("size", [1, _ALONE_BYTES + 1, _WRITE_BACK_BYTES + 1])
@pytest.mark.parametrize("kind", ["pipeline", "digester"])
def test_no_thread_is_left(size: int, kind: str, descriptor: int) -> None:
    before = set(threading.enumerate())
    ends: Callable[[], object]
    if kind == "pipeline":
        pipeline = Pipeline(descriptor, "sha256")
        pipeline.parallel()
        pipeline.write(bytes(size))
        ends = pipeline.finish
    else:
        digester = Digester("sha256")
        digester.update(bytes(size))
        ends = digester.finish
    ends()
    assert set(threading.enumerate()) <= before
