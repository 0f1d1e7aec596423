"""What COPY and ADD read: one interface over a context directory, a stack of layers, and nothing at all.

    DirectoryTree (directory.py)   a context on disk, without what its ignore file hides
    ViewTree                       the file system of a stage or an image, from the layers' indexes
    EmptyTree                      scratch

Paths are POSIX, relative to the tree's root, which is "". Nothing here ever leads out of that root.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from builder.context.paths import inside_root
from builder.errors import ContextError
from builder.filesystem.entry import DIRECTORY, FILE, HARDLINK, Entry
from builder.layer.content import Content

if TYPE_CHECKING:
    import os

    from builder.layer.view import MergedView, ViewEntry

Prune = Callable[[str], bool]


class Node(NamedTuple):
    """One object of a tree. A file with several names is FILE under each; `identity` says which are the same."""

    entry: Entry
    content: Content | None = None
    """Where a file's bytes are; None for what has none."""
    identity: Hashable = None
    """Equal for the names of one file; None for a file with one name."""
    status: os.stat_result | None = None
    """What stat(2) said of a file on disk, to notice when it changes while it is read."""


class Tree(Protocol):
    """What can be copied from. Safe to use from several threads."""

    def find(self, path: str) -> Entry | None:
        """Return what is at `path`, whose parents must be real directories; no link is followed."""

    def resolve(self, path: str) -> str:
        """Return `path` with all links followed inside the root; missing tails are kept. Raises PybuildError."""

    def walk(self, path: str, *, deep: bool = True, prune: Prune | None = None) -> Iterator[Node]:
        """Yield what is at `path` and below it in tree order; without `deep`, what is directly in it, and not itself.

        Where `prune` is true for a directory, the directory is yielded and not entered; it is asked after that.
        """

    def remember(self, node: Node, digest: str, scanned_ns: int) -> None:
        """Keep a file's digest for the next build; `scanned_ns` is a moment before it was listed."""

    def hidden_by(self, path: str) -> str:
        """Return the ignore rule that hides an existing `path` ("file line N: pattern"), or ""."""


class EmptyTree:
    """The tree of `scratch`: a root with nothing in it, made at `made_at`, in seconds since 1970."""

    def __init__(self, made_at: int = 0) -> None:
        self._root = Entry("", DIRECTORY, 0o755, mtime=made_at)

    def find(self, path: str) -> Entry | None:
        return None if path else self._root

    def resolve(self, path: str) -> str:
        return inside_root(path)

    def walk(self, path: str, *, deep: bool = True, prune: Prune | None = None) -> Iterator[Node]:
        if deep and not path:
            yield Node(self._root)

    def remember(self, node: Node, digest: str, scanned_ns: int) -> None:
        pass

    def hidden_by(self, path: str) -> str:
        return ""


class ViewTree:
    """The merged view of a stack of layers as a tree to copy from.

    Directories that no layer names, the root most of all, were made at `made_at`, in seconds since 1970.
    """

    def __init__(self, view: MergedView, made_at: int = 0) -> None:
        self._view = view
        self._made_at = made_at

    def find(self, path: str) -> Entry | None:
        found = self._view.find(path)
        return None if found is None else self._plain(found)

    def resolve(self, path: str) -> str:
        return self._view.resolve(path)

    def walk(self, path: str, *, deep: bool = True, prune: Prune | None = None) -> Iterator[Node]:
        if not deep:
            for child in self._view.children(path):
                yield self._node(child, frozenset())
            return
        # Two walks: the first name of a file must already say that it has others, and those come later.
        linked = frozenset(
            (found.layer_number, found.offset) for found in self._view.walk(path) if found.entry.kind == HARDLINK
        )
        pruned = ""
        for found in self._view.walk(path):
            if pruned and found.entry.path.startswith(pruned):
                continue
            yield self._node(found, linked)
            if prune is not None and found.entry.kind == DIRECTORY and prune(found.entry.path):
                pruned = found.entry.path + "/"

    def remember(self, node: Node, digest: str, scanned_ns: int) -> None:
        pass  # the layer's index knows it already

    def hidden_by(self, path: str) -> str:
        return ""

    def _node(self, found: ViewEntry, linked: frozenset[tuple[int, int]]) -> Node:
        entry = found.entry
        if entry.kind not in (FILE, HARDLINK):
            return Node(self._plain(found))
        # Where the bytes lie: a hard link has the place of the file it is a name of (layer/view.py).
        identity = (found.layer_number, found.offset)
        return Node(self._plain(found), self._view.content(found), identity if identity in linked else None)

    def _plain(self, found: ViewEntry) -> Entry:
        entry = found.entry
        if found.layer_number < 0:
            return entry._replace(mtime=self._made_at)
        # In a layer one name is the file and the others link to it; in a tree all names are alike.
        return entry._replace(kind=FILE, link="") if entry.kind == HARDLINK else entry


def ignore_rules(tree: Tree) -> tuple[str, ...]:
    """Return the rules of the ignore file that a tree is seen through, as they are written; none for most trees."""
    ignore = getattr(tree, "ignore", None)
    return tuple(rule.text for rule in ignore.rules) if ignore else ()


def newest_file(tree: Tree) -> int | None:
    """Return the time of the newest file of a tree, in seconds since 1970; None without any."""
    return max((node.entry.mtime for node in tree.walk("") if node.entry.kind == FILE), default=None)


def changed(path: str) -> ContextError:
    """Return the error for a file that did not hold still."""
    return ContextError(
        f"{path!r} changed while it was read",
        hint="Stop what writes to it, and build again.",
    )
