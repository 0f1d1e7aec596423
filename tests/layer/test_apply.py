"""Unpacking layers: attributes, order, rights, and what happens where something cannot be had."""

from __future__ import annotations

import io
import os
import pwd
import resource
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from builder.errors import LayerError, StoreError
from builder.filesystem.entry import Entry
from builder.layer.apply import apply_layer
from builder.layer.tar_encode import encode_header
from tests.layer.archives import IDS, Member, pack, seen_on_disk, view

REPOSITORY = Path(__file__).parents[2]
D = "directory"
is_root = os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="other owners and device nodes need root")
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
"""cap_net_bind_service=ep, revision 2 (linux/capability.h)."""


def apply(tree: Path, members: list[Member], *, overlay: bool = True) -> tuple[str, ...]:
    return apply_layer(io.BytesIO(pack(members)), str(tree), overlay=overlay, ids=IDS)


@needs_root
def test_everything_about_an_entry_arrives(tmp_path: Path) -> None:
    members = [
        Member("d/", D, mode=0o2770, uid=5, gid=6, mtime=100),
        Member("d/su", content=b"x" * 3_000_000, mode=0o6755, uid=7, gid=8, mtime=200),
        Member("d/cap", content=b"x", uid=9, xattrs=(("security.capability", CAPABILITY), ("user.n", b"\0"))),
        Member("d/l", "symlink", link="su", uid=11, gid=12, mtime=300),
        Member("d/p", "fifo", mode=0o620, uid=1, mtime=400),
        Member("d/n", "character", device=(1, 3), mode=0o666, gid=3, mtime=500),
        Member("d/b", "block", device=(7, 300), mode=0o660, mtime=600),
    ]
    assert apply(tmp_path, members) == ()
    found = seen_on_disk(tmp_path)
    assert found["d"][:5] == ("directory", 0o2770, 5, 6, 100)
    assert found["d/su"][:5] == ("file", 0o6755, 7, 8, 200)
    assert found["d/cap"].xattrs == (("security.capability", CAPABILITY), ("user.n", b"\0"))
    assert found["d/l"][2:6] == (11, 12, 300, "su")
    assert found["d/p"][:5] == ("fifo", 0o620, 1, 0, 400)
    assert (found["d/n"][:5], found["d/n"].content) == (("character", 0o666, 0, 3, 500), "(1, 3)")
    assert found["d/b"].content == "(7, 300)"


def test_the_umask_does_not_matter(tmp_path: Path) -> None:
    # In a process of its own: the umask belongs to all threads.
    script = (
        "import io, os, sys; os.umask(0o077); from builder.layer.apply import apply_layer;"
        "apply_layer(sys.stdin.buffer, sys.argv[1], overlay=True, ids='ignore')"
    )
    data = pack([Member("d/", D, mode=0o777), Member("d/f", mode=0o666)])
    subprocess.run([sys.executable, "-c", script, tmp_path], input=data, check=True, cwd=REPOSITORY)
    assert stat.S_IMODE(os.stat(tmp_path / "d").st_mode) == 0o777
    assert stat.S_IMODE(os.stat(tmp_path / "d" / "f").st_mode) == 0o666


def test_hard_links_share_an_inode(tmp_path: Path) -> None:
    apply(
        tmp_path,
        [Member("a/f", content=b"x"), Member("b/h", "hardlink", link="a/f"), Member("c", "hardlink", link="b/h")],
    )
    assert os.stat(tmp_path / "c").st_nlink == 3
    assert os.stat(tmp_path / "a" / "f").st_ino == os.stat(tmp_path / "b" / "h").st_ino


def test_a_hard_link_to_a_file_of_a_lower_layer_becomes_a_copy_of_it(tmp_path: Path) -> None:
    below = view(tmp_path, [Member("f", content=b"data", mode=0o640), Member("e", content=b"")])
    tree = tmp_path / "tree"
    tree.mkdir()
    members = [Member("h", "hardlink", link="f"), Member("g", "hardlink", link="e")]
    apply_layer(io.BytesIO(pack(members)), str(tree), overlay=True, ids=IDS, below=below)
    assert (tree / "h").read_bytes() == b"data"
    assert (tree / "g").read_bytes() == b""
    assert stat.S_IMODE(os.stat(tree / "h").st_mode) == 0o640


