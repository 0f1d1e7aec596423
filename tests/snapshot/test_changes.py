"""What counts as a change, case by case; each on overlayfs and on a copied tree."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import LayerError
from builder.filesystem.entry import Entry
from builder.layer.content import FileContent
from builder.layer.tar_writer import write_layer
from builder.snapshot.changes import is_deletion
from builder.snapshot.copying import CopyingSnapshotter
from builder.snapshot.overlay import OverlaySnapshotter
from builder.snapshot.snapshotter import ActiveSnapshot, Snapshotter, StackLayer
from tests.layer.archives import Member, is_mount_allowed
from tests.snapshot.rig import Rig, view_of

pytestmark = pytest.mark.skipif(not is_mount_allowed(), reason="mounting overlayfs needs root (CI has it)")

BASE = (
    Member("etc", "directory", mode=0o755),
    Member("etc/conf", content=b"text", mode=0o640, uid=5, gid=6),
    Member("etc/other", content=b"other"),
    Member("bin", "directory", mode=0o755),
    Member("bin/one", content=b"program", mode=0o755),
    Member("bin/two", "hardlink", link="bin/one"),
    Member("data", "directory", mode=0o755),
    Member("data/sub", "directory", mode=0o755),
    Member("data/sub/file", content=b"x"),
    Member("data/link", "symlink", link="sub"),
)
Changes = list[tuple[Entry, bytes | None]]
Make = Callable[[Callable[[Path], object]], Changes]


@pytest.fixture(params=["overlay", "copying"])
def changes_of(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Gives what a function that is let loose on the tree changes."""
    rig = Rig(tmp_path)
    kinds: dict[str, type[OverlaySnapshotter] | type[CopyingSnapshotter]] = {
        "overlay": OverlaySnapshotter,
        "copying": CopyingSnapshotter,
    }
    snapshotter: Snapshotter = kinds[request.param](rig.place)

    def make(act: Callable[[Path], object]) -> Changes:
        return run(rig, snapshotter, act)

    return make


def run(rig: Rig, snapshotter: Snapshotter, act: Callable[[Path], object]) -> Changes:
    return run_on(rig, snapshotter, [rig.layer(BASE)], act)


def run_on(rig: Rig, snapshotter: Snapshotter, layers: list[StackLayer], act: Callable[[Path], object]) -> Changes:
    active: ActiveSnapshot = snapshotter.prepare(layers, view_of(layers))
    with rig.mounted(active.rootfs) as tree:
        act(Path(tree))
    found: Changes = []
    for entry, content in snapshotter.changes(active):
        if isinstance(content, FileContent):
            content = Path(content.path).read_bytes()
        assert content is None or isinstance(content, bytes)
        found.append((entry, content))
    snapshotter.discard(active)
    return found


def paths(changes: Changes) -> list[str]:
    return [entry.path for entry, _ in changes]


def test_nothing_done_is_no_change(changes_of: Make) -> None:
    assert changes_of(lambda tree: None) == []


def test_a_new_file_brings_the_directories_above_it(changes_of: Make) -> None:
    changes = changes_of(lambda tree: (tree / "data/sub/new").write_bytes(b"content"))
    assert paths(changes) == ["data", "data/sub", "data/sub/new"]
    assert changes[2][1] == b"content"
    assert changes[2][0].size == 7


def test_a_mode_alone_is_a_change_of_the_whole_file(changes_of: Make) -> None:
    changes = changes_of(lambda tree: (tree / "etc/conf").chmod(0o600))
    assert paths(changes) == ["etc", "etc/conf"]
    entry, content = changes[1]
    assert (entry.mode, entry.uid, entry.gid, content) == (0o600, 5, 6, b"text")


def test_a_directorys_mode_alone_is_a_change_of_the_directory(changes_of: Make) -> None:
    changes = changes_of(lambda tree: (tree / "data").chmod(0o700))
    assert [(entry.path, entry.mode) for entry, _ in changes] == [("data", 0o700)]


def test_the_mode_that_was_there_is_no_change(changes_of: Make) -> None:
    assert changes_of(lambda tree: (tree / "etc/conf").chmod(0o640)) == []


def test_opening_for_writing_is_no_change(changes_of: Make) -> None:
    def act(tree: Path) -> None:
        os.close(os.open(tree / "etc/conf", os.O_RDWR))

    assert changes_of(act) == []


def test_the_same_size_and_time_with_other_bytes_is_a_change(changes_of: Make) -> None:
    def act(tree: Path) -> None:
        before = os.stat(tree / "etc/conf")
        (tree / "etc/conf").write_bytes(b"TEXT")
        os.utime(tree / "etc/conf", ns=(before.st_atime_ns, before.st_mtime_ns))

    assert changes_of(act)[1][1] == b"TEXT"


def come_and_go(path: Path) -> None:
    (path / "stub").touch()
    (path / "stub").unlink()


