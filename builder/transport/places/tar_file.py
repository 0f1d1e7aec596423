"""The members of a tar archive by name, in any order: what lies in an image archive, which nothing is unpacked from.

    FILE, pipe ──decompress──▶ one pass over its headers ──▶ name → where its content lies

A compressed archive, or one that comes from a pipe, is written to a temporary file on the way, plain. The first pass
reads everything, so what is cut short or damaged is refused before anything of it is used. Archives are hostile: names
that leave the root, two members of one name and what is beyond the limits are refused.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

from builder.errors import LayerError, TransportError
from builder.layer.compression import Decompressed, open_decompressed
from builder.layer.limits import LIMITS
from builder.layer.tar_reader import SCATTERED, Readable, read_tar
from builder.transport.places.layout_source import shown_path
from builder.transport.places.one_file import STDOUT
from builder.transport.source import BlobFile, BlobSink
from builder.web.stretch import FileStretch

Temporary = Callable[[str], str]
"""Gives a path nobody else uses, for a label: store/temporary.py's TemporaryFiles.path."""

STDIN = STDOUT
"""`-`: where an archive is read that is written to standard output."""
_LIMITS = replace(LIMITS, entries=200_000)
"""An image has a few members for each layer; its layers may have millions."""
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Member:
    offset: int
    size: int


class TarFile:
    """Members of a tar by name. Safe for threads. `what` is how messages call it."""

    def __init__(self, what: str, file: BinaryIO, members: Mapping[str, _Member], links: Mapping[str, str]) -> None:
        self.what = what
        self._descriptor = file.fileno()
        self._members = members
        self._links = links

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def link_target(self, name: str) -> str | None:
        """Return what a symbolic link of the archive names, as it is written; None when there is none of that name."""
        return self._links.get(name)

    def size(self, name: str) -> int:
        """Return the length of a member in bytes. Raises TransportError."""
        return self._get(name).size

    def read(self, name: str, limit: int) -> bytes:
        """Return a whole member that claims to be a small document. Raises TransportError beyond `limit` bytes."""
        member = self._get(name)
        if member.size > limit:
            raise TransportError(f"{self.what}: {name} is {member.size} bytes long; at most {limit} are accepted")
        return b"".join(self._blocks(name, member))

    def copy(self, name: str, sink: BlobSink) -> None:
        """Write a member to `sink`. Raises TransportError."""
        for block in self._blocks(name, self._get(name)):
            sink.write(block)

    def open(self, name: str) -> BlobFile:
        """Open a member, which can be read as long as the archive is open. Raises TransportError."""
        return _OpenMember(self._descriptor, self._get(name))

    @contextmanager
    def decompressed(self, name: str) -> Iterator[Decompressed]:
        """Give the plain bytes of a member. Raises TransportError, also while it is read."""
        reader = _MemberReader(self._blocks(name, self._get(name)))
        try:
            yield open_decompressed(reader, _LIMITS)
        except LayerError as error:
            raise TransportError(f"{self.what}: {name}: {error.message}", hint=error.hint) from error

    def _blocks(self, name: str, member: _Member) -> Iterator[bytes]:
        at, end = member.offset, member.offset + member.size
        while at < end:
            try:
                block = os.pread(self._descriptor, min(_BLOCK_BYTES, end - at), at)
            except OSError as error:
                raise unreadable(self.what, error) from error
            if not block:
                raise TransportError(f"{self.what} became shorter while it was read, in the middle of {name}")
            yield block
            at += len(block)

    def _get(self, name: str) -> _Member:
        member = self._members.get(name)
        if member is None:
            reason = "is a link" if name in self._links else "not found"
            raise TransportError(f"{self.what}: {shown_path(name)}: {reason}", hint="The archive is incomplete.")
        return member


