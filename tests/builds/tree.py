"""An independent, minimal applier of layers: tar streams → a file tree in memory.

It shares no code with pybuild, needs no privileges and writes nothing, so that it can judge both sides alike.
Rules: image-spec v1.1 layer.md. It is strict where layers are ambiguous: an entry below a symlink is a fault, since
appliers disagree about it; so are two entries with one name, and a hard link to a file of another layer.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
}
XATTR_PREFIX = "SCHILY.xattr."
KEPT_TEXT_BYTES = 400
"""Files up to this size are kept as text, to make differences readable."""


@dataclass(slots=True, kw_only=True)
class Inode:
    """What a name in the tree stands for; hard links share one."""

    kind: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    size: int = 0
    sha256: str = ""
    text: str | None = None
    target: str = ""
    device: str = ""
    xattrs: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Tree:
    """Paths without leading slash → inodes, and what was wrong with the layers."""

    entries: dict[str, Inode] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def apply(self, stream: IO[bytes]) -> None:
        """Lay one uncompressed layer over the tree."""
        upper: dict[str, Inode] = {}
        hidden: list[str] = []
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                self._read_member(archive, member, upper, hidden)
        self._hide(hidden, upper)
        for path in sorted(upper, key=lambda path: path.split("/")):
            self._place(path, upper)

    def _read_member(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, upper: dict[str, Inode], hidden: list[str]
    ) -> None:
        path = self._clean(member.name)
        name = path.rpartition("/")[2]
        if not path:
            return
        if name.startswith(WHITEOUT):
            if name == WHITEOUT:
                self.faults.append(f"bare whiteout: {path}")
            hidden.append(path)
            return
        if path in upper:
            self.faults.append(f"two entries with one name: {path}")
        if member.islnk():
            target = self._clean(member.linkname)
            if target not in upper:
                self.faults.append(f"hard link to a file that is not in the layer: {path} -> {target}")
            upper[path] = upper.get(target) or self.entries.get(target) or Inode(kind="file")
        else:
            upper[path] = self._inode(archive, member)

    def _clean(self, name: str) -> str:
        if name.startswith("/"):
            self.faults.append(f"absolute name: {name}")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            self.faults.append(f"name with dots: {name}")
        return "/".join(parts)

    def _inode(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Inode:
        kind = KINDS.get(member.type)
        if kind is None:
            self.faults.append(f"entry of type {member.type!r}: {member.name}")
            kind = "file"
        inode = Inode(kind=kind, mode=member.mode & 0o7777, uid=member.uid, gid=member.gid, mtime=member.mtime)
        for key, value in member.pax_headers.items():
            if key.startswith(XATTR_PREFIX):
                inode.xattrs[key.removeprefix(XATTR_PREFIX)] = value.encode("utf-8", "surrogateescape").hex()
        if kind == "symlink":
            inode.target = member.linkname
        elif kind in ("char", "block"):
            inode.device = f"{member.devmajor}:{member.devminor}"
        elif kind == "file":
            read_content(archive, member, inode)
        return inode

    def _hide(self, hidden: Iterable[str], upper: dict[str, Inode]) -> None:
        """Remove what the whiteouts name; they act on lower layers only, wherever they stand in the stream."""
        for path in hidden:
            folder, _, name = path.rpartition("/")
            if name == OPAQUE:
                self._remove_below(folder)
            elif not name.startswith(WHITEOUT * 2):  # .wh..wh.plnk and the like are leftovers of AUFS
                victim = "/".join(filter(None, [folder, name.removeprefix(WHITEOUT)]))
                if victim not in self.entries:
                    self.faults.append(f"whiteout of nothing: {path}")
                self.entries.pop(victim, None)
                self._remove_below(victim)

    def _remove_below(self, folder: str) -> None:
        prefix = folder + "/" if folder else ""
        for path in [path for path in self.entries if path.startswith(prefix)]:
            del self.entries[path]

    def _place(self, path: str, upper: dict[str, Inode]) -> None:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            found = self.entries.get(parent)
            if found is None:
                self.entries[parent] = Inode(kind="directory")
            elif found.kind != "directory":
                self.faults.append(f"entry below a {found.kind}: {path}")
                self._remove_below(parent)
                self.entries[parent] = Inode(kind="directory")
        old, new = self.entries.get(path), upper[path]
        if old is not None and (old.kind != "directory" or new.kind != "directory"):
            self._remove_below(path)
        self.entries[path] = new

    def link_groups(self) -> dict[str, list[str]]:
        """Return path → the other names of its inode, for inodes with several names."""
        groups: dict[int, list[str]] = {}
        for path, inode in sorted(self.entries.items()):
            groups.setdefault(id(inode), []).append(path)
        return {path: [p for p in names if p != path] for names in groups.values() if len(names) > 1 for path in names}


def read_content(archive: tarfile.TarFile, member: tarfile.TarInfo, inode: Inode) -> None:
    digest = hashlib.sha256()
    stream = archive.extractfile(member)
    content = b""
    while stream is not None and (block := stream.read(1 << 20)):
        digest.update(block)
        inode.size += len(block)
        content = block if inode.size <= KEPT_TEXT_BYTES else b""
    inode.sha256 = digest.hexdigest()
    if inode.size <= KEPT_TEXT_BYTES and b"\0" not in content:
        try:
            inode.text = content.decode("utf-8")
        except UnicodeDecodeError:
            inode.text = None
