"""ADD from servers on loopback: files by HTTP, repositories by git's own protocol."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path

import pytest

from builder.errors import Cancelled, ContextError, DigestMismatch, PybuildError
from builder.plan.step import GitSource, HttpSource
from builder.solve.copy.remote import RemoteSources
from builder.store.store import Store
from tests.solve.copying import MADE_AT, Rig
from tests.solve.remotes import Handler, git
from tests.web.hostile import WITHIN_SECONDS, HostileServer, endless


@pytest.fixture
def rig(tmp_path: Path, store: Store) -> Rig:
    rig = Rig(tmp_path / "bench")
    rig.find_remote = RemoteSources(store).select
    return rig


@pytest.mark.rule("C-23")
def test_a_file_by_http_has_its_name_mode_and_time(rig: Rig, url: str) -> None:
    entry = rig.put((HttpSource(f"{url}/file.txt?q=1"),), "/t/", is_add=True)["t/file.txt"]
    assert (entry.mode, entry.uid, entry.gid, entry.mtime, entry.size) == (0o600, 0, 0, 1577836800, 5)
    assert "t/__unnamed__" in rig.put((HttpSource(f"{url}/"),), "/t/", is_add=True)
    assert "t/b c" in rig.put((HttpSource(f"{url}/b%20c"),), "/t/", is_add=True)
    assert "t/moved" in rig.put((HttpSource(f"{url}/moved"),), "/t/", is_add=True)


@pytest.mark.rule("C-23")
def test_a_remote_archive_is_unpacked_only_when_asked(rig: Rig, url: str) -> None:
    assert "t/a.tar" in rig.put((HttpSource(f"{url}/a.tar"),), "/t/", is_add=True)
    assert "u/n" in rig.put((HttpSource(f"{url}/a.tar"),), "/u/", is_add=True, unpack=True)


@pytest.mark.rule("C-23")
def test_the_next_build_asks_whether_the_file_has_changed(rig: Rig, url: str, store: Store) -> None:
    source = (HttpSource(f"{url}/file.txt"),)
    rig.put(source, "/t", is_add=True)
    rig.find_remote = RemoteSources(store).select
    rig.put(source, "/t", is_add=True)
    assert [status for _, status, _ in Handler.log] == [200, 304]
    Handler.files["/file.txt"] = b"other"
    rig.find_remote = RemoteSources(store).select
    rig.put(source, "/t", is_add=True)
    assert rig.read("t") == "other"


@pytest.mark.rule("C-27")
def test_a_checksum_is_checked_and_spares_asking(rig: Rig, url: str, store: Store) -> None:
    right = f"sha256:{hashlib.sha256(b'hello').hexdigest()}"
    for _ in range(2):
        rig.find_remote = RemoteSources(store).select
        rig.put((HttpSource(f"{url}/file.txt", right),), "/t", is_add=True)
    assert len(Handler.log) == 1
    for kept in (True, False):
        with pytest.raises(DigestMismatch):
            rig.put((HttpSource(f"{url}/{'file.txt' if kept else 'moved'}", f"sha256:{'0' * 64}"),), "/t", is_add=True)


@pytest.mark.parametrize(("path", "message"), [("/none", "404"), ("/short", "short|IncompleteRead|cannot be fetched")])
def test_what_cannot_be_fetched_is_named_without_its_password(rig: Rig, url: str, path: str, message: str) -> None:
    with pytest.raises(ContextError, match=message) as caught:
        rig.put((HttpSource(url.replace("//", "//user:hunter2@") + path),), "/t", is_add=True)
    assert "hunter2" not in caught.value.message


def test_an_unreachable_server_is_named(rig: Rig) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ContextError, match=f"127.0.0.1:{port}/x cannot be fetched"):
        rig.put((HttpSource(f"http://127.0.0.1:{port}/x"),), "/t", is_add=True)


def test_a_download_that_is_cancelled_ends_though_its_server_is_silent(rig: Rig, store: Store) -> None:
    began = time.monotonic()
    rig.find_remote = RemoteSources(store, cancelled=lambda: time.monotonic() - began > 1).select
    with HostileServer({"": endless(b"", 0.1)}) as server, pytest.raises(Cancelled):
        rig.put((HttpSource(f"http://{server.host}/x"),), "/t", is_add=True)
    assert time.monotonic() - began < WITHIN_SECONDS


@pytest.mark.rule("C-23")
def test_credentials_come_from_secrets(rig: Rig, url: str, store: Store) -> None:
    rig.find_remote = RemoteSources(store, secrets={"HTTP_AUTH_TOKEN_127.0.0.1": b"tok\n"}).select
    rig.put((HttpSource(f"{url}/file.txt"),), "/t", is_add=True)
    assert Handler.log[0][2] == "Bearer tok"


# --- git -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("C-24")
@pytest.mark.parametrize(
    ("reference", "has_new"), [("", False), ("other", True), ("v1", False), ("refs/heads/other", True)]
)
def test_a_repository_is_copied_without_its_git_directory(
    rig: Rig, repository: str, reference: str, has_new: bool
) -> None:
    layer = rig.put((GitSource(remote=repository, reference=reference),), "/t/", is_add=True)
    assert ("t/new" in layer, "t/.git" in layer) == (has_new, False)
    assert layer["t"].mtime == MADE_AT
    assert (layer["t/run"].mode, layer["t/sub/f"].mode, layer["t/sub"].mode) == (0o755, 0o644, 0o755)


@pytest.mark.rule("C-24")
def test_a_commit_a_folder_and_the_time_of_the_commit(rig: Rig, repository: str, tmp_path: Path) -> None:
    commit = git(tmp_path / "served/repo.git", "rev-parse", "other~1")
    source = GitSource(remote=repository, reference=commit, subdirectory="sub", mtime="commit", checksum=commit[:9])
    layer = rig.put((source,), "/t/", is_add=True)
    assert {path: layer[path].mtime for path in layer if path != "t"} == {"t/f": 1600000000}
    assert rig.inputs[0]["commit"] == commit
    assert "t/.git" in rig.put((GitSource(remote=repository, keep_git_dir=True),), "/t/", is_add=True)


@pytest.mark.rule("C-21")
def test_exclude_holds_in_repositories(rig: Rig, repository: str) -> None:
    assert "t/sub" not in rig.put((GitSource(remote=repository),), "/t/", is_add=True, exclude=("sub",))


@pytest.mark.rule("C-27")
@pytest.mark.parametrize(
    ("fields", "message"),
    [({"reference": "none"}, "no branch or tag 'none'"), ({"checksum": "0" * 40}, "expected commit 000"),
     ({"subdirectory": "none"}, "no directory 'none'")],
)  # fmt: skip
def test_what_a_repository_lacks_is_named(rig: Rig, repository: str, fields: dict[str, str], message: str) -> None:
    with pytest.raises(PybuildError, match=message):
        rig.put((GitSource(remote=repository, **fields),), "/t/", is_add=True)  # type: ignore[arg-type]


def test_attack_a_folder_that_is_a_link_out_of_the_repository_is_refused(rig: Rig, repository: str) -> None:
    for subdirectory in ("out", "../../../../../../../../etc"):
        with pytest.raises(ContextError, match="no directory"):
            rig.put((GitSource(remote=repository, subdirectory=subdirectory),), "/t/", is_add=True)


def test_attack_a_local_path_is_no_remote(rig: Rig, repository: str, tmp_path: Path) -> None:
    for remote in (f"file://{tmp_path}/served/repo.git", f"{tmp_path}/served/repo.git", "ext::sh -c id"):
        with pytest.raises(ContextError):
            rig.put((GitSource(remote=remote),), "/t/", is_add=True)


def test_attack_a_submodule_that_names_a_local_directory_is_refused(rig: Rig, repository: str, tmp_path: Path) -> None:
    folder = tmp_path / "served/repo.git"
    git(folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(folder), "inner")
    git(folder, "commit", "-q", "-m", "three")
    with pytest.raises(ContextError, match="git submodule"):
        rig.put((GitSource(remote=repository),), "/t/", is_add=True)
    assert "t/inner" in rig.put((GitSource(remote=repository, submodules=False),), "/t/", is_add=True)


def test_attack_an_option_in_place_of_a_remote_or_reference_is_none(rig: Rig, repository: str) -> None:
    for fields in (
        {"remote": "--upload-pack=touch /tmp/owned"},
        {"remote": repository, "reference": "--upload-pack=id"},
    ):
        with pytest.raises(ContextError):
            rig.put((GitSource(**fields),), "/t/", is_add=True)  # type: ignore[arg-type]