TIMES_OF_DIRECTORIES: dict[str, Callable[[Path], object]] = {
    "now": os.utime,
    "long ago": lambda path: os.utime(path, (1_000_000_001, 1_000_000_001)),
    "the first of all seconds": lambda path: os.utime(path, (0, 0)),
    "before 1970": lambda path: os.utime(path, (-1, -1)),
    "after 2038": lambda path: os.utime(path, (1 << 32, 1 << 32)),
    "the modification alone": lambda path: os.utime(path, ns=(os.stat(path).st_atime_ns, 1_000_000_001_500_000_000)),
    "by a name that came and went": come_and_go,
}


@pytest.mark.parametrize("set_time", TIMES_OF_DIRECTORIES.values(), ids=TIMES_OF_DIRECTORIES)
def test_the_time_of_a_directory_is_what_the_step_left(changes_of: Make, set_time: Callable[[Path], object]) -> None:
    left = []

    def act(tree: Path) -> None:
        set_time(tree / "data/sub")
        left.append(os.stat(tree / "data/sub").st_mtime_ns // 10**9)

    assert [(entry.path, entry.mtime) for entry, _ in changes_of(act)] == [
        ("data", 1_000_000_000),
        ("data/sub", left[0]),
    ]


def test_the_time_that_a_directory_had_is_no_change(changes_of: Make) -> None:
    def act(tree: Path) -> None:
        before = os.stat(tree / "data")
        (tree / "data/stub").touch()
        (tree / "data/stub").unlink()
        os.utime(tree / "data", ns=(before.st_atime_ns, before.st_mtime_ns))

    assert changes_of(act) == []


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
@pytest.mark.parametrize("snapshots", [OverlaySnapshotter, CopyingSnapshotter])
def test_what_is_touched_in_the_second_in_which_it_was_made_is_in_the_layer_again(
    tmp_path: Path, kind: str, snapshots: type[OverlaySnapshotter] | type[CopyingSnapshotter]
) -> None:
    """Also when the step that made it is found unpacked from its tar, which holds whole seconds."""

    def make(tree: Path) -> None:
        match kind:
            case "file":
                (tree / "etc/new").write_bytes(b"text")
            case "directory":
                (tree / "etc/new").mkdir()
            case _:
                (tree / "etc/new").symlink_to("conf")
        touch(tree, 500_000_000)

    def touch(tree: Path, fraction: int) -> None:
        second = 1_100_000_000 * 10**9
        os.utime(tree / "etc/new", ns=(second, second + fraction), follow_symlinks=False)

    rig = Rig(tmp_path)
    snapshotter = snapshots(rig.place)
    layers = [rig.layer(BASE)]
    active = snapshotter.prepare(layers, view_of(layers))
    with rig.mounted(active.rootfs) as tree:
        make(Path(tree))
    layers.append(rig.write(snapshotter.changes(active)))
    snapshotter.commit(active, layers[-1].diff_id)
    anew = Rig(tmp_path / "anew")
    for place, other in ((rig, snapshotter), (anew, snapshots(anew.place))):
        got = run_on(place, other, layers, lambda tree: touch(tree, 700_000_000))
        assert paths(got) == ["etc", "etc/new"]


@pytest.mark.parametrize("snapshots", [OverlaySnapshotter, CopyingSnapshotter])
def test_what_an_earlier_step_made_and_this_one_left_alone_is_no_change(
    tmp_path: Path, snapshots: type[OverlaySnapshotter] | type[CopyingSnapshotter]
) -> None:
    rig = Rig(tmp_path)
    snapshotter = snapshots(rig.place)
    layers = [rig.layer(BASE)]
    active = snapshotter.prepare(layers, view_of(layers))
    with rig.mounted(active.rootfs) as tree:
        Path(tree, "etc/new").write_bytes(b"text")
    layers.append(rig.write(snapshotter.changes(active)))
    snapshotter.commit(active, layers[-1].diff_id)
    assert run_on(rig, snapshotter, layers, lambda tree: (tree / "etc/new").chmod(0o644)) == []


def test_a_removed_file_is_a_whiteout_beside_its_siblings(changes_of: Make) -> None:
    changes = changes_of(lambda tree: (tree / "etc/conf").unlink())
    assert paths(changes) == ["etc", "etc/.wh.conf"]


def test_a_directory_made_anew_has_a_whiteout_for_each_old_name(changes_of: Make) -> None:
    def act(tree: Path) -> None:
        (tree / "data/sub/file").unlink()
        (tree / "data/sub").rmdir()
        (tree / "data/link").unlink()
        (tree / "data").rmdir()
        (tree / "data").mkdir(0o755)
        (tree / "data/new").touch()

    assert paths(changes_of(act)) == ["data", "data/.wh.link", "data/.wh.sub", "data/new"]


def test_a_removed_directory_is_one_whiteout(changes_of: Make) -> None:
    def act(tree: Path) -> None:
        (tree / "data/sub/file").unlink()
        (tree / "data/sub").rmdir()

    assert paths(changes_of(act)) == ["data", "data/.wh.sub"]


def test_a_file_in_place_of_a_directory_needs_no_whiteout(changes_of: Make) -> None:
    def act(tree: Path) -> None:
        (tree / "data/sub/file").unlink()
        (tree / "data/sub").rmdir()
        (tree / "data/sub").write_bytes(b"now a file")

    assert paths(changes_of(act)) == ["data", "data/sub"]


def test_a_renamed_file_is_a_file_and_a_whiteout(changes_of: Make) -> None:
    changes = changes_of(lambda tree: os.rename(tree / "etc/conf", tree / "data/conf"))
    assert paths(changes) == ["data", "data/conf", "etc", "etc/.wh.conf"]
    assert changes[1][1] == b"text"


def test_new_names_of_an_old_file_stand_with_the_file(changes_of: Make) -> None:
    changes = changes_of(lambda tree: os.link(tree / "etc/conf", tree / "etc/again"))
    assert [(entry.path, entry.kind, entry.link) for entry, _ in changes] == [
        ("etc", "directory", ""),
        ("etc/again", "file", ""),
        ("etc/conf", "hardlink", "etc/again"),
    ]


def test_all_names_of_a_new_file_lead_to_the_first(changes_of: Make) -> None:
    def act(tree: Path) -> None:
        (tree / "z").write_bytes(b"data")
        os.link(tree / "z", tree / "b")
        os.link(tree / "z", tree / "a")

    found = [(entry.path, entry.kind, entry.link, content) for entry, content in changes_of(act)]
    assert found == [("a", "file", "", b"data"), ("b", "hardlink", "a", None), ("z", "hardlink", "a", None)]


def test_a_socket_is_left_out_and_leaves_the_time_alone(changes_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(tree: Path) -> None:
        monkeypatch.chdir(tree)  # the path of a socket has room for 107 bytes
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("data/sub/s")
        monkeypatch.undo()

    assert paths(changes_of(act)) == ["data", "data/sub"]


@pytest.mark.parametrize("anew", [False, True])
def test_a_socket_in_place_of_a_file_leaves_the_deletion_of_the_file(
    changes_of: Make, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    def act(tree: Path) -> None:
        if anew:
            shutil.rmtree(tree / "etc")
            (tree / "etc").mkdir()
        else:
            (tree / "etc/conf").unlink()
        monkeypatch.chdir(tree)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("etc/conf")
        monkeypatch.undo()

    gone = ["etc/.wh.conf", "etc/.wh.other"] if anew else ["etc/.wh.conf"]
    assert paths(changes_of(act)) == ["etc", *gone]


def test_devices_and_fifos_are_kept(changes_of: Make) -> None:
    def act(tree: Path) -> None:
        os.mkfifo(tree / "fifo", 0o600)
        os.mknod(tree / "null", 0o020666, os.makedev(1, 3))
        os.chmod(tree / "null", 0o666)

    found = [(entry.path, entry.kind, entry.mode, entry.device) for entry, _ in changes_of(act)]
    assert found == [("fifo", "fifo", 0o600, (0, 0)), ("null", "character", 0o666, (1, 3))]


def test_file_capabilities_and_user_attributes_are_kept_and_others_not(changes_of: Make) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")

    def act(tree: Path) -> None:
        program = tree / "bin/new"
        program.touch()
        os.setxattr(program, "user.a", b"\0\xff")
        os.setxattr(program, "security.capability", capability)
        os.setxattr(program, "trusted.mine", b"secret")

    entry = changes_of(act)[1][0]
    assert entry.xattrs == (("security.capability", capability), ("user.a", b"\0\xff"))


def test_names_that_are_no_utf8_survive(changes_of: Make) -> None:
    changes = changes_of(lambda tree: Path(os.fsdecode(bytes(tree) + b"/\xff\xe9")).touch())
    assert [os.fsencode(path) for path in paths(changes)] == [b"\xff\xe9"]


def test_a_file_with_the_name_of_a_whiteout_is_no_deletion_and_hides_none(changes_of: Make, tmp_path: Path) -> None:
    def act(tree: Path) -> None:
        for name in ("etc/.wh.conf", "etc/.wh.other", "data/.wh..wh..opq"):
            (tree / name).touch()
        (tree / "etc/.wh.dir").mkdir()
        (tree / "etc/conf").unlink()

    changes = changes_of(act)
    names = ["data", "data/.wh..wh..opq", "etc", "etc/.wh.conf", "etc/.wh.conf", "etc/.wh.dir", "etc/.wh.other"]
    assert paths(changes) == names
    assert [is_deletion(change) for change in changes].index(True) == 3
    assert sum(is_deletion(change) for change in changes) == 1
    with pytest.raises(LayerError, match=r"'data/\.wh\.\.wh\.\.opq' cannot .* stand for deleted files"):
        write_layer(changes, lambda _: None, str(tmp_path / "index"))


def test_changes_come_in_tree_order(changes_of: Make) -> None:
    def act(tree: Path) -> None:
        for name in ("a", "a-b", "a.b", "b"):
            (tree / name).mkdir()
            (tree / name / "x").touch()
        (tree / "etc/conf").unlink()

    found = paths(changes_of(act))
    assert found == sorted(found, key=lambda path: os.fsencode(path).replace(b"/", b"\0"))
    assert len(found) == 10


def test_the_root_directory_itself_is_no_entry(changes_of: Make) -> None:
    assert changes_of(lambda tree: tree.chmod(0o711)) == []