def test_times_of_directories_outlast_what_is_written_into_them_later(tmp_path: Path) -> None:
    apply(
        tmp_path,
        [
            Member("d/", D, mode=0o755, mtime=5),
            Member("e/", D, mode=0o755, mtime=6),
            Member("d/f"),
            Member("d/s/x"),
            Member("e/g"),
        ],
    )
    assert [os.stat(tmp_path / name).st_mtime for name in ("d", "e", "d/s")] == [5, 6, 0]


def test_a_directory_over_a_directory_keeps_what_is_in_it_and_takes_the_new_attributes(tmp_path: Path) -> None:
    apply(tmp_path, [Member("d/", D, mode=0o700, xattrs=(("user.old", b"1"),)), Member("d/f")], overlay=False)
    apply(tmp_path, [Member("d/", D, mode=0o755, xattrs=(("user.new", b"2"),))], overlay=False)
    assert os.listdir(tmp_path / "d") == ["f"]
    assert stat.S_IMODE(os.stat(tmp_path / "d").st_mode) == 0o755
    assert os.listxattr(tmp_path / "d") == ["user.new"]


def test_a_directory_that_was_there_keeps_its_time_when_a_layer_only_writes_below_it(tmp_path: Path) -> None:
    apply(
        tmp_path,
        [Member("d/", D, mode=0o755, mtime=5), Member("d/e/", D, mode=0o755, mtime=6), Member("d/e/x", mtime=7)],
        overlay=False,
    )
    apply(tmp_path, [Member("d/e/.wh.x"), Member("d/e/y")], overlay=False)
    assert [os.stat(tmp_path / name).st_mtime for name in ("d", "d/e")] == [5, 6]


@needs_root
def test_the_root_of_an_overlay_directory_is_the_root_of_the_image(tmp_path: Path) -> None:
    below = view(tmp_path, [Member("./", D, mode=0o711, uid=3, mtime=9)])
    for name, members in (("with", [Member("./", D, mode=0o700, mtime=8)]), ("without", [Member("x")])):
        tree = tmp_path / name
        tree.mkdir()
        apply_layer(io.BytesIO(pack(members)), str(tree), overlay=True, ids=IDS, below=below)
    own, inherited = os.stat(tmp_path / "with"), os.stat(tmp_path / "without")
    assert (stat.S_IMODE(own.st_mode), own.st_mtime) == (0o700, 8)
    assert (stat.S_IMODE(inherited.st_mode), inherited.st_uid, inherited.st_mtime) == (0o711, 3, 9)


def test_layers_are_unpacked_in_parallel_without_meeting(tmp_path: Path) -> None:
    def one(number: int) -> bytes:
        tree = tmp_path / str(number)
        tree.mkdir()
        content = b"%d" % number
        apply(tree, [Member(f"d{at % 7}/f{at}", content=content) for at in range(300)])
        return b"".join({path.read_bytes() for path in tree.rglob("f*")})

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, range(8))) == [b"%d" % number for number in range(8)]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    apply(tmp_path, [Member("a/b/c/d"), Member("x/y", "hardlink", link="a/b/c/d")])
    with pytest.raises(LayerError):
        apply(tmp_path, [Member("a/b/c/e"), Member("../x")])
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_large_tree_is_removed_where_a_file_takes_its_place(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 300)
    apply(tmp_path, [Member(f"d/{number}/x") for number in range(50)] + [Member(f"{deep}/f")], overlay=False)
    apply(tmp_path, [Member("d", content=b"now a file")], overlay=False)
    assert (tmp_path / "d").read_bytes() == b"now a file"