@contextmanager
def open_tar(path: str, what: str, temporary: Temporary) -> Iterator[TarFile]:
    """Open an archive for the time of a `with`; `-` is standard input. Raises TransportError."""
    if path == STDIN:
        if sys.stdin.isatty():
            raise TransportError("the archive would come from the terminal", hint="Redirect standard input.")
        with spool_tar(sys.stdin.buffer, what, temporary) as tar:
            yield tar
        return
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed by the `with` below
    except OSError as error:
        raise unreadable(what, error) from error
    with file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            plain = open_plain(file, what)
            if plain.compression == "uncompressed":
                yield _listed(what, file, plain)
                return
            file.seek(0)
        with spool_tar(file, what, temporary) as tar:
            yield tar


@contextmanager
def spool_tar(stream: Readable, what: str, temporary: Temporary) -> Iterator[TarFile]:
    """Open an archive that can be read once: its plain bytes go to a temporary file. Raises TransportError."""
    plain = open_plain(stream, what)
    path = temporary("archive")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.unlink(path)  # it lives as long as it is open, and no longer than this process
        file = open(descriptor, "w+b", buffering=_BLOCK_BYTES)  # noqa: SIM115  # closed by the `with` below
    except OSError as error:
        raise TransportError(f"{what}: keeping it for reading: {(error.strerror or str(error)).lower()}") from error
    with file:
        yield _listed(what, file, _Spooled(plain, file))


def open_plain(stream: Readable, what: str) -> Decompressed:
    """Return a reader of the plain bytes of an archive. Raises TransportError."""
    try:
        return open_decompressed(stream, _LIMITS)
    except LayerError as error:
        raise TransportError(f"{what}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise unreadable(what, error) from error


def unreadable(what: str, error: OSError) -> TransportError:
    """Return the error for an archive that cannot be read."""
    reason = "not found" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
    return TransportError(f"{what}: {reason}")


def _listed(what: str, file: BinaryIO, stream: Readable) -> TarFile:
    """Read an archive to its end, and note where its members are."""
    members: dict[str, _Member] = {}
    links: dict[str, str] = {}
    try:
        for member in read_tar(stream, _LIMITS):
            entry = member.entry
            if entry.kind == "directory":
                continue
            if entry.path in members or entry.path in links:
                raise TransportError(f"{what} holds {entry.path!r} twice", hint="Nobody can say which one is meant.")
            if entry.kind == "symlink":
                links[entry.path] = entry.link
            elif entry.kind == "file" and member.offset != SCATTERED:
                members[entry.path] = _Member(member.offset, entry.size)
            else:
                kind = "file with holes" if entry.kind == "file" else entry.kind
                raise TransportError(f"{what}: {entry.path!r} is a {kind}, which no image archive has")
        file.flush()
    except LayerError as error:
        raise TransportError(f"{what}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise unreadable(what, error) from error
    if not members:
        raise TransportError(f"{what} holds no files: it is no image archive")
    return TarFile(what, file, members, links)


class _Spooled:
    """A stream that is kept in a file while it is read."""

    def __init__(self, stream: Readable, file: BinaryIO) -> None:
        self._stream = stream
        self._file = file

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._file.write(data)
        return data


class _OpenMember:
    """A member that is read where it lies."""

    def __init__(self, descriptor: int, member: _Member) -> None:
        self._descriptor = descriptor
        self._member = member

    def read_at(self, offset: int, size: int) -> bytes:
        """Read where it says, and never what follows the member."""
        size = max(0, min(size, self._member.size - offset))
        return os.pread(self._descriptor, size, self._member.offset + offset)

    def stretch_at(self, offset: int, size: int) -> FileStretch:
        """Say how much of that the archive has, and the member."""
        begin = self._member.offset + offset
        there = min(self._member.size - offset, os.fstat(self._descriptor).st_size - begin)
        return FileStretch(self._descriptor, begin, max(0, min(size, there)))

    def close(self) -> None:
        """Leave the archive open: its other members are read through the same descriptor."""


class _MemberReader:
    """Blocks as a stream to read from."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._held = b""

    def read(self, size: int, /) -> bytes:
        data = self._held or next(self._blocks, b"")
        self._held = data[size:]
        return data[:size]
