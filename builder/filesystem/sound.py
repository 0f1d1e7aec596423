"""Files whose content is known: this process wrote them, or somebody has read them from end to end and digested them.

Known by stat(2), as git's index and make know files: device, inode, size and both times, of which ordinary programs
cannot set the second. So a blob that was just written is not digested again when the next step reads it. What a store
remembers of earlier processes (builder.store.known_files) is asked for when this process doesn't know a file itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

Stamp = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, and the times of the last change of content and of status, in ns since 1970."""

Memory = Callable[[], Mapping[Stamp, str]]

_known: dict[Stamp, str] = {}
_lasting: dict[Stamp, str] = {}
_memories: list[Memory] = []


def stamp(status: os.stat_result) -> Stamp:
    """Return what is equal as long as nobody has written to a file."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def remember(known: Stamp, digest: str, *, lasting: bool = False) -> None:
    """Remember that the file with this stamp was found to have the content `digest`.

    `lasting` says that other processes may believe it, because every later change shows in the stamp.
    """
    _known[known] = digest
    if lasting:
        _lasting[known] = digest


def known_digest(status: os.stat_result) -> str:
    """Return the digest of an unchanged file of known content, else an empty text."""
    found = _known.get(stamp(status), "")
    while not found and _memories:
        _known.update(_memories.pop()())
        found = _known.get(stamp(status), "")
    return found


def consult(memory: Memory) -> None:
    """Have what earlier processes knew asked for when it is first needed."""
    _memories.append(memory)


def part_with(memory: Memory) -> dict[Stamp, str]:
    """Consult a memory no longer; return what it might take in: all that this process learned for others."""
    if memory in _memories:
        _memories.remove(memory)
    learned = dict(_lasting)
    _lasting.clear()
    return learned
