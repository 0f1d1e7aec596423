"""Which path of the tree an entry of a tar is about, worked out without a file system. Pure.

1. A name is cleaned word by word: `./a//b/` is `a/b`. One that would leave the root is refused.
2. A directory on the way that this same layer made a symbolic link is followed, inside the root. Links of *lower*
   layers are not: each layer is unpacked on its own, and overlayfs then shows the directory in place of the link.
   So `ln/q` over a base with `ln -> a` makes a directory `ln`, as in containerd and podman (and unlike umoci, which
   writes `a/q`). It is also why the index of a layer can be right without knowing what lies below it.
"""

from __future__ import annotations

import os

from builder.errors import LayerError
from builder.filesystem.entry import Entry
from builder.filesystem.links import follow_links
from builder.layer.limits import LIMITS, Limits
from builder.layer.whiteout import PREFIX, hidden_path, is_leftover, is_opaque, is_whiteout

_WHITEOUT = os.fsencode(PREFIX)
_SHORT = LIMITS.name_bytes // 4
"""Characters of a path that is not worth looking at: each takes up to four bytes."""


def clean_path(raw: bytes, limits: Limits, what: str = "name") -> str:
    """Return a tar name as a path of ours. Raises LayerError for one that leaves the root or is too long."""
    if b"\0" in raw:
        raise LayerError(f"the archive holds a {what} with a NUL byte")
    text = raw.decode("utf-8", "surrogateescape")
    if text.startswith("/") or "//" in text or "./" in text or text.endswith((".", "/")):
        text = _cleaned(text, what)
    if len(raw) > limits.name_bytes:
        _check_length(os.fsencode(text), f"the archive holds a {what}", limits)
    return text


def refuse_long_path(path: str) -> None:
    """Raise LayerError for a path that a layer must not have: no step could use it, nor would we read it again."""
    if len(path) > _SHORT:
        _check_length(os.fsencode(path), "the step makes a path", LIMITS)


def _check_length(path: bytes, what: str, limits: Limits) -> None:
    shown = path[:40].decode("utf-8", "replace")
    parent, slash, name = path.rpartition(b"/")
    if name.startswith(_WHITEOUT):  # it stands for the deletion of a name, which may be as long as names are
        path = parent + slash + name[len(_WHITEOUT) :]
    if len(path) >= limits.path_bytes:  # a process has to put a slash in front
        raise LayerError(f"{what} of {len(path) + 1} bytes, below {shown!r}; Linux takes at most {limits.path_bytes}")
    if any(len(part) > limits.name_bytes for part in path.split(b"/")):
        raise LayerError(f"{what} with a component longer than {limits.name_bytes} bytes, {shown!r}…")


def _cleaned(text: str, what: str) -> str:
    parts: list[str] = []
    for part in text.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            raise LayerError(
                f"the archive holds a {what} that leads outside its root: {text!r}",
                hint="The archive is damaged, or made to do harm.",
            )
    return "/".join(parts)


class LayerPaths:
    """The paths of one layer as they are read, in order: follows the links that the layer itself has made so far."""

    def __init__(self) -> None:
        self._links: dict[str, str] = {}
        self._linked: set[str] = set()
        """What hard links of this layer are names of: it must not be replaced any more."""
        self._last: tuple[str, str] = ("", "")
        """The parent asked about last, and its answer: entries of a directory stand together."""

    def place(self, path: str) -> str:
        """Return where `path` ends up: links of this layer on the way are followed, the last component is not.

        Raises LayerError for links that go in circles.
        """
        if not self._links:
            return path
        parent, slash, name = path.rpartition("/")
        if not slash:
            return path
        known, answer = self._last
        if parent != known:
            try:
                answer = follow_links(parent, self._links.get)
            except OSError as error:
                raise LayerError(f"{path!r} lies behind symbolic links that go in circles") from error
            self._last = (parent, answer)
        return f"{answer}/{name}" if answer else name

    def made(self, path: str, link: str | None) -> None:
        """Take note that `path` (a place) now exists: as a symbolic link to `link`, or as something else.

        Raises LayerError when it replaces what a hard link has been made to: two readers would see two files.
        """
        if path in self._linked:
            raise LayerError(f"{path!r} is in the layer twice, with a hard link to the first")
        if link is not None:
            self._links[path] = link
        elif not self._links or self._links.pop(path, None) is None:
            return
        self._last = ("", "")

    def linked(self, target: str) -> str:
        """Return the place of a hard link's target, and remember it."""
        place = self.place(target)
        self._linked.add(place)
        return place


def place_entry(entry: Entry, paths: LayerPaths) -> Entry | None:
    """Return the entry with its path (and hard link target) as places; None for one that stands for nothing.

    The last entry in a tree to be called by a name decides what is there. Raises LayerError.
    """
    if entry.kind == "character" and entry.device == (0, 0):
        return None  # overlayfs's whiteout and no device (overlayfs.rst, "whiteouts and opaque directories")
    path = paths.place(entry.path)
    if PREFIX in path:
        if is_leftover(path):
            return None
        if is_whiteout(path):
            if not is_opaque(path):
                hidden_path(path)
            return Entry(path, "file", entry.mode, entry.uid, entry.gid, entry.mtime)
    paths.made(path, entry.link if entry.kind == "symlink" else None)
    if entry.kind == "hardlink":
        return entry._replace(path=path, link=paths.linked(entry.link))
    return entry if path == entry.path else entry._replace(path=path)


def twice_of_two_kinds(path: str) -> LayerError:
    """Return the error for a path that a layer has both as a directory and as something else."""
    return LayerError(f"{path!r} is in the layer twice, as a directory and as something else")
