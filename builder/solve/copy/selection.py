"""COPY and ADD: what is read, and so the inputs of the cache key; `layer.py` writes it as a layer.

    parts (source.py)  ──digest──▶  inputs of the cache key (digest.py)
                          └─place───▶  streams in tree order  ──merge──▶  items for write_layer

Where no record has the step's definition, the layer is written first and `inputs` afterwards costs nothing: its digests
were made on the way. Otherwise `inputs` reads what the stat cache does not know, and what is copied is read again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from builder.context.ignore import IgnorePatterns, exclude_patterns
from builder.context.paths import inside_root
from builder.context.reading import check_growth, hash_node, open_node
from builder.errors import ContextError
from builder.filesystem.entry import FILE
from builder.plan.step import ContextSource, CopyStep, GitSource, HttpSource, InlineSource, Paths
from builder.solve.copy.digest import SelectionDigest
from builder.solve.copy.source import FindTree, Part, inline_part, local_parts, read_nodes

if TYPE_CHECKING:
    from builder.context.archive import Temporary
    from builder.context.tree import Node
    from builder.solve.reason.facts import Seen

Key = tuple[int, str]
"""Number of the part, path: what a digest is asked for by."""
FindRemote = Callable[[HttpSource | GitSource, IgnorePatterns], Iterator[Part]]


class Copy:
    """One COPY or ADD.

    `made_at` (seconds since 1970) is the time of what has none of its own: directories that are made, heredocs.
    `temporary` gives paths for what archives are spooled to; without it ADD copies them as they are.
    `large` lets in archives that grow beyond all proportion.
    """

    def __init__(
        self,
        step: CopyStep,
        find_tree: FindTree,
        find_remote: FindRemote | None = None,
        *,
        made_at: int = 0,
        temporary: Temporary | None = None,
        large: bool = False,
    ) -> None:
        self.step = step
        self.made_at = made_at
        self.temporary = temporary
        self.large = large
        self.digests: list[tuple[Part, SelectionDigest]] | None = None
        """What each part was found to hold, once that is known."""
        self.found: dict[Key, str] = {}
        """(part, path) → digest of a large file; "" until the layer has been written."""
        self.grown: dict[str, Node] = {}
        """Path in the layer → large file that was longer after it had been copied than when it was listed."""
        self.unmatched: dict[str, None] = {}
        """Wildcards that were found to match nothing, in order."""
        self._contexts: dict[int, str] = {}
        """Names of the contexts among the trees, by identity."""
        self._find_tree = find_tree
        self._find_remote = find_remote

    def inputs(self) -> Any:
        """Return what the step reads, for its cache key; after `complete`, without reading anything."""
        if self.digests is None:
            self.digests = []
            for number, part in enumerate(self.parts()):
                digest = SelectionDigest()
                self.digests.append((part, digest))
                if part.fixed is None:
                    self._digest_part(number, part, digest)
        return [
            {"source": part.label, "kind": "directory" if part.is_directory else "file"}
            | (digest.finish(lambda key: self.found[key]) if part.fixed is None else dict(part.fixed))
            for part, digest in self.digests
        ]

    def seen(self) -> tuple[Seen, ...]:
        """Return what was read, entry by entry; after `inputs`."""
        from builder.solve.reason.facts import Seen  # a cached build explains nothing

        return tuple(
            Seen(
                part.label,
                part.root,
                part.is_directory,
                self._contexts.get(id(part.tree)),
                lines=digest.lines(lambda key: self.found[key]),
            )
            for part, digest in self.digests or ()
            if part.fixed is None
        )

    def complete(self, find_digest: Callable[[str], str]) -> None:
        """Take the content digests of large files from the layer that was written, by path in it.

        Raises ContextError when one of them has changed, and not only become longer, meanwhile.
        """
        for path, node in self.grown.items():
            descriptor = open_node(node)
            try:
                check_growth(node, descriptor, find_digest(path))
            finally:
                os.close(descriptor)
        for key in [key for key, digest in self.found.items() if not digest]:
            self.found[key] = find_digest(key[1])

    def parts(self) -> Iterator[Part]:
        """Yield what is copied, in the order of the Dockerfile. Raises ContextError."""
        exclude = exclude_patterns(self.step.exclude)
        for source in self.step.sources:
            match source:
                case Paths():
                    labels = set()
                    tree = self._find_tree(source.source)
                    if isinstance(source.source, ContextSource):
                        self._contexts[id(tree)] = source.source.name
                    for part in local_parts(self.step, source, tree, exclude):
                        labels.add(part.label)
                        yield part
                    self.unmatched |= dict.fromkeys(word for word in source.paths if inside_root(word) not in labels)
                case InlineSource():
                    yield inline_part(source, self.made_at)
                case HttpSource() | GitSource():
                    if self._find_remote is None:
                        raise ContextError("this build cannot read from other machines")
                    for part in self._find_remote(source, exclude):
                        # A repository has no time before it is checked out.
                        mtime = self.made_at if part.is_directory else part.mtime
                        may_unpack = bool(self.step.unpack) and not part.is_directory
                        yield part._replace(mtime=mtime, may_unpack=may_unpack)

    def _digest_part(self, number: int, part: Part, digest: SelectionDigest) -> None:
        scanned_ns = time.time_ns()
        for node in read_nodes(part, load=False):
            key = (number, node.entry.path)
            if node.entry.kind == FILE and not node.entry.digest:
                self.found[key] = hash_node(node)
                part.tree.remember(node, self.found[key], scanned_ns)
            digest.add(part.relative(node.entry.path), node.entry, node.identity, key)
