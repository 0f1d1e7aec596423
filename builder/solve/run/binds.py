"""Bind mounts of a RUN: a part of a context, or of the file system of a stage.

A context is mounted in place only where a command cannot tell it from what BuildKit would show: no ignore file hides a
part of it, all of it belongs to us, who are root to the command, and nothing was touched since it was looked at.
Otherwise the part that is asked for is written to the store, once in a build. Layers of stages never change, and are
mounted as they are.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from builder.context.directory import DirectoryTree
from builder.context.paths import inside_root
from builder.context.select import missing
from builder.context.tree import Node, Tree, ViewTree
from builder.filesystem.still import StillTree
from builder.layer.view import MergedView
from builder.plan.step import BindMount, RunStep, StepSource
from builder.sandbox import spec
from builder.solve.run.materialize import materialize
from builder.solve.run.sightings import Sighting, look, look_at_copy
from builder.solve.step_errors import failed
from builder.store.os_errors import translated
from builder.store.trash import discard

if TYPE_CHECKING:
    from builder.solve.run.mounts import MountSources, MountTrees

_PRIVATE_MODE = 0o700


class Shown(NamedTuple):
    """What the mount of a context shows a command."""

    sighting: Sighting
    tree: Tree
    in_place: bool

    def moved(self) -> str | None:
        """Return a path that may have changed while the command ran; None when everything was as the sighting says."""
        return self.sighting.moved(self.tree) if self.in_place else None


@dataclass(slots=True)
class ContextCopies:
    """The parts of contexts that were written to the store, by name and path, and what is in them."""

    lock: Lock = field(default_factory=Lock)
    made: dict[tuple[str, str], tuple[str, Sighting]] = field(default_factory=dict)
    moving: set[tuple[str, str]] = field(default_factory=set)
    """Parts that changed while they were mounted in place."""


def bind(
    step: RunStep, mount: BindMount, sources: MountSources, stack: ExitStack, shown: dict[BindMount, Shown]
) -> spec.BindMount:
    """Return what the sandbox is to mount for `mount`; what a context shows is put into `shown`."""
    target = posixpath.join("/", step.op.cwd, mount.target)
    # Layers never change, so they need no sighting, and nothing is looked at again after the command.
    if isinstance(mount.source, StepSource):
        layers = sources.layers(mount.source.step)
        view = MergedView([layer.layer for layer in layers])
        root = stack.enter_context(sources.snapshotter.open_stack(layers, view))
        subpath = existing_path(step, ViewTree(view), mount.subpath)
        return spec.BindMount(source=root, subpath=subpath, target=target, readonly=mount.readonly)
    name = mount.source.name
    tree = sources.context(name)
    sighting = seen_part(step, tree, name, mount.subpath, sources)
    if isinstance(tree, DirectoryTree) and _may_be_in_place(tree, (name, mount.subpath), sighting, sources):
        shown[mount] = Shown(sighting, tree, in_place=True)
        directory = tree.path
    else:
        directory, sighting = _copied_part(name, mount.subpath, tree, sighting.start, sources, stack)
        shown[mount] = Shown(sighting, tree, in_place=False)
    root = spec.DirectoryRoot(directory)
    return spec.BindMount(source=root, subpath=sighting.start, target=target, readonly=mount.readonly)


def seen_part(step: RunStep, tree: Tree, name: str, subpath: str, sources: MountSources | MountTrees) -> Sighting:
    """Return the sighting of `subpath` of a context. Raises StepFailed when nothing is there, ContextError."""
    return sources.sightings.see(name, subpath, lambda: look(tree, existing_path(step, tree, subpath)))


def existing_path(step: RunStep, tree: Tree, path: str) -> str:
    """Return `path` with links followed; "" is the root. Raises StepFailed when nothing is there, or it is hidden."""
    resolved = tree.resolve(path)
    if tree.find(resolved) is None:
        hint = missing(tree, inside_root(path)).hint or "The source of a mount must exist."
        # BuildKit's words: scripts may look for them.
        raise failed(step, f'failed to calculate checksum: "/{resolved}": not found', hint)
    return resolved


def _may_be_in_place(tree: DirectoryTree, part: tuple[str, str], sighting: Sighting, sources: MountSources) -> bool:
    """Say whether the directory on disk looks just like the tree (nothing hidden, all of it ours), and holds still."""
    if not sources.in_place or tree.hides or not sighting.is_settled or part in sources.copies.moving:
        return False
    # To the command these ids are root's; those of other owners would show (BuildKit gives a context to root;
    # test_files_of_another_owner_in_the_context_appear_as_roots).
    own = (os.geteuid(), os.getegid())
    for _, status in sighting.statuses:
        assert status is not None, "a directory's files have a status"
        # A FIFO or device of the context would be open to the command; in a copy they are left out (materialize.py).
        regular = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)
        if not regular or (status.st_uid, status.st_gid) != own:
            return False
    return True


def _copied_part(
    name: str, subpath: str, tree: Tree, start: str, sources: MountSources, stack: ExitStack
) -> tuple[str, Sighting]:
    """Return a directory of ours that has this part of the context at the same path, and what is in it."""
    if not sources.in_place:
        directory, sighting = _copy(tree, start, sources)
        stack.callback(discard, directory, sources.trash)  # what can be written to isn't shared
        return directory, sighting
    copies = sources.copies
    with copies.lock:  # also while it is written: a second step that mounts the part waits for the first one's copy
        if (name, subpath) not in copies.made:
            copies.made[name, subpath] = _copy(tree, start, sources)
        return copies.made[name, subpath]


def _copy(tree: Tree, start: str, sources: MountSources) -> tuple[str, Sighting]:
    with translated("writing the build context for a mount"):
        directory = sources.temporary("context")
        os.mkdir(directory, _PRIVATE_MODE)
        # At the same path as in the context: `bind` mounts `start` of the one or the other.
        inside = os.path.join(directory, start) if start else directory
        os.makedirs(os.path.dirname(inside), 0o755, exist_ok=True)
        nodes: list[Node] = []
        try:
            # The nodes are noted on the way: what was copied is what the key must say, not what a
            # second walk would find.
            materialize(_noted(tree.walk(start), nodes), inside, prefix=start, owners=False, cancel=sources.cancel)
        except BaseException:
            discard(directory, sources.trash)
            raise
        with StillTree(directory) as copied:
            return directory, look_at_copy(start, nodes, lambda path: _hash(copied.at(path)))


def _noted(nodes: Iterator[Node], into: list[Node]) -> Iterator[Node]:
    for node in nodes:
        into.append(node)
        yield node


def _hash(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