@needs_root
def test_a_full_disk_is_a_store_error(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        with pytest.raises(StoreError, match=r"'big' cannot be unpacked .*No space left"):
            apply(tmp_path, [Member("big", content=bytes(3 << 20))])
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


_AS_NOBODY = """
import io, os, resource, sys
from builder.layer.apply import apply_layer
from builder.filesystem.remove import remove_tree
from builder.errors import LayerError
data = sys.stdin.buffer.read()
os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
try:
    for line in apply_layer(io.BytesIO(data), sys.argv[1], overlay=False, ids=sys.argv[4]):
        print(line)
except LayerError as error:
    print("LayerError", error.message)
parent = os.open(os.path.dirname(sys.argv[1]), os.O_RDONLY)
print(sorted(os.listdir(sys.argv[1])))
if sys.argv[5] == "remove":
    remove_tree(parent, os.path.basename(sys.argv[1]))
"""


def as_nobody(tree: Path, members: list[Member], ids: str, after: str = "keep") -> list[str]:
    nobody = pwd.getpwnam("nobody")
    tree.mkdir()
    for path in (tree, tree.parent):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    for path in tree.parents:
        if not os.stat(path).st_mode & stat.S_IXOTH:
            os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | stat.S_IXOTH)
    arguments = [str(tree), str(nobody.pw_uid), str(nobody.pw_gid), ids, after]
    ran = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, *arguments],
        input=pack(members),
        capture_output=True,
        check=True,
        cwd=REPOSITORY,
    )
    return ran.stdout.decode().splitlines()


@needs_root
def test_without_rights_devices_are_left_out_with_a_note_and_owners_ignored(tmp_path: Path) -> None:
    members = [
        Member("closed/", D, mode=0o500),
        Member("closed/none/", D, mode=0o000),
        Member("closed/none/f", content=b"x", mode=0o400, uid=5),
        Member("null", "character", device=(1, 3)),
        Member("trusted", xattrs=(("trusted.x", b"1"),)),
    ]
    lines = as_nobody(tmp_path / "tree", members, "ignore")
    assert lines[0] == "null: device nodes cannot be made here; it was left out"
    assert lines[1].startswith("trusted: the extended attribute trusted.x cannot be set here")
    assert lines[2:] == ["['closed', 'trusted']"]
    assert stat.S_IMODE(os.stat(tmp_path / "tree" / "closed").st_mode) == 0o500
    assert stat.S_IMODE(os.stat(tmp_path / "tree" / "closed" / "none").st_mode) == 0
    assert (tmp_path / "tree" / "closed" / "none" / "f").read_bytes() == b"x"


@needs_root
def test_without_rights_an_owner_that_is_wanted_exactly_is_an_error(tmp_path: Path) -> None:
    assert as_nobody(tmp_path / "tree", [Member("f", uid=5)], "exact")[0].startswith(
        "LayerError 'f' cannot be given to 5:0"
    )


@needs_root
def test_trees_closed_to_ourselves_can_be_removed_again(tmp_path: Path) -> None:
    members = [Member("a/", D, mode=0), Member("a/b/", D, mode=0o400), Member("a/b/f", mode=0)]
    as_nobody(tmp_path / "tree", members, "ignore", "remove")
    assert not (tmp_path / "tree").exists()


def test_memory_does_not_grow_with_the_layer(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = pack([Member(f"d{number % 50}/f{number}", content=b"x") for number in range(3000)])

    class Endless:
        """The archive, with a file of 200 MB in it that is never in memory."""

        def __init__(self) -> None:
            self._left = 400
            self._head = io.BytesIO(encode_header(Entry("large", "file", size=200 << 20), 0))
            self._tail = io.BytesIO(data)

        def read(self, size: int, /) -> bytes:
            if block := self._head.read(size):
                return block
            if self._left:
                self._left -= 1
                return bytes(1 << 19)
            return self._tail.read(size)

    apply_layer(Endless(), str(tmp_path), overlay=True, ids=IDS)
    assert os.stat(tmp_path / "large").st_size == 200 << 20
    assert len(os.listdir(tmp_path)) == 51
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
