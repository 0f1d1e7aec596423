"""What a COPY reads, as the inputs of its cache key: one digest for all of it, and enough to say later what changed.

    {"entries": 3, "digest": "…", "files": {"a": "644 5891b5b5…", "link": "777 -> a", "sub": "755/", "sub/b": "644 …"}}

Beyond MAX_LISTED entries, "files" gives way to "directories": a digest for each directory of the first two levels.
Never in here: modification times, owners on the host, the order of directory listings. The digest covers paths, kinds,
modes, owners, link targets, device numbers, extended attributes, sizes, contents, and which names are one file.

A large file's content digest may not be known before it has been copied; those are hashed apart, in order, at the end.
So the numbers are the same whether the digests were looked up, computed beforehand, or found while a layer was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Any

from builder.context.reading import IN_MEMORY_BYTES
from builder.filesystem.entry import DIRECTORY, FILE, SYMLINK, Entry

MAX_LISTED = 2000
_SHORT = 16


class SelectionDigest:
    """Takes what one source gives, entry by entry in tree order, paths relative to what is copied."""

    def __init__(self) -> None:
        self._total = hashlib.sha256()
        self._entries = 0
        self._files: dict[str, str] = {}
        self._large: list[tuple[str, str, tuple[int, str]]] = []
        self._names: dict[Hashable, str] = {}
        self._lines: list[tuple[str, bytes]] = []
        self._directories: _DirectoryDigests | None = None

    def add(self, path: str, entry: Entry, identity: Hashable = None, key: tuple[int, str] = (0, "")) -> None:
        """Take one entry. A file without `entry.digest` must be large; `key` is what `finish` asks its digest by."""
        digest = entry.digest
        if entry.kind == FILE and entry.size > IN_MEMORY_BYTES:
            self._large.append((path, digest, key))
            digest = ""
        same = "" if identity is None else self._names.setdefault(identity, path)
        text = (
            f"{path}\0{entry.kind}\0{entry.mode:o}\0{entry.uid}:{entry.gid}\0{entry.size}\0{entry.link}\0"
            f"{entry.device[0]}:{entry.device[1]}\0{same}\0{digest}\0{_xattr_text(entry) if entry.xattrs else ''}\n"
        )
        line = text.encode() if text.isascii() else text.encode("utf-8", "surrogateescape")
        self._total.update(line)
        self._entries += 1
        if self._entries <= MAX_LISTED:
            self._files[path] = _describe(entry, digest)
            self._lines.append((path, line))
        else:
            if self._directories is None:
                self._directories = _DirectoryDigests(self._lines)
                self._files, self._lines = {}, []
            self._directories.add(path, line)

    def finish(self, find_digest: Callable[[tuple[int, str]], str]) -> dict[str, Any]:
        """Return the document; `find_digest` gives the content digests that were not known."""
        for path, known, key in self._large:
            digest = known or find_digest(key)
            self._total.update(f"{path}\0{digest}\n".encode("utf-8", "surrogateescape"))
            if path in self._files:
                self._files[path] += digest[:_SHORT]
        document: dict[str, Any] = {"entries": self._entries, "digest": self._total.hexdigest()}
        if self._directories is None:
            document["files"] = {_json_text(path): text for path, text in self._files.items()}
        else:
            document["directories"] = self._directories.finish()
        return document


class _DirectoryDigests:
    """Digests of the directories of the first two levels; of the first level alone when those are too many."""

    def __init__(self, lines: list[tuple[str, bytes]]) -> None:
        self._levels: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self._open: list[tuple[str, Any]] = [("", None), ("", None)]
        for path, line in lines:
            self.add(path, line)

    def add(self, path: str, line: bytes) -> None:
        parts = path.split("/", 2)
        for level in (0, 1):
            name = "/".join(parts[: level + 1]) if len(parts) > level + 1 else "."
            current, digest = self._open[level]
            if digest is None or current != name:
                self._close(level)
                digest = hashlib.sha256(self._levels[level].get(name, "").encode())
                self._open[level] = (name, digest)
            digest.update(line)

    def finish(self) -> dict[str, str]:
        self._close(0)
        self._close(1)
        for level in (1, 0):
            if len(self._levels[level]) <= MAX_LISTED:
                return {_json_text(name): digest for name, digest in self._levels[level].items()}
        return {}

    def _close(self, level: int) -> None:
        name, digest = self._open[level]
        if digest is not None and len(self._levels[level]) <= MAX_LISTED:
            self._levels[level][name] = digest.hexdigest()[:_SHORT]


def _describe(entry: Entry, digest: str) -> str:
    owner = f" {entry.uid}:{entry.gid}" if entry.uid or entry.gid else ""
    if entry.kind == DIRECTORY:
        return f"{entry.mode:o}/{owner}"
    if entry.kind == SYMLINK:
        return f"-> {_json_text(entry.link)}{owner}"
    return f"{entry.mode:o}{owner} {digest[:_SHORT] if entry.kind == FILE else entry.kind}"


def _xattr_text(entry: Entry) -> str:
    return ",".join(f"{name}={value.hex()}" for name, value in entry.xattrs)


def _json_text(text: str) -> str:
    """Return `text` so that JSON can hold it whatever bytes a file name has."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
