"""The times that SOURCE_DATE_EPOCH can name: of contexts, of what servers give, of commits (T-1)."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
from pathlib import Path

import pytest

from builder.context.load import BuildContext, load_context
from builder.errors import ContextError, DigestMismatch
from builder.plan.step import ContextSource, GitSource, HttpSource
from builder.solve.copy.timestamps import SourceTimestamps
from builder.store.store import Store
from tests.solve.remotes import Handler, git

SERVED = 1577836800
COMMITTED = 1600000000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


def archive(**times: int) -> bytes:
    """Return a tar of a newer directory and link, and of files with these times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, time in (("d", tarfile.DIRTYPE, 9000), ("l", tarfile.SYMTYPE, 9000)):
            member = tarfile.TarInfo(name)
            member.type, member.mtime, member.linkname = kind, time, "d"
            tar.addfile(member)
        for name, time in times.items():
            member = tarfile.TarInfo(name)
            member.mtime, member.size = time, 13
            tar.addfile(member, io.BytesIO(b"FROM scratch\n"))
    return buffer.getvalue()


def context(store: Store, location: object, stdin: bytes = b"", **named: str) -> BuildContext:
    return load_context(str(location), None, named, store, stdin=io.BytesIO(stdin))


@pytest.mark.rule("T-1")
def test_a_file_has_the_time_that_its_server_says(store: Store, url: str, folder: Path) -> None:
    Handler.files |= {"/b.tar": archive(x=70)}
    with context(store, folder) as main:
        timestamps = SourceTimestamps(main, store, {})
        assert timestamps.timestamp(HttpSource(f"{url}/file.txt")) == SERVED
        assert timestamps.timestamp(HttpSource(f"{url}/b.tar")) == SERVED


@pytest.mark.rule("T-1")
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress])
def test_an_archive_without_a_time_has_that_of_its_newest_file(
    store: Store, url: str, folder: Path, compress: type[bytes]
) -> None:
    Handler.modified = ""
    Handler.files |= {"/b.tar": compress(archive(x=70, y=80, z=60)), "/none.tar": compress(archive())}
    with context(store, folder, b=f"{url}/b.tar") as main:
        timestamps = SourceTimestamps(main, store, {})
        assert timestamps.timestamp(HttpSource(f"{url}/b.tar")) == 80
        assert timestamps.timestamp(HttpSource(f"{url}/none.tar")) is None
        assert timestamps.timestamp(ContextSource("b")) == 80


@pytest.mark.rule("T-1")
def test_what_is_no_archive_and_comes_without_a_time_has_none(store: Store, url: str, folder: Path) -> None:
    Handler.modified = ""
    Handler.files |= {"/broken": archive(x=70)[:700] + b"broken"}
    with context(store, folder) as main:
        timestamps = SourceTimestamps(main, store, {})
        assert [timestamps.timestamp(HttpSource(f"{url}{path}")) for path in ("/file.txt", "/broken")] == [None, None]


@pytest.mark.rule("T-1")
def test_each_source_is_asked_once_and_what_it_said_is_kept(store: Store, url: str, folder: Path) -> None:
    with context(store, folder) as main:
        for _ in range(2):
            timestamps = SourceTimestamps(main, store, {"HTTP_AUTH_TOKEN_127.0.0.1": b"tok"})
            assert [timestamps.timestamp(HttpSource(f"{url}/file.txt")) for _ in range(2)] == [SERVED, SERVED]
    assert [(status, token) for _, status, token in Handler.log] == [(200, "Bearer tok"), (304, "Bearer tok")]


@pytest.mark.rule("T-1")
def test_what_cannot_be_had_is_an_error(store: Store, url: str, folder: Path) -> None:
    with context(store, folder) as main:
        timestamps = SourceTimestamps(main, store, {})
        with pytest.raises(ContextError, match="404"):
            timestamps.timestamp(HttpSource(f"{url}/none"))
        with pytest.raises(DigestMismatch):
            timestamps.timestamp(HttpSource(f"{url}/file.txt", f"sha256:{'0' * 64}"))


@pytest.mark.rule("T-1")
def test_a_repository_has_the_time_of_the_commit_that_is_meant(
    store: Store, repository: str, folder: Path, tmp_path: Path
) -> None:
    commit = git(tmp_path / "served/repo.git", "rev-parse", "other")
    with context(store, folder) as main:
        timestamps = SourceTimestamps(main, store, {})
        for reference in ("", "v1", "refs/tags/v1", commit):
            assert timestamps.timestamp(GitSource(remote=repository, reference=reference)) == COMMITTED
        with pytest.raises(ContextError, match="expected commit 000"):
            timestamps.timestamp(GitSource(remote=repository, checksum="0" * 40))
    assert not list(Path(store.temporary.path("x")).parent.glob("*commit*"))


@pytest.mark.rule("T-1")
def test_a_context_from_elsewhere_has_its_own_time(store: Store, repository: str, url: str, tmp_path: Path) -> None:
    served = tmp_path / "served/repo.git"
    (served / "Dockerfile").write_text("FROM scratch\n")
    git(served, "add", ".")
    git(served, "commit", "-q", "-m", "three")
    Handler.files |= {"/c.tar": archive(Dockerfile=70), "/Dockerfile": b"FROM scratch\n"}
    for location, time in ((repository, COMMITTED), (f"{url}/c.tar", SERVED), (f"{url}/Dockerfile", SERVED)):
        with context(store, location, named=repository) as main:
            assert (main.timestamp(""), main.timestamp("named")) == (time, COMMITTED)
    with context(store, repository) as main:
        assert main.commit_time() == COMMITTED


@pytest.mark.rule("T-1")
def test_a_context_on_standard_input_has_the_time_of_its_newest_file(store: Store) -> None:
    for stdin, time in ((archive(Dockerfile=70, y=50), 70), (b"FROM scratch\n", None)):
        with context(store, "-", stdin) as main:
            assert main.timestamp("") == time


@pytest.mark.rule("T-1")
def test_a_directory_has_the_time_of_its_commit_or_none(store: Store, repository: str, tmp_path: Path) -> None:
    served = tmp_path / "served/repo.git"
    (served / "sub/Dockerfile").write_text("FROM scratch\n")
    plain = tmp_path / "plain"
    plain.mkdir()
    with context(store, served / "sub", plain=str(plain), other=str(served)) as main:
        assert [main.timestamp(name) for name in ("", "plain", "other")] == [COMMITTED, None, COMMITTED]
