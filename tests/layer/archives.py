"""Layer tars for tests, made by Python's tarfile and not by us, and trees on disk read back for comparison."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from builder.filesystem.entry import Entry
from builder.layer.content import SlicedContent
from builder.layer.index import LayerIndex, open_index
from builder.layer.index_layer import build_index
from builder.layer.view import MergedView, ViewEntry, ViewLayer
from tests.support.walk import entry_of, read_xattrs, walk_entries

TYPE_BY_KIND = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "character": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


IDS: Final = "exact" if os.geteuid() == 0 else "ignore"
"""Owners can only be set by root."""


class Member(NamedTuple):
    """One member as a test writes it down; the name goes into the tar as it is."""

    name: str
    kind: str = "file"
    content: bytes = b""
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 1_000_000_000
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()


def info_of(member: Member) -> tarfile.TarInfo:
    """Return the member as tarfile knows it."""
    info = tarfile.TarInfo(member.name)
    info.type = TYPE_BY_KIND[member.kind]
    info.mode, info.uid, info.gid, info.mtime = member.mode, member.uid, member.gid, member.mtime
    info.size, info.linkname = len(member.content), member.link
    info.devmajor, info.devminor = member.device
    info.pax_headers = {
        f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in member.xattrs
    }
    return info


def pack(members: Iterable[Member]) -> bytes:
    """Return a tar of the members, in PAX format."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            tar.addfile(info_of(member), io.BytesIO(member.content))
    return buffer.getvalue()


def layer(directory: Path, data: bytes) -> ViewLayer:
    """Put a tar and its index into `directory`, and return them as a layer of a view."""
    number = len(list(directory.glob("*.tar")))
    tar, index = directory / f"{number}.tar", directory / f"{number}.index"
    tar.write_bytes(data)
    build_index(io.BytesIO(data), str(index))
    return ViewLayer(open_index(str(index)), lambda: str(tar))


def view(directory: Path, *layers: Iterable[Member]) -> MergedView:
    """Return the view of layers given as members, base first."""
    return MergedView([layer(directory, pack(members)) for members in layers])


def paths(index_or_view: LayerIndex | MergedView) -> list[str]:
    """Return every path, in the order in which they are walked."""
    return [item.entry.path for item in index_or_view.walk()]


class Seen(NamedTuple):
    """What a comparison looks at. `content` is a digest, or a link's target, or a device."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    content: str
    xattrs: tuple[tuple[str, bytes], ...]


def seen_in_view(merged: MergedView) -> dict[str, Seen]:
    """Return everything a view shows, each hard link as the file it is."""
    return {item.entry.path: _seen(item.entry, _content(merged, item)) for item in merged.walk()}


def seen_on_disk(directory: Path) -> dict[str, Seen]:
    """Return everything in a directory, itself included."""
    entries = [(entry_of("", os.stat(directory))._replace(xattrs=read_xattrs(str(directory))))]
    entries += [entry for entry, _ in walk_entries(str(directory), xattrs=True)]
    found = {}
    for entry in entries:
        data = (directory / entry.path).read_bytes() if entry.kind == "file" else b""
        found[entry.path] = _seen(entry, data)
    return found


def _seen(entry: Entry, data: bytes) -> Seen:
    kind = "file" if entry.kind == "hardlink" else entry.kind
    content = {"file": hashlib.sha256(data).hexdigest(), "symlink": entry.link}.get(kind, str(entry.device))
    xattrs = tuple((name, value) for name, value in entry.xattrs if not name.startswith("trusted.overlay."))
    mode = 0o777 if kind == "symlink" else entry.mode  # Linux keeps no other, and no tar is believed
    return Seen(kind, mode, entry.uid, entry.gid, entry.mtime, content, xattrs)


def _content(merged: MergedView, item: ViewEntry) -> bytes:
    if item.entry.kind not in ("file", "hardlink"):
        return b""
    content = merged.content(item)
    if isinstance(content, bytes):
        return content
    assert isinstance(content, SlicedContent)
    with open(content.path, "rb") as tar:
        tar.seek(content.offset)
        return tar.read(content.size)


def is_mount_allowed() -> bool:
    """Say whether this process may mount an overlay: root with CAP_SYS_ADMIN (bit 21, capabilities(7))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return os.geteuid() == 0 and bool(int(line.split()[1], 16) >> 21 & 1)
    return False


def is_whiteout_device(path: Path) -> bool:
    """Say whether a path is overlayfs's whiteout."""
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
