"""Where a build context lies, as data: who has this and the same disks can open it.

    ContextDirectory   a directory, seen through ignore rules; also the checkout of a repository
    ContextArchive     the two files that archive.py has made of a tar, among the temporary files of the store
    EmptyContext       no files at all: standard input held a Dockerfile alone

All of it goes through `location_to_json` and `location_from_json` unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from builder.context.directory import DirectoryTree
from builder.context.ignore import IgnorePatterns, Rule
from builder.context.own_store import store_inside

if TYPE_CHECKING:
    from builder.store.store import Store


class ContextDirectory(NamedTuple):
    path: str
    """Absolute."""
    rules: tuple[Rule, ...] = ()


class ContextArchive(NamedTuple):
    """`made_at`, in seconds since 1970, is the time of directories that the tar does not name."""

    contents_path: str
    index_path: str
    made_at: int


class EmptyContext(NamedTuple):
    """`made_at`, in seconds since 1970, is the time of its root."""

    made_at: int


ContextLocation = ContextDirectory | ContextArchive | EmptyContext
_KINDS: dict[str, type[Any]] = {"directory": ContextDirectory, "archive": ContextArchive, "empty": EmptyContext}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def location_to_json(location: ContextLocation) -> dict[str, Any]:
    """Return a location as an object."""
    return {"kind": _NAMES[type(location)], **location._asdict()}


def location_from_json(document: dict[str, Any]) -> ContextLocation:
    """Return the location that an object says. Raises KeyError, TypeError for one that says none."""
    fields = {name: value for name, value in document.items() if name != "kind"}
    if "rules" in fields:
        fields["rules"] = tuple(Rule(*rule) for rule in fields["rules"])
    location: ContextLocation = _KINDS[document["kind"]](**fields)
    return location


def open_directory(
    path: str, ignore: IgnorePatterns, store: Store, grew: Callable[[str], None], stack: ExitStack
) -> DirectoryTree:
    """Open a directory as a context, without what `ignore` hides and without the store. Raises ContextError."""
    stamps = store.stat_cache.context(path)
    inside = store_inside(path, store.root)
    return stack.enter_context(DirectoryTree(path, ignore, stamps, store=inside, grew=grew))


class GrowthWarning:
    """Warns, once, of each file that something writes to while it is read. Safe for threads."""

    def __init__(self, warn: Callable[[str, str], object]) -> None:
        """`warn` gets rule and message."""
        self._warn = warn
        self._grown: set[str] = set()
        self._lock = Lock()

    def __call__(self, path: str) -> None:
        with self._lock:
            if path in self._grown:
                return
            self._grown.add(path)
        self._warn("GrowingFile", f"{path!r} grew while it was read: what it held when it was listed is taken")
