"""From an object on disk to the Entry a layer holds, and whether two entries are the same object to an image.

What is not part of an image never gets into an Entry: overlayfs's own marks, SELinux labels, ACLs and everything else
in the system., security. and trusted. namespaces except file capabilities (as BuildKit's content hash has it).
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from builder.filesystem.entry import BLOCK, CHARACTER, DIRECTORY, FIFO, FILE, HARDLINK, SYMLINK, Entry, Kind

CAPABILITY = "security.capability"
_OVERLAY_MARKS = "user.overlay."

_NS_PER_SECOND = 10**9
_KINDS: dict[int, Kind] = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK,
    stat.S_IFIFO: FIFO,
}
# linux/capability.h: revision 3 is revision 2 and the root id of the user namespace in which setcap ran.
_VFS_CAP_REVISION_MASK = 0xFF000000
_VFS_CAP_REVISION_2 = 0x02000000
_VFS_CAP_REVISION_3 = 0x03000000
_VFS_CAP_REVISION_2_BYTES = 20


def read_entry(absolute: str, path: str, status: os.stat_result) -> Entry:
    """Return the entry for the object at `absolute`, whose lstat is `status`; sockets have none. Raises OSError."""
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    return Entry(
        path,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns // _NS_PER_SECOND,
        status.st_size if kind == FILE else 0,
        os.readlink(absolute) if kind == SYMLINK else "",
        (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in (CHARACTER, BLOCK) else (0, 0),
        read_xattrs(absolute) if kind in (FILE, DIRECTORY) else (),
    )


def read_xattrs(absolute: str) -> tuple[tuple[str, bytes], ...]:
    """Return the extended attributes that belong into an image, sorted by name. Raises OSError."""
    try:
        names = os.listxattr(absolute, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
    if not names:
        return ()
    wanted = sorted(name for name in names if belongs_into_image(name))
    return tuple((name, _portable(name, os.getxattr(absolute, name, follow_symlinks=False))) for name in wanted)


def belongs_into_image(name: str) -> bool:
    """Say whether an extended attribute of this name is part of a layer."""
    return name == CAPABILITY or (name.startswith("user.") and not name.startswith(_OVERLAY_MARKS))


def _portable(name: str, value: bytes) -> bytes:
    """Take the root id of our user namespace out of a file capability: another machine has another one."""
    if name != CAPABILITY or len(value) < _VFS_CAP_REVISION_2_BYTES:
        return value
    (magic,) = struct.unpack_from("<I", value)
    if magic & _VFS_CAP_REVISION_MASK != _VFS_CAP_REVISION_3:
        return value
    revised = magic & ~_VFS_CAP_REVISION_MASK | _VFS_CAP_REVISION_2
    return struct.pack("<I", revised) + value[4:_VFS_CAP_REVISION_2_BYTES]


def same_metadata(one: Entry, other: Entry) -> bool:
    """Say whether two entries are equal but for content and times."""
    if _kind(one) != _kind(other) or one.uid != other.uid or one.gid != other.gid:
        return False
    if one.kind == SYMLINK:  # has no mode of its own: lstat says 0777, tar headers say what they like
        return one.link == other.link
    if one.mode != other.mode or _image_xattrs(one) != _image_xattrs(other):
        return False
    # A directory's size is the file system's affair, and no layer has it.
    if one.kind == DIRECTORY:
        return True
    return one.size == other.size and one.device == other.device


def _kind(entry: Entry) -> Kind:
    return FILE if entry.kind == HARDLINK else entry.kind


def _image_xattrs(entry: Entry) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in entry.xattrs if belongs_into_image(name))
