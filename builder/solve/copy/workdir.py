"""WORKDIR: a directory and its parents, where they are missing (W-1)."""

from __future__ import annotations

from collections.abc import Iterator

from builder.errors import ContextError
from builder.filesystem.entry import DIRECTORY
from builder.layer.view import MergedView
from builder.plan.step import WorkdirStep
from builder.solve.accounts import find_owner
from builder.solve.copy.destination import Destination, NewDirectory
from builder.solve.copy.layer import LayerItem


def workdir_layer_items(step: WorkdirStep, parent: MergedView, *, made_at: int = 0) -> Iterator[LayerItem]:
    """Yield the directories of a WORKDIR's layer: none when it exists. What is made belongs to the step's user.

    `made_at` is in seconds since 1970. Raises ContextError when something on the way is no directory.
    """
    target = Destination(parent, step.op.path)
    if target.existing is not None:
        if target.existing.kind != DIRECTORY:
            raise ContextError(f"mkdir /{target.path}: not a directory", hint="Remove it in an earlier step.")
        # Nothing is made and nobody is given it, whatever its mode and owner are (W-1): the layer is empty.
        return
    uid, gid = find_owner(parent, step.op.user) if step.op.user else (0, 0)
    for entry in target.directories(target.path, NewDirectory(uid=uid, gid=gid, mtime=made_at)):
        yield entry, None
