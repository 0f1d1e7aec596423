"""What the layers of an image come to, by a second way: tars are read by tarfile, and put on one another as they are.

Nothing of builder.explain or builder.layer is used, and no table of contents: each layer makes a whole new state of
paths from the one below, and what is asked for is read off two states that follow one another.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable
from typing import NamedTuple


class Node(NamedTuple):
    """What a state has at a path. `inode` says which bytes: the layer, and the name they are stored under."""

    is_folder: bool
    looks: tuple[object, ...]
    inode: tuple[int, str]


class Figures(NamedTuple):
    """Of one layer."""

    added: int
    modified: int
    deleted: int
    stored: int
    hidden: int


def figures_of(layers: Iterable[bytes]) -> list[Figures]:
    """Return the figures of each layer, base first."""
    state: dict[str, Node] = {}
    counts: list[tuple[int, int, int]] = []
    sizes: dict[tuple[int, str], int] = {}
    for number, data in enumerate(layers):
        before, written = state, dict[str, Node]()
        state = dict(before)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            members = [(member.name.removeprefix("./").strip("/"), member) for member in tar]
            for path, _ in members:
                _remove_what_is_marked(state, path)
            for path, member in members:
                if not path.rpartition("/")[2].startswith(".wh."):
                    _put(state, written, sizes, number, path, member, tar)
        files = {path for path, node in state.items() if not node.is_folder}
        changed = {path for path in files & written.keys() & before.keys() if before[path].looks != written[path].looks}
        gone = {path for path, node in before.items() if not node.is_folder} - state.keys()
        counts.append((len(files - before.keys()), len(changed), len(gone)))
    seen = {node.inode for node in state.values()}
    return [
        Figures(
            *count,
            sum(size for (layer, _), size in sizes.items() if layer == number),
            sum(size for inode, size in sizes.items() if inode[0] == number and inode not in seen),
        )
        for number, count in enumerate(counts)
    ]


def _remove_what_is_marked(state: dict[str, Node], path: str) -> None:
    folder, slash, name = path.rpartition("/")
    if name == ".wh..wh..opq":
        _remove(state, folder, itself=False)
    elif name.startswith(".wh.") and not name.startswith(".wh..wh."):
        _remove(state, f"{folder}{slash}{name[4:]}", itself=True)


def _remove(state: dict[str, Node], path: str, *, itself: bool) -> None:
    for each in [each for each in state if each.startswith(f"{path}/" if path else "") or (itself and each == path)]:
        del state[each]


def _put(
    state: dict[str, Node], written: dict[str, Node], sizes: dict[tuple[int, str], int], number: int, path: str,
    member: tarfile.TarInfo, tar: tarfile.TarFile,
) -> None:  # fmt: skip
    parts = path.split("/")
    for end in range(1, len(parts)):
        above = "/".join(parts[:end])
        if above not in state or not state[above].is_folder:
            state[above] = Node(True, ("folder",), (number, above))
    if not member.isdir():
        _remove(state, path, itself=True)
    inode, digest = (number, path), ""
    if member.islnk():
        inode = (number, member.linkname.removeprefix("./").strip("/"))
    elif member.isreg():
        sizes[inode] = member.size
        reader = tar.extractfile(member)
        assert reader is not None
        digest = hashlib.sha256(reader.read()).hexdigest()
    xattrs = tuple(sorted(item for item in member.pax_headers.items() if "xattr" in item[0]))
    kind = "file" if member.isreg() else member.type
    looks = (
        kind,
        member.mode,
        member.uid,
        member.gid,
        member.linkname,
        xattrs,
        digest,
        member.devmajor,
        member.devminor,
    )
    state[path] = written[path] = Node(member.isdir(), looks, inode)
