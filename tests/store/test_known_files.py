"""What was found sound is not digested again by the next process, until stat(2) shows a change."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from builder.errors import DigestMismatch
from builder.filesystem import sound
from builder.oci.digest import Digest
from builder.store import checked
from builder.store.known_files import WORTH_BYTES
from builder.store.pipeline import Digester
from builder.store.stat_cache import YOUNG_NS
from builder.store.store import open_store

LARGE = b"x" * WORTH_BYTES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def digested(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every digesting that begins; the blobs of the tests count as old, and every store as another process's."""
    begun: list[str] = []
    real = Digester

    def digester(algorithm: str) -> Digester:
        begun.append(algorithm)
        return real(algorithm)

    monkeypatch.setattr(checked, "Digester", digester)
    now_ns = time.time_ns() + YOUNG_NS
    stop_clock(monkeypatch, now_ns)
    yield begun
    forget()


def stop_clock(monkeypatch: pytest.MonkeyPatch, now_ns: int) -> None:
    """Let it be `now_ns` for whoever opens a blob, and for nobody else."""
    monkeypatch.setattr("builder.store.checked.time", SimpleNamespace(time_ns=lambda: now_ns))


def forget() -> None:
    sound._known.clear()
    sound._lasting.clear()


def put(root: Path, data: bytes) -> tuple[Digest, Path]:
    with open_store(str(root)) as store:
        digest = store.blobs.put(data)
        path = Path(store.blobs.path(digest))
    forget()
    return digest, path


def read(root: Path, digest: Digest) -> None:
    with open_store(str(root)) as store, store.blobs.stream(digest):
        pass
    forget()


def test_a_blob_that_was_written_is_not_digested_by_the_next_process(root: Path, digested: list[str]) -> None:
    digest, _ = put(root, LARGE)
    digested.clear()
    read(root, digest)
    assert not digested


def test_a_blob_of_unknown_origin_is_digested_once(root: Path, digested: list[str]) -> None:
    digest, _ = put(root, LARGE)
    (root / "known.db").unlink()
    digested.clear()
    read(root, digest)
    assert digested == ["sha256"]
    read(root, digest)
    assert digested == ["sha256"]


@pytest.mark.parametrize("stamp", ["", "1 2 3", "a b c d e", "1 2 3 4 5 6", None])
def test_what_is_known_and_cannot_be_read_is_not_known(root: Path, digested: list[str], stamp: str | None) -> None:
    digest, _ = put(root, LARGE)
    read(root, digest)
    digested.clear()
    with sqlite3.connect(root / "known.db") as connection:
        if stamp is None:
            connection.execute("PRAGMA user_version = 99")
        else:
            connection.execute("UPDATE file SET stamp = ?", (stamp,))
    connection.close()
    read(root, digest)
    assert digested == ["sha256"]


def _edit(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"y")


def _edit_and_set_the_time_back(path: Path) -> None:
    before = path.stat()
    _edit(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _put_another_in_its_place(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"y" * before.st_size)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


def _cut_short(path: Path) -> None:
    os.truncate(path, WORTH_BYTES - 1)


@pytest.mark.parametrize(
    "damage", [_edit, _edit_and_set_the_time_back, _put_another_in_its_place, _cut_short], ids=lambda f: f.__name__
)
def test_damage_is_found_in_what_was_known(root: Path, digested: list[str], damage: Callable[[Path], None]) -> None:
    digest, path = put(root, LARGE)
    read(root, digest)
    damage(path)
    for _ in range(2):
        with pytest.raises(DigestMismatch):
            read(root, digest)


@pytest.mark.parametrize("case", ["small", "young", "written where times are coarse", "checked by verify"])
def test_it_is_digested_again_where_it_must_be(
    root: Path, digested: list[str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    coarse = case == "written where times are coarse"
    if coarse:
        monkeypatch.setattr("builder.store.content.has_fine_times", lambda _: False)
    digest, path = put(root, LARGE[1:] if case == "small" else LARGE)
    if case == "young":
        (root / "known.db").unlink()
        stop_clock(monkeypatch, path.stat().st_ctime_ns)
    if not coarse:
        read(root, digest)
    digested.clear()
    if case == "checked by verify":
        with open_store(str(root)) as store:
            store.blobs.verify(digest)
    else:
        read(root, digest)
    assert digested == ["sha256"]


def test_what_is_gone_is_forgotten(root: Path, digested: list[str]) -> None:
    digest, path = put(root, LARGE)
    read(root, digest)
    with open_store(str(root)) as store:
        assert list(store.known_files.load().values()) == [digest]
        store.known_files.keep_only(store.blobs.stamps())
        assert list(store.known_files.load().values()) == [digest]
        path.unlink()
        store.known_files.keep_only(store.blobs.stamps())
        assert not store.known_files.load()
