"""What a COPY reads, as the inputs of its cache key: the number of entries and one digest for all of them.

    {"entries": 3, "digest": "…"}

The digest covers the lines of entry_line.py: paths, kinds, modes, owners, links, devices, attributes, sizes, contents,
and which names are one file. The lines themselves are kept beside the record (facts.py), to say later what changed.

A large file's content digest may not be known before it has been copied; those are hashed apart, in order, at the end.
So the numbers are the same whether the digests were looked up, computed beforehand, or found while a layer was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable

from builder.filesystem.entry import FILE, Entry
from builder.layer.content import IN_MEMORY_BYTES
from builder.oci.canonical import JsonObject
from builder.solve.entry_line import entry_line, shortened, with_digest

FindDigest = Callable[[str], str]
"""Gives the digest of a large file that was not known when it was added, by its path in the layer."""


class SelectionDigest:
    """Takes what one source gives, entry by entry in tree order, paths relative to what is copied."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._large: list[tuple[int, str, str, str]] = []
        self._names: dict[Hashable, str] = {}

    def add(self, path: str, entry: Entry, identity: Hashable = None, in_layer: str = "") -> None:
        """Take one entry. A file without `entry.digest` must be large; it is asked for by its path `in_layer`."""
        digest = entry.digest
        if entry.kind == FILE and entry.size > IN_MEMORY_BYTES:
            self._large.append((len(self._lines), path, digest, in_layer))
            digest = ""
        first_name = "" if identity is None else self._names.setdefault(identity, path)
        self._lines.append(entry_line(path, entry, first_name, digest))

    def finish(self, find_digest: FindDigest) -> JsonObject:
        """Return the document; `find_digest` gives the content digests that were not known."""
        total = hashlib.sha256(b"".join(self._lines))
        for _, path, known, in_layer in self._large:
            total.update(f"{path}\0{known or find_digest(in_layer)}\n".encode("utf-8", "surrogateescape"))
        return {"entries": len(self._lines), "digest": total.hexdigest()}

    def lines(self, find_digest: FindDigest) -> bytes:
        """Return all lines, shortened."""
        lines = list(self._lines)
        for position, _, known, in_layer in self._large:
            lines[position] = with_digest(lines[position], known or find_digest(in_layer))
        return b"".join(map(shortened, lines))
