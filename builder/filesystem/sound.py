"""Files whose content this process knows: it wrote them itself, or has read them from end to end and digested them.

Known by stat(2), as git's index and make know files: device, inode, size and both times, of which ordinary programs
cannot set the second. So a blob that was just written is not digested again when the next step reads it.
"""

from __future__ import annotations

import os

_Stamp = tuple[int, int, int, int, int]

_known: dict[_Stamp, str] = {}


def stamp(status: os.stat_result) -> _Stamp:
    """Return what is equal as long as nobody has written to a file."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def remember(known: _Stamp, digest: str) -> None:
    """Remember that the file with this stamp was found to have the content `digest`."""
    _known[known] = digest


def known_digest(status: os.stat_result) -> str:
    """Return the digest of an unchanged file of known content, else an empty text."""
    return _known.get(stamp(status), "")
