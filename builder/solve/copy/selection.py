"""What COPY and ADD read, and so the inputs of their cache key; layer.py writes it as a layer.

    sources (source.py)  ──digest──▶  inputs of the cache key (digest.py)
                         └─place───▶  streams in tree order  ──merge──▶  items for write_layer

Where no record has the step's definition, the layer is written first and its inputs cost nothing: they are digested on
the way. Otherwise `read_inputs` reads what the stat cache does not know, and what is copied is read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from builder.context.ignore import IgnorePatterns, exclude_patterns
from builder.context.paths import inside_root
from builder.context.reading import hash_node
from builder.errors import ContextError
from builder.filesystem.entry import FILE
from builder.plan.step import CopyStep, GitSource, HttpSource, InlineSource, Paths
from builder.solve.copy.digest import FindDigest, SelectionDigest
from builder.solve.copy.source import FindTree, SelectedSource, inline_source, local_sources, read_nodes
from builder.solve.events import Warned
from builder.solve.job import Inputs
from builder.solve.seen import Seen

if TYPE_CHECKING:
    from builder.context.archive import Temporary

FindRemote = Callable[[HttpSource | GitSource, IgnorePatterns], Iterator[SelectedSource]]


class Selected(NamedTuple):
    """What a step's words select, in the order of the Dockerfile, and the wildcards among them that match nothing."""

    sources: tuple[SelectedSource, ...]
    unmatched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CopySelection:
    """One COPY or ADD, and where its sources are found.

    `made_at` (seconds since 1970) is the time of what has none of its own: directories that are made, heredocs.
    `temporary` gives paths for what archives are spooled to; without it ADD copies them as they are.
    `large` lets in archives that grow beyond all proportion.
    """

    step: CopyStep
    find_tree: FindTree
    find_remote: FindRemote | None = None
    made_at: int = 0
    temporary: Temporary | None = None
    large: bool = False

    def select(self) -> Selected:
        """Return what is copied. Raises ContextError, StepFailed."""
        exclude = exclude_patterns(self.step.op.exclude)
        sources: list[SelectedSource] = []
        unmatched: dict[str, None] = {}
        for source in self.step.op.sources:
            match source:
                case Paths():
                    found = list(local_sources(self.step, source, self.find_tree(source.source), exclude))
                    # By label, which is the word cleaned: each match of a wildcard has that of its word.
                    labels = {each.label for each in found}
                    unmatched |= dict.fromkeys(word for word in source.paths if inside_root(word) not in labels)
                    sources += found
                case InlineSource():
                    sources.append(inline_source(source, self.made_at))
                case HttpSource() | GitSource():
                    sources += self._remote(source, exclude)
        return Selected(tuple(sources), tuple(unmatched))

    def _remote(self, source: HttpSource | GitSource, exclude: IgnorePatterns) -> Iterator[SelectedSource]:
        if self.find_remote is None:
            raise ContextError("this build cannot read from other machines")
        for found in self.find_remote(source, exclude):
            # A repository has no time before it is checked out.
            mtime = self.made_at if found.is_directory else found.mtime
            yield found._replace(mtime=mtime, may_unpack=bool(self.step.op.unpack) and not found.is_directory)


def read_inputs(selection: CopySelection) -> Inputs:
    """Read what a step will copy, and return it as inputs. Raises ContextError, StepFailed."""
    selected = selection.select()
    digests = [_digest(source) for source in selected.sources]
    return inputs_of(selection.step, selected, digests, [_already_known] * len(digests))


def inputs_of(
    step: CopyStep, selected: Selected, digests: Sequence[SelectionDigest], finders: Iterable[FindDigest]
) -> Inputs:
    """Return the inputs of a step whose sources are digested; a finder each gives digests of large files."""
    parts = list(zip(selected.sources, digests, finders, strict=True))
    document = [
        {"source": source.label, "kind": "directory" if source.is_directory else "file"}
        | (digest.finish(find) if source.fixed is None else dict(source.fixed))
        for source, digest, find in parts
    ]
    # BuildKit copies nothing in silence where a wildcard matches nothing (Z-18).
    warnings = (
        Warned("UnmatchedWildcard", f"{word} matches nothing, so nothing is copied", step.label.location)
        for word in selected.unmatched
    )
    # The files are described only when a miss is to be explained: a cached build never asks.
    return Inputs(document, partial(_seen, parts), tuple(warnings))


def _seen(parts: list[tuple[SelectedSource, SelectionDigest, FindDigest]]) -> tuple[Seen, ...]:
    return tuple(
        Seen(source.label, source.root, source.is_directory, source.context, lines=digest.lines(find))
        for source, digest, find in parts
        if source.fixed is None
    )


def _digest(source: SelectedSource) -> SelectionDigest:
    digest = SelectionDigest()
    if source.fixed is None:
        scanned_ns = time.time_ns()
        for node in read_nodes(source, load=False):
            entry = node.entry
            if entry.kind == FILE and not entry.digest:
                entry = entry._replace(digest=hash_node(node))
                source.tree.remember(node, entry.digest, scanned_ns)
            digest.add(source.relative(entry.path), entry, node.identity)
    return digest


def _already_known(path: str) -> str:
    raise AssertionError(f"{path} was added with its digest")
