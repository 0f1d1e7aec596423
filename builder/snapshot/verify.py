"""Checks what is made from layers: tables of contents, and unpacked trees, file by file. Reads all, changes nothing.

An unpacked tree is not compared with its layer before a RUN stands on it: that would cost as much as unpacking it.
Nobody but the store's owner can enter it, and after a restart of the machine it is made anew; between, this is what
looks. Compared are kinds, modes, sizes, contents and link targets, and that nothing was added.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator

from builder.errors import PybuildError, counted
from builder.filesystem.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from builder.layer.index import IMPLIED, LayerIndex, open_index
from builder.layer.whiteout import OPAQUE, PREFIX, is_whiteout
from builder.snapshot.unpacked import is_of_this_boot
from builder.store.store import Store
from builder.store.verify import Finding

_BLOCK_BYTES = 1 << 20
_TYPE = {FILE: stat.S_IFREG, HARDLINK: stat.S_IFREG, DIRECTORY: stat.S_IFDIR, SYMLINK: stat.S_IFLNK}
_SINGLE = ".single"
"""The form of trees with one user id, whose files may have other modes than their layer says."""


def verify_made_from_layers(store: Store) -> tuple[Finding, ...]:
    """Check the index and the unpacked forms of every layer of the store."""
    found: list[Finding] = []
    trees = _trees(store.snapshots)
    for record in store.layers.walk():
        path = store.layers.index_path(record.diff_id)
        try:
            with open_index(path, record.diff_id) as index:
                for tree in trees.get(record.diff_id.encoded, ()):
                    found += _check_tree(store, tree, index)
        except FileNotFoundError:
            continue  # verify_store says so
        except PybuildError as error:
            found.append(
                Finding(path, error.message, hint=f"It is made again where it is needed, or after: rm '{path}'")
            )
    return tuple(found)


def _trees(directory: str) -> dict[str, list[str]]:
    trees: dict[str, list[str]] = {}
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        if is_of_this_boot(f"{directory}/{name}"):
            trees.setdefault(name.partition(".")[0], []).append(f"{directory}/{name}")
    return trees


def _check_tree(store: Store, tree: str, index: LayerIndex) -> Iterator[Finding]:
    hint = f"It is unpacked again after: mv '{tree}' '{store.trash}/'"
    root = os.open(f"{tree}/fs", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for item in index.walk_complete():
            entry = item.entry
            if is_whiteout(entry.path):
                continue
            problem = _difference(root, entry, index, modes=item.offset != IMPLIED and not tree.endswith(_SINGLE))
            if problem:
                yield Finding(tree, f"/{entry.path} {problem}", hint=hint)
            elif entry.kind == DIRECTORY:
                for name in _added(root, entry.path, index):
                    yield Finding(tree, f"{name} is not in the layer", hint=hint)
    except OSError as error:
        yield Finding(tree, f"cannot be read: {error.strerror} ({error.filename})", hint=hint)
    finally:
        os.close(root)


def _difference(root: int, entry: Entry, index: LayerIndex, *, modes: bool) -> str:
    """Say in what a file differs from its entry, or nothing."""
    if entry.kind not in _TYPE:
        return ""  # devices and fifos: an ordinary user cannot make all of them
    try:
        status = os.stat(entry.path or ".", dir_fd=root, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    if stat.S_IFMT(status.st_mode) != _TYPE[entry.kind]:
        return "is of another kind"
    if entry.kind == SYMLINK:
        return "" if os.readlink(entry.path, dir_fd=root) == entry.link else "leads elsewhere"
    if modes and entry.path and stat.S_IMODE(status.st_mode) != entry.mode:
        return f"has the mode {stat.S_IMODE(status.st_mode):04o}, not {entry.mode:04o}"
    target = index.find(entry.link) if entry.kind == HARDLINK else None
    known = target.entry if target is not None else entry
    if known.kind != FILE or not known.digest:
        return ""  # a name of a file of a layer below
    if status.st_size != known.size:
        return f"has {counted(status.st_size, 'byte')}, not {known.size}"
    return "" if _digest(root, entry.path) == known.digest else "has other bytes"


def _digest(root: int, path: str) -> str:
    hashing = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=root)
    try:
        while block := os.read(descriptor, _BLOCK_BYTES):
            hashing.update(block)
    finally:
        os.close(descriptor)
    return hashing.hexdigest()


def _added(root: int, directory: str, index: LayerIndex) -> Iterator[str]:
    """Yield what is in a directory and not in the layer; a whiteout is there as a device of the hidden name."""
    expected = set()
    for child in index.children(directory):
        name = child.entry.path.rpartition("/")[2]
        expected.add(name.removeprefix(PREFIX) if name != OPAQUE else name)
    descriptor = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
    try:
        for name in sorted(set(os.listdir(descriptor)) - expected):
            if not stat.S_ISSOCK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                yield f"/{directory}/{name}" if directory else f"/{name}"  # a layer holds no sockets
    finally:
        os.close(descriptor)
