"""Looks for the values of secrets in layers while they are written. A build without secrets looks for nothing.

The bytes of the tar pass by once, in order; what is between two blocks is seen as well. Names, link targets and
attributes are in it, too. Values of less than MIN_BYTES are not looked for: they are anywhere by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.layer.index import LayerIndex

MIN_BYTES = 6


class SecretWatch:
    """Watches one layer. `found` has, for each secret that is in it, where in the tar it begins."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self.found: dict[str, int] = {}
        self._values = values
        self._overlap = max(map(len, values.values())) - 1
        self._tail = b""
        self._position = 0
        """Where in the tar the tail begins."""

    def watching(self, write: Callable[[bytes], object]) -> Callable[[bytes], object]:
        """Return a function that looks at what it is given and then writes it."""

        def watched(data: bytes) -> object:
            self._look(bytes(data))
            return write(data)

        return watched

    def places(self, index: LayerIndex) -> dict[str, str]:
        """Return the file that each found secret is in; "" where there is none, or its path holds a secret itself."""
        files = [found for found in index.walk() if found.entry.kind == "file"]
        places = {}
        for name, position in self.found.items():
            inside = (found for found in files if found.offset <= position < found.offset + found.entry.size)
            path = next((found.entry.path for found in inside), "")
            data = path.encode("utf-8", "surrogateescape")
            # A warning that named such a path would tell the secret itself.
            places[name] = "" if any(value in data for value in self._values.values()) else path
        return places

    def _look(self, data: bytes) -> None:
        seen = self._tail + data
        for name, value in self._values.items():
            if name not in self.found and (at := seen.find(value)) >= 0:
                self.found[name] = self._position + at
        # One byte less than the longest value: what begins in it is found with the next block, and what
        # lies in it was found.
        kept = min(self._overlap, len(seen))
        self._position += len(seen) - kept
        self._tail = seen[len(seen) - kept :]


def watch_for(secrets: Mapping[str, bytes]) -> SecretWatch | None:
    """Return a watch for the secrets that are long enough, None when there are none."""
    values = {name: _sought(value) for name, value in secrets.items()}
    values = {name: value for name, value in values.items() if len(value) >= MIN_BYTES}
    return SecretWatch(values) if values else None


def _sought(value: bytes) -> bytes:
    """Return what is looked for: text without the blanks around it, which editors add; other bytes as they are."""
    # A NUL is in no text.
    return value if b"\0" in value else value.strip()
