"""Layers of COPY, ADD and WORKDIR steps in a temporary directory, and what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from builder.context.directory import DirectoryTree
from builder.context.ignore import parse_ignore
from builder.context.tree import EmptyTree, Tree, ViewTree
from builder.filesystem.entry import Entry
from builder.layer.index import LayerIndex
from builder.layer.tar_writer import write_layer
from builder.layer.view import MergedView, ViewLayer
from builder.plan.step import ContextSource, CopyOp, CopySource, CopyStep, Paths, Step, StepID, StepSource, WorkdirOp
from builder.solve.copy.layer import CopyLayer
from builder.solve.copy.selection import CopySelection, FindRemote, read_inputs
from builder.solve.copy.workdir import workdir_layer_items
from builder.solve.seen import Seen

MADE_AT = 42


def copy_step(sources: tuple[CopySource, ...], destination: str, **fields: Any) -> CopyStep:
    """Return a COPY; `fields` are those of its op."""
    return Step(id=StepID(0), op=CopyOp(sources=sources, destination=destination, **fields))


class Rig:
    """A context and a stack of layers made from it; each copy adds one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = folder / "context"
        self.context.mkdir(parents=True)
        self.layers: list[ViewLayer] = []
        self.stages: dict[int, list[ViewLayer]] = {}
        self.ignore = ""
        self.find_remote: FindRemote | None = None
        self.inputs: Any = None

    def write(self, files: Mapping[str, str | bytes], *, mode: int = 0o644, mtime: int = 1000) -> None:
        for name, text in files.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
            path.chmod(mode)
            os.utime(path, (mtime, mtime))

    def tree(self) -> DirectoryTree:
        return DirectoryTree(str(self.context), parse_ignore(self.ignore, ".dockerignore"))

    def copy(self, *words: str, **fields: Any) -> dict[str, Entry]:
        """COPY: the last word is the destination. `stage` is the number of a kept stage to copy from."""
        stage = fields.pop("stage", None)
        source = ContextSource() if stage is None else StepSource(StepID(stage))
        return self.put((Paths(source, words[:-1]),), words[-1], **fields)

    def add(self, *words: str, **fields: Any) -> dict[str, Entry]:
        return self.copy(*words, is_add=True, **fields)

    def put(self, sources: tuple[CopySource, ...], destination: str, **fields: Any) -> dict[str, Entry]:
        """Make the layer of one step, put it on the stack and return its entries by path."""
        step = copy_step(sources, destination, **fields)
        with self.tree() as tree:
            return self.execute(step, tree)

    def execute(self, step: CopyStep, tree: Tree) -> dict[str, Entry]:
        """As `put`, of a step and a context that there are already."""
        layer = CopyLayer(self.selection(step, tree), self.below(step))
        index, hashed = self._keep(layer.items)
        self.inputs = layer.inputs(hashed).document
        again = read_inputs(self.selection(step, tree)).document
        assert self.inputs == again, "one pass and two passes make the same key"
        return entries(index)

    def inputs_of(self, *words: str, **fields: Any) -> Any:
        """Return the inputs of a COPY without making its layer."""
        step = copy_step((Paths(ContextSource(), words[:-1]),), words[-1], **fields)
        with self.tree() as tree:
            return read_inputs(self.selection(step, tree)).document

    def seen_of(self, *words: str, **fields: Any) -> tuple[Seen, ...]:
        """Return what a COPY reads, entry by entry, without making its layer."""
        step = copy_step((Paths(ContextSource(), words[:-1]),), words[-1], **fields)
        with self.tree() as tree:
            return read_inputs(self.selection(step, tree)).seen()

    def selection(self, step: CopyStep, tree: Tree) -> CopySelection:
        def find_tree(source: ContextSource | StepSource) -> Tree:
            if isinstance(source, ContextSource):
                return tree
            layers = self.stages[source.step] if source.step is not None else []
            return ViewTree(MergedView(layers), MADE_AT) if layers else EmptyTree(MADE_AT)

        return CopySelection(step, find_tree, self.find_remote, made_at=MADE_AT, temporary=self._temporary)

    def below(self, step: CopyStep) -> MergedView:
        return MergedView(()) if step.op.link else self.view

    def workdir(self, path: str, user: str = "") -> dict[str, Entry]:
        step = Step(id=StepID(0), op=WorkdirOp(path=path, user=user))
        return entries(self._keep(lambda: workdir_layer_items(step, self.view, made_at=MADE_AT))[0])

    def layer(self, *entries: Entry) -> None:
        """Put a layer with these entries on the stack; files are empty."""
        self._keep(lambda: [(entry, b"" if entry.kind == "file" else None) for entry in entries])

    def keep_stage(self, number: int) -> None:
        """Give the stack a number for `stage`, and begin an empty one."""
        self.stages[number], self.layers = self.layers, []

    @property
    def view(self) -> MergedView:
        return MergedView(self.layers)

    def read(self, path: str) -> str:
        data = self.view.read(path, 1 << 30)
        assert data is not None, f"/{path} is not there"
        return data.decode()

    def _keep(self, items: Callable[[], Any]) -> tuple[LayerIndex, Mapping[str, str]]:
        tar, index_path = self._temporary("tar"), self._temporary("index")
        with open(tar, "wb") as file:
            written = write_layer(items(), file.write, index_path)
        index = LayerIndex(index_path)
        self.layers.append(ViewLayer(index, lambda: tar))
        return index, written.hashed

    def _temporary(self, label: str) -> str:
        return str(self.folder / f"{len(list(self.folder.iterdir()))}-{label}")


def entries(index: LayerIndex) -> dict[str, Entry]:
    return {found.entry.path: found.entry for found in index.walk()}


def modes(layer: Mapping[str, Entry]) -> dict[str, str]:
    """Return path → "mode uid:gid" for readable assertions; directories have a slash, links an arrow."""
    shown = {}
    for path, entry in layer.items():
        mark = {"directory": "/", "symlink": f" -> {entry.link}", "hardlink": f" = {entry.link}"}.get(entry.kind, "")
        shown[path + mark] = f"{entry.mode:o} {entry.uid}:{entry.gid}"
    return shown
