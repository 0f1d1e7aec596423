"""What a step read, as a value that is kept beside its record (reason/facts.py)."""

from __future__ import annotations

from typing import NamedTuple


class Seen(NamedTuple):
    """One thing that a step read. `lines` are empty where `layers` and `root` say where to look them up."""

    label: str
    """What the Dockerfile calls it; the target of a mount."""
    root: str = ""
    """The path in its tree that the lines' paths stand below."""
    is_directory: bool = True
    context: str | None = None
    """The context it is from."""
    layers: tuple[str, ...] = ()
    """Diff IDs of the stage it is from, base first."""
    lines: bytes = b""

    def path_of(self, path: str) -> str:
        """Return the path in the tree of a line."""
        if not self.is_directory:
            return self.root
        return f"{self.root}/{path}" if self.root and path else path or self.root
