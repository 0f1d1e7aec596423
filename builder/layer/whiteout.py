"""Whiteouts: how a layer says that something below it is gone (image-spec v1.1 layer.md#whiteouts).

    dir/.wh.name      an empty file: `dir/name` of the layers below is hidden
    dir/.wh..wh..opq  an empty file: everything in `dir` of the layers below is hidden

They hide lower layers only, wherever they stand in the stream. Other names that begin with `.wh..wh.` are what AUFS
left behind; they mean nothing and are passed over.
"""

from __future__ import annotations

from builder.errors import LayerError
from builder.filesystem.entry import Entry

PREFIX = ".wh."
OPAQUE = ".wh..wh..opq"
_META_PREFIX = ".wh..wh."


def whiteout_entry(path: str, mtime: int = 0) -> Entry:
    """Return the entry that hides `path`."""
    parent, slash, name = path.rpartition("/")
    return Entry(f"{parent}{slash}{PREFIX}{name}", "file", 0o644, mtime=mtime)


def is_whiteout(path: str) -> bool:
    """Say whether a path is a marker of any of these forms and not a name of its own."""
    return path.rpartition("/")[2].startswith(PREFIX)


def is_opaque(path: str) -> bool:
    """Say whether a path is an opaque marker."""
    return path.rpartition("/")[2] == OPAQUE


def is_leftover(path: str) -> bool:
    """Say whether a path is, or lies in, something of AUFS that stands for nothing (`.wh..wh.plnk/…`)."""
    if _META_PREFIX not in path:
        return False
    return any(part.startswith(_META_PREFIX) for part in path.split("/")) and not is_opaque(path)


def hidden_path(path: str) -> str:
    """Return what the whiteout at `path` hides. Raises LayerError for a bare `.wh.`, which names nothing."""
    parent, slash, name = path.rpartition("/")
    hidden = name[len(PREFIX) :]
    if hidden in ("", ".", ".."):
        raise LayerError(f"the whiteout {path!r} names nothing", hint="The layer is damaged, or made to do harm.")
    return f"{parent}{slash}{hidden}"


def refuse_reserved_name(path: str) -> None:
    """Raise LayerError when `path` is a real file whose name a layer can only read as a whiteout."""
    name = path.rpartition("/")[2]
    if name.startswith(PREFIX):
        raise LayerError(
            f"{path!r} cannot be put in a layer: names beginning with {PREFIX!r} stand for deleted files",
            hint="Rename it, or leave it out.",
        )
