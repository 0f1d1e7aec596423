"""What was added to a root without mounting, and the journal of it, by which another process can take it out again.

one JSON line an entry, written before it is added:     {"number": 0, "parent": "etc", "name": "hosts", …}
one more when it is there, since it is known by it:     {"committed": 0, "ident": [device, inode]}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from builder.sandbox.chroot.lent import Ident


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing added to the root, as the journal has it."""

    number: int
    parent: str
    """The directory it is in, as a path inside the root without links."""

    parent_ident: Ident
    name: str
    target: str
    """Where it was asked for."""

    held: bool
    """Whether something was moved aside for it."""

    made: bool = False
    """A directory made only to get to another one: it stays when the command has put something into it."""

    return_to: str = ""
    """Host directory that takes the contents back afterwards; empty to throw them away."""

    keeper: str = ""
    read_only: bool = False
    mtime_before: int


class Journal:
    """The journal at a path, which need not exist yet."""

    def __init__(self, path: str) -> None:
        self._path = path

    def begin(self, entry: Entry) -> None:
        """Note what is about to be added. Raises OSError."""
        self._write(asdict(entry))

    def commit(self, number: int, ident: Ident) -> None:
        """Note what was added. Raises OSError."""
        self._write({"committed": number, "ident": ident})

    def read(self) -> Iterator[tuple[Entry, Ident | None]]:
        """Yield each entry, and what was added for it. What a killed run leaves of a cache is not given back."""
        committed: dict[int, Ident] = {}
        entries: list[Entry] = []
        with suppress(FileNotFoundError), open(self._path, encoding="utf-8") as file:
            for text in file:
                with suppress(ValueError):  # a torn last line: that was not begun
                    line = json.loads(text)
                    if "committed" in line:
                        committed[line["committed"]] = (line["ident"][0], line["ident"][1])
                    else:
                        parent = (line["parent_ident"][0], line["parent_ident"][1])
                        entries.append(Entry(**{**line, "parent_ident": parent}))
        for entry in entries:
            # Nobody knows how far the command had got: a half-written cache must not take the place of a whole one.
            yield replace(entry, return_to="", read_only=False), committed.get(entry.number)

    def _write(self, line: object) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
