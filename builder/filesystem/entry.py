"""One file system object, as a tar header and a stat(2) both know it; and the order that trees are walked in.

Tree order is depth first, names sorted by bytes. Contexts, layers and their indexes all keep to it, so that two of them
can be compared in one pass without holding either.

A NamedTuple rather than a dataclass: a context has tens of thousands of them, and creating one is five times cheaper.
"""

from __future__ import annotations

import os
from typing import Final, Literal, NamedTuple

Kind = Literal["file", "directory", "symlink", "hardlink", "character", "block", "fifo"]

FILE: Final = "file"
DIRECTORY: Final = "directory"
SYMLINK: Final = "symlink"
HARDLINK: Final = "hardlink"
CHARACTER: Final = "character"
BLOCK: Final = "block"
FIFO: Final = "fifo"


class Entry(NamedTuple):
    """`path` is POSIX, relative to the root, without leading or trailing slash; the root itself is "".

    Names that are not UTF-8 use surrogateescape, as os.fsdecode gives them.
    """

    path: str
    kind: Kind
    mode: int = 0o644
    """Permission bits with setuid, setgid and sticky: 0o0000 to 0o7777."""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    """Whole seconds since 1970: tar headers without PAX records hold no more."""
    size: int = 0
    link: str = ""
    """Target of a symlink, verbatim; of a hard link, the path of an earlier entry of the same layer."""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    """Sorted by name."""
    digest: str = ""
    """sha256 of a file's content in hex, when known."""


def tree_key(path: str) -> bytes:
    """Return what tree order sorts by: as if "/" came before every other byte."""
    return os.fsencode(path).replace(b"/", b"\0")
