"""Roots: paths mean what they would after chroot, and never lead out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.filesystem.links import follow_links
from builder.filesystem.resolve import Root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    inside = tmp_path / "root"
    (inside / "usr" / "lib").mkdir(parents=True)
    (inside / "usr" / "lib" / "x").write_bytes(b"inside")
    (inside / "lib").symlink_to("usr/lib")
    (inside / "abs").symlink_to("/usr")
    (inside / "up").symlink_to("../../..")
    (inside / "dangling").symlink_to("no/where")
    (inside / "loop").symlink_to("loop")
    (inside / "file").write_bytes(b"f")
    (tmp_path / "secret").write_bytes(b"outside")
    (inside / "out").symlink_to(str(tmp_path / "secret"))
    with Root(str(inside)) as held:
        yield held


def read(root: Root, path: str) -> bytes:
    descriptor = root.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("path", ["usr/lib/x", "lib/x", "/lib/x", "abs/lib/x", "up/usr/lib/x", "../../lib/../lib/x"])
def test_links_and_dots_stay_inside(root: Root, path: str) -> None:
    assert read(root, path) == b"inside"
    assert root.resolve(path) == "usr/lib/x"


def test_a_link_to_a_file_outside_finds_nothing(root: Root) -> None:
    with pytest.raises(FileNotFoundError):
        root.open("out", os.O_RDONLY)


@pytest.mark.parametrize(
    ("path", "resolved"),
    [("dangling/x", "no/where/x"), ("new/dir", "new/dir"), ("new/../file", "file"), ("", ""), ("/", ""), ("up", "")],
)
def test_what_is_missing_stays_as_it_is_written(root: Root, path: str, resolved: str) -> None:
    assert root.resolve(path) == resolved


def test_a_loop_is_eloop(root: Root) -> None:
    for act in (lambda: root.resolve("loop/x"), lambda: root.open("loop", os.O_RDONLY)):
        with pytest.raises(OSError, match="symbolic links") as caught:
            act()
        assert caught.value.errno == errno.ELOOP


def test_stat_and_read_link_do_not_open_what_they_look_at(root: Root) -> None:
    os.mkfifo(os.path.join(root.path, "pipe"))
    assert root.stat("pipe").st_size == 0
    assert root.read_link("lib") == "usr/lib"
    assert root.read_link("usr") is None
    assert root.read_link("missing") is None
    assert root.read_link("file/below") is None
    assert root.stat("lib", follow_last=False).st_size == len("usr/lib")


def test_a_closed_root_can_be_closed_again(root: Root) -> None:
    root.close()
    root.close()
    assert root.fd == -1


_PARTS = st.sampled_from(["a", "b", "l", "..", ".", ""])
_PATHS = st.lists(_PARTS, max_size=6).map("/".join)


@given(
    st.dictionaries(st.sampled_from(["a", "l", "a/l", "b/a"]), _PATHS.filter(bool), max_size=4), _PATHS, st.booleans()
)
def test_a_followed_path_is_clean_and_stays_when_followed_again(
    links: dict[str, str], path: str, follow_last: bool
) -> None:
    try:
        found = follow_links(path, links.get, follow_last=follow_last)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return
    assert all(part not in ("", ".", "..") for part in found.split("/")) or found == ""
    assert follow_links(found, links.get, follow_last=follow_last) == found


def test_directories_that_are_kept_open_do_not_mix_up_paths(tmp_path: Path) -> None:
    for name in ("a/x", "a/b/x", "c/x", "x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    with Root(str(tmp_path)) as root:
        for name in ("a/x", "x", "a/b/x", "a/x", "c/x", "/c/x", "//x", "a//x", "a/../c/x", "./x", "a/x"):
            descriptor = root.open(name, os.O_RDONLY)
            try:
                assert os.read(descriptor, 100).decode() == os.path.normpath("/" + name).lstrip("/")
            finally:
                os.close(descriptor)
    assert not any(str(tmp_path) in os.readlink(f"/proc/self/fd/{fd}") for fd in open_descriptors())


def open_descriptors() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
