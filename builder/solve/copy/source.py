"""The sources of a COPY: each word, each match of a wildcard, as a stream of files of one tree.

A source is a file, or the contents of a directory. It can be walked more than once, and says nothing of where it goes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

from builder.context.ignore import IgnorePatterns
from builder.context.paths import inside_root, name_of
from builder.context.reading import read_node
from builder.context.select import Match, filtered, find_below, find_matches, split_pivot
from builder.context.tree import EmptyTree, Node, Tree
from builder.errors import ContextError, StepFailed
from builder.filesystem.entry import DIRECTORY, FILE, Entry
from builder.layer.content import IN_MEMORY_BYTES, FileContent
from builder.oci.canonical import Document
from builder.plan.step import ContextSource, CopyStep, InlineSource, Paths, StepSource

FindTree = Callable[[ContextSource | StepSource], Tree]

# BuildKit's for an inline file, where no --chmod says otherwise (build `copy-heredoc`).
_HEREDOC_MODE = 0o644


class SelectedSource(NamedTuple):
    """One thing that is copied. `root` is the path in `tree` that relative paths are cut from."""

    label: str
    """What the Dockerfile calls it, cleaned."""
    name: str
    """What a file is called when it is put into a directory."""
    is_directory: bool
    tree: Tree
    root: str
    mtime: int
    nodes: Callable[[], Iterator[Node]]
    """Give the file, or what is below the directory, in tree order; works again and again."""
    fixed: Document | None = None
    """Its inputs, for a source whose name stands for its content (a commit): nothing need be read for them."""
    may_unpack: bool = False
    """Whether ADD unpacks it if it turns out to be an archive."""
    context: str | None = None
    """The name of the build context it is from."""

    def relative(self, path: str) -> str:
        """Return the path below the source's root; a file's is its name."""
        if not self.is_directory:
            return self.name
        return path[len(self.root) + 1 :] if self.root else path


def local_sources(step: CopyStep, source: Paths, tree: Tree, exclude: IgnorePatterns) -> Iterator[SelectedSource]:
    """Yield what is selected by the paths taken from one tree. Raises StepFailed, ContextError, SourceError."""
    context = source.source.name if isinstance(source.source, ContextSource) else None
    for number, word in enumerate(source.paths):
        placed = partial(_placed, step, source, number)
        if step.op.parents:
            base_word, pattern = split_pivot(word)
            for base in placed(partial(find_matches, tree, base_word)):
                if base.entry.kind != DIRECTORY:
                    raise ContextError(f'"/{base_word}" is a {base.entry.kind}; with --parents it must be a directory')
                yield SelectedSource(
                    inside_root(word), base.name, True, tree, base.path, base.entry.mtime,
                    partial(placed, partial(find_below, tree, base, pattern, exclude)), context=context,
                )  # fmt: skip
            continue
        for match in placed(partial(find_matches, tree, word)):
            if match.entry.kind == DIRECTORY:
                yield SelectedSource(
                    inside_root(word), match.name, True, tree, match.path, match.entry.mtime,
                    partial(filtered, tree, match.path, exclude), context=context,
                )  # fmt: skip
            else:
                yield file_source(inside_root(word), tree, match)._replace(
                    may_unpack=step.op.is_add and step.op.unpack is not False, context=context
                )


_Found = TypeVar("_Found")


def _placed(step: CopyStep, source: Paths, number: int, find: Callable[[], Iterator[_Found]]) -> Iterator[_Found]:
    """Yield what `find` gives; its errors are located at the word of the Dockerfile that names the source."""
    try:
        yield from find()
    except ContextError as error:
        if not source.places:
            raise  # the step says where it stands
        hint, origins = error.hint, source.origins[number]
        if hint and origins:
            hint = f"{hint.removesuffix('.')}; {origins}"
        raise StepFailed(error.message, source.places[number], hint=hint or origins, step=step.title) from error


def file_source(label: str, tree: Tree, match: Match) -> SelectedSource:
    """Return a single file."""
    known = match.node
    return SelectedSource(
        label, match.name, False, tree, match.path, match.entry.mtime,
        # A wildcard's match was listed with its directory: it is not looked up again.
        lambda: iter([known]) if known is not None else tree.walk(match.path),
    )  # fmt: skip


def inline_source(source: InlineSource, mtime: int) -> SelectedSource:
    """Return a heredoc (H-8): a file called as its delimiter."""
    data = source.content.encode("utf-8", "surrogateescape")
    name = name_of(source.name) or source.name
    entry = Entry(name, FILE, _HEREDOC_MODE, 0, 0, mtime, len(data), digest=hashlib.sha256(data).hexdigest())
    return SelectedSource(f"<<{source.name}", name, False, EmptyTree(), name, mtime, lambda: iter([Node(entry, data)]))


def read_nodes(source: SelectedSource, *, load: bool) -> Iterator[Node]:
    """Yield the source's nodes with the digests of all but large files, whose digest may be missing.

    With `load`, small files on disk come as bytes, each read once. Raises ContextError when one changes meanwhile.
    """
    scanned_ns = time.time_ns()
    for node in source.nodes():
        entry = node.entry
        if entry.kind != FILE or entry.size > IN_MEMORY_BYTES:
            yield node
            continue
        # Of a layer nothing is loaded: the bytes are copied from where they lie, and were digested when it was indexed.
        on_disk = type(node.content) is FileContent
        if entry.digest and not (load and on_disk):
            yield node
            continue
        data = read_node(node)
        if not entry.digest:
            path, kind, mode, uid, gid, mtime, size, link, device, xattrs, _ = entry
            digest = hashlib.sha256(data).hexdigest()
            source.tree.remember(node, digest, scanned_ns)
            # Not _replace: this is done for each file of a context.
            entry = Entry(path, kind, mode, uid, gid, mtime, size, link, device, xattrs, digest)
        yield Node(entry, data if load else node.content, node.identity, node.status)
