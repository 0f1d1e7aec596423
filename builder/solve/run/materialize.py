"""Puts a part of a tree on disk: build contexts for bind mounts, seeds for cache mounts.

In: nodes in tree order. Out: files below a directory that is ours alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from threading import Event

from builder.context.reading import beginning_of, check_growth, check_node, open_node
from builder.context.tree import Node
from builder.errors import StoreError
from builder.filesystem.entry import DIRECTORY, FILE, SYMLINK, Entry
from builder.filesystem.still import StillTree
from builder.layer.content import SliceCheck, SlicedContent
from builder.solve.commit import check_cancelled

_FICLONE = 0x40049409  # linux/fs.h
_BLOCK_BYTES = 1 << 20
_NEW_DIRECTORY_MODE = 0o755


def materialize(nodes: Iterable[Node], directory: str, *, prefix: str = "", owners: bool, cancel: Event) -> None:
    """Write what lies at `prefix` of a tree to `directory`, which must not exist (unless `prefix` is a directory).

    `owners` False leaves everything to this process's user. Devices, fifos and extended attributes are left out.
    Raises OSError, StoreError, ContextError, and Cancelled soon after `cancel` is set.
    """
    with StillTree(directory) as tree:
        _write_nodes(nodes, tree, prefix, owners, cancel)


def _write_nodes(nodes: Iterable[Node], tree: StillTree, prefix: str, owners: bool, cancel: Event) -> None:
    made: list[tuple[str, Entry]] = []
    cut = len(prefix) + 1 if prefix else 0
    for node in nodes:
        check_cancelled(cancel)
        entry = node.entry
        path = entry.path[cut:] if entry.path != prefix else ""
        while made and made[-1][0] and not path.startswith(f"{made[-1][0]}/"):
            _finish(tree, *made.pop(), owners)
        if path and (not made or path.rpartition("/")[0] != made[-1][0]):
            # Each parent was made here, as a directory: so no path can lead through a link.
            raise StoreError(f"/{entry.path} lies in something that is no directory")
        absolute = tree.at(path)
        if entry.kind == DIRECTORY:
            if path or not os.path.isdir(absolute):
                os.mkdir(absolute, _NEW_DIRECTORY_MODE)
            made.append((path, entry))
        else:
            _write_leaf(node, absolute, owners, cancel)
    while made:
        _finish(tree, *made.pop(), owners)


def _finish(tree: StillTree, path: str, entry: Entry, owners: bool) -> None:
    """A directory gets its mode and time when everything is in it."""
    absolute = tree.at(path)
    if owners:
        os.chown(absolute, entry.uid, entry.gid)
    os.chmod(absolute, entry.mode)
    os.utime(absolute, (entry.mtime, entry.mtime))


def _write_leaf(node: Node, absolute: str, owners: bool, cancel: Event) -> None:
    entry = node.entry
    if entry.kind == SYMLINK:
        os.symlink(entry.link, absolute)
    elif entry.kind == FILE:
        _write_file(node, absolute, cancel)
    else:
        return
    # In this order: chown(2) takes set-id bits away.
    if owners:
        os.chown(absolute, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind != SYMLINK:
        os.chmod(absolute, entry.mode)
    os.utime(absolute, (entry.mtime, entry.mtime), follow_symlinks=False)


def _write_file(node: Node, absolute: str, cancel: Event) -> None:
    target = os.open(absolute, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if isinstance(node.content, bytes):
            _write_all(target, node.content)
            return
        source = open_node(node)
        try:
            # What has a status is a file of its own. Others lie in the tar of a layer, all of which would be cloned.
            if node.status is not None and _clone(source, target):
                # Of the file as it is now, which may be longer than it was when it was listed.
                os.ftruncate(target, node.entry.size)
            else:
                check = SliceCheck(node.content, source) if isinstance(node.content, SlicedContent) else None
                _copy(source, target, node.entry.size, check, cancel)
            # Looked at once more when it is read: a context is written to while builds run.
            if check_node(node, source):
                check_growth(node, source, beginning_of(node, target))
        finally:
            os.close(source)
    finally:
        os.close(target)


def _clone(source: int, target: int) -> bool:
    """Share the blocks of a whole file where the file system can (btrfs, xfs)."""
    with suppress(OSError):
        # Not on this file system, or not between these two (man 2 ioctl_ficlone): then bytes are copied.
        fcntl.ioctl(target, _FICLONE, source)
        return True
    return False


def _copy(source: int, target: int, left: int, check: SliceCheck | None, cancel: Event) -> None:
    while left > 0 and (block := os.read(source, min(left, _BLOCK_BYTES))):
        check_cancelled(cancel)
        if check is not None:
            check.update(block)
        _write_all(target, block)
        left -= len(block)
    if check is not None:
        check.finish()


def _write_all(target: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]
