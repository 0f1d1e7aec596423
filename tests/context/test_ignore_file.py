"""What stands where an ignore file is looked for: a file, nothing, what can't be one, and what can't be read."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.context.dockerfile_file import FoundDockerfile
from builder.context.ignore_file import find_ignore
from builder.errors import ContextError

PLACES = ("Dockerfile.dockerignore", ".containerignore", ".dockerignore")
NO_IGNORE_FILES = {
    "a directory": "is a directory, not a file",
    "a link to a directory": "is a directory, not a file",
    "a link out": "is a symbolic link to '../outside'",
    "an absolute link out": "is a symbolic link to '/etc/hostname'",
    "a dangling link": "is a symbolic link to 'nowhere'",
    "a link to itself": "is a symbolic link to ",
    "a link through a file": "is a symbolic link to 'other/x'",
}
UNREADABLE = {
    "a fifo": "is a FIFO, not a file",
    "a socket": "No such device or address",
    "a link to a fifo": "is a FIFO, not a file",
    "too long": "is longer than 4 MiB",
    "without permission": "Permission denied",
    "a link into a closed directory": "Permission denied",
}
NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A context folder that any user can reach, with `outside` beside it."""
    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        (Path(above) / "outside").write_text("hidden")
        context = Path(above) / "context"
        context.mkdir()
        (context / "other").write_text("hidden")
        yield context
        for path in context.iterdir():
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)


def put(path: Path, kind: str) -> None:
    folder = path.parent
    match kind:
        case "a directory":
            path.mkdir()
        case "a link to a directory":
            (folder / "d").mkdir(exist_ok=True)
            path.symlink_to("d")
        case "a link out":
            path.symlink_to("../outside")
        case "an absolute link out":
            path.symlink_to("/etc/hostname")
        case "a dangling link":
            path.symlink_to("nowhere")
        case "a link to itself":
            path.symlink_to(path.name)
        case "a link through a file":
            path.symlink_to("other/x")
        case "a fifo":
            os.mkfifo(path)
        case "a socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
        case "a link to a fifo":
            os.mkfifo(folder / "pipe")
            path.symlink_to("pipe")
        case "too long":
            path.write_bytes(b"x\n" * (3 << 20))
        case "without permission":
            path.write_text("hidden")
            path.chmod(0)
        case "a link into a closed directory":
            (folder / "closed").mkdir()
            (folder / "closed" / "x").write_text("hidden")
            path.symlink_to("closed/x")
            (folder / "closed").chmod(0)


@pytest.fixture
def ordinary() -> Iterator[None]:
    """Root may read anything: be somebody else meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.rule("I-1", "Z-21")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("kind", "said"), NO_IGNORE_FILES.items())
def test_what_cannot_be_an_ignore_file_is_none_and_is_told(folder: Path, place: str, kind: str, said: str) -> None:
    put(folder / place, kind)
    dockerfile = FoundDockerfile(b"", str(folder), "Dockerfile")
    found = find_ignore(str(folder), dockerfile)
    assert not found.patterns
    [sentence] = found.passed_over
    assert sentence.startswith(f"{folder / place} {said}")
    assert sentence.endswith("it hides nothing from the build")


@pytest.mark.rule("I-1", "Z-21")
@pytest.mark.parametrize("kind", NO_IGNORE_FILES)
def test_the_next_name_counts_when_one_is_no_ignore_file(folder: Path, kind: str) -> None:
    put(folder / PLACES[0], kind)
    put(folder / PLACES[1], "a dangling link")
    (folder / PLACES[2]).write_text("secret\n")
    found = find_ignore(str(folder), FoundDockerfile(b"", str(folder), "Dockerfile"))
    assert [rule.pattern for rule in found.patterns.rules] == ["secret"]
    assert len(found.passed_over) == 2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("kind", "said"), UNREADABLE.items())
def test_an_ignore_file_that_cannot_be_read_is_an_error(
    folder: Path, place: str, kind: str, said: str, request: pytest.FixtureRequest
) -> None:
    put(folder / place, kind)
    request.getfixturevalue("ordinary")
    with pytest.raises(ContextError) as caught:
        find_ignore(str(folder), FoundDockerfile(b"", str(folder), "Dockerfile"))
    if kind == "a link into a closed directory" and os.geteuid() == os.stat(folder / "closed").st_uid:
        (folder / "closed").chmod(0o700)  # whose it is must be able to delete it
    assert caught.value.message.startswith(f"the ignore file {folder / place} ")
    assert said in caught.value.message
    assert "let secrets in" in caught.value.hint
    assert "-f" not in caught.value.hint


def test_a_link_inside_is_an_ignore_file_and_nothing_is_nothing(folder: Path) -> None:
    assert find_ignore(str(folder), None) == find_ignore(str(folder), FoundDockerfile(b"", str(folder), "D"))
    for number, target in enumerate(("other", "/other", "../../other")):
        os.symlink(target, folder / ".dockerignore")
        found = find_ignore(str(folder), None)
        assert [rule.pattern for rule in found.patterns.rules] == ["hidden"], number
        assert found.passed_over == ()
        os.unlink(folder / ".dockerignore")
