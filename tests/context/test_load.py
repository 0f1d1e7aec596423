"""Where contexts and Dockerfiles come from, and which of them are refused."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from builder.context.dockerfile_file import find_dockerfile
from builder.context.ignore_file import find_ignore
from builder.context.load import BuildContext, load_context
from builder.errors import ContextError, UsageError
from builder.store.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


def load(
    store: Store, location: object, dockerfile: str | None = None, stdin: bytes = b"", **named: str
) -> BuildContext:
    return load_context(str(location), dockerfile, named, store, stdin=io.BytesIO(stdin))


def tar_of(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size, member.uid = len(text), 11
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.mark.rule("I-5")
@pytest.mark.parametrize(
    ("files", "found"),
    [(["Dockerfile", "dockerfile", "Containerfile"], "Dockerfile"), (["dockerfile", "Containerfile"], "dockerfile"),
     (["Containerfile"], "Containerfile")],
)  # fmt: skip
def test_the_dockerfile_has_three_names(folder: Path, files: list[str], found: str) -> None:
    for name in files:
        (folder / name).write_text(name)
    assert find_dockerfile(str(folder), None).text == found.encode()


def test_a_given_dockerfile_is_looked_for_from_here_and_then_in_the_context(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "build").write_text("inside")
    assert find_dockerfile("context", "build").text == b"inside"
    (tmp_path / "build").write_text("here")
    assert find_dockerfile("context", "build").text == b"here"


@pytest.mark.rule("I-1")
def test_ignore_files_have_an_order(folder: Path, store: Store) -> None:
    for name in ("Dockerfile", "a", "b", "c"):
        (folder / name).write_text(name)
    for name, rules in (
        (".dockerignore", "a"),
        (".containerignore", "b"),
        ("Dockerfile.dockerignore", "c\nDockerfile"),
    ):
        (folder / name).write_text(rules)
        with load(store, folder) as context:
            tree = context.tree("")
            assert [path for path in "abc" if tree.find(path) is None] == [rules[0]]
            # I-4: what is hidden from COPY is not hidden from the builder.
            assert context.dockerfile == b"Dockerfile"


@pytest.mark.rule("I-4")
def test_a_dockerfile_elsewhere_brings_its_own_ignore_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.Dockerfile").write_text("FROM scratch")
    (tmp_path / "x.Dockerfile.dockerignore").write_text("secret")
    (folder / ".dockerignore").write_text("other")
    found = find_dockerfile(str(folder), str(tmp_path / "x.Dockerfile"))
    assert [rule.pattern for rule in find_ignore(str(folder), found).patterns.rules] == ["secret"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [("link out", "not inside"), ("absolute link", "not inside"), ("fifo", "a FIFO"), ("directory", "a directory"),
     ("huge", "longer than")],
)  # fmt: skip
def test_attack_a_special_dockerfile_is_refused(folder: Path, store: Store, kind: str, message: str) -> None:
    name = "Dockerfile"
    (folder.parent / "secret").write_text("secret")
    match kind:
        case "link out":
            os.symlink("../secret", folder / name)
        case "absolute link":
            os.symlink("/etc/passwd", folder / name)
        case "fifo":
            os.mkfifo(folder / name)
        case "directory":
            (folder / name).mkdir()
        case "huge":
            with open(folder / name, "wb") as file:
                file.truncate(64 << 20)
    with pytest.raises(ContextError, match=message):
        load(store, folder)


def test_a_link_inside_the_context_is_followed(folder: Path, store: Store) -> None:
    (folder / "real").write_text("FROM scratch")
    os.symlink("real", folder / "Dockerfile")
    with load(store, folder) as context:
        assert context.dockerfile == b"FROM scratch"


def test_standard_input_is_a_tar_or_a_dockerfile(store: Store) -> None:
    with load(store, "-", stdin=b"FROM scratch\n") as context:
        assert context.dockerfile == b"FROM scratch\n"
        assert [node.entry.path for node in context.tree("").walk("")] == [""]
    data = tar_of(Dockerfile="FROM a", other="FROM b", dir__file="x", **{".dockerignore": "dir"})
    for packed in (data, gzip.compress(data)):
        with load(store, "-", stdin=packed) as context:
            assert context.dockerfile == b"FROM a"
            entry = context.tree("").find("dir/file")  # ignore files are for directories
            assert entry is not None
            assert entry.uid == 11
        with load(store, "-", "other", stdin=packed) as context:
            assert context.dockerfile == b"FROM b"
    with pytest.raises(ContextError, match="holds no Dockerfile"):
        load(store, "-", stdin=tar_of(other="x"))
    with pytest.raises(UsageError):
        load(store, "-", "-")


def test_nothing_of_a_tar_context_is_left_behind(store: Store) -> None:
    with load(store, "-", stdin=tar_of(Dockerfile="FROM a")):
        assert list(Path(store.temporary.directory).rglob("*archive*"))
    assert not list(Path(store.temporary.directory).rglob("*archive*"))


def test_attack_a_tar_context_that_leads_out_is_refused(store: Store) -> None:
    with pytest.raises(ContextError, match="outside"):
        load(store, "-", stdin=tar_of(Dockerfile="FROM a", **{"../../evil": "x"}))


def test_the_dockerfile_may_come_on_standard_input_alone(folder: Path, store: Store) -> None:
    (folder / "a").write_text("a")
    with load(store, folder, "-", stdin=b"FROM x") as context:
        assert context.dockerfile == b"FROM x"
        assert context.tree("").find("a") is not None


@pytest.mark.rule("N-4")
def test_named_contexts_are_opened_when_used_and_heed_their_own_ignore_file(folder: Path, store: Store) -> None:
    (folder / "Dockerfile").write_text("FROM scratch")
    other = folder.parent / "other"
    other.mkdir()
    (other / "a").touch()
    (other / "b").touch()
    (other / ".dockerignore").write_text("b")
    gone = folder.parent / "gone"
    gone.mkdir()
    with load(store, folder, more=str(other), missing=str(gone)) as context:
        gone.rmdir()
        tree = context.tree("more")
        assert tree is context.tree("more")
        assert (tree.find("a") is not None, tree.find("b")) == (True, None)
        with pytest.raises(ContextError, match="cannot be found"):
            context.tree("missing")


@pytest.mark.parametrize(
    ("location", "message"), [("/none/there", "does not exist"), ("/etc/hostname", "is not a directory")]
)
def test_a_context_that_is_none_is_named(store: Store, location: str, message: str) -> None:
    with pytest.raises(ContextError, match=message):
        load(store, location)


@pytest.mark.rule("X14")
def test_a_missing_dockerfile_names_the_nearest(folder: Path, store: Store) -> None:
    (folder / "Dokerfile").touch()
    with pytest.raises(ContextError) as caught:
        load(store, folder)
    assert "Dokerfile" in caught.value.hint
