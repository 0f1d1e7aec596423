"""Files of containers: copied out and in (cp), all of them as a tar (export), seen by another command (mount).

The tree is mounted in a namespace of this process, which is moved there: it must have one thread. A container may run
while its files are read; to change them it must not.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from builder.containers.session import ContainerSession, open_session
from builder.containers.tree_read import Owner, SourceTree
from builder.containers.tree_write import TreeWriter, reader
from builder.errors import StoreError, UsageError
from builder.layer.compression import open_decompressed
from builder.layer.tar_reader import read_tar
from builder.layer.tar_writer import write_tree
from builder.linux.beneath import open_in_root
from builder.store.container_record import ContainerRecord
from builder.store.layers import Reader
from builder.store.store import Notify

Write = Callable[[bytes], object]

PATH_VARIABLE = "PYBUILD_MOUNT"
"""Names the mounted tree to the command of `pybuild mount`."""

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRequest:
    """One `cp` between a container and this machine."""

    root: str
    """Path of the store."""
    container: str
    source: str
    """A path on one side; a trailing `/.` means what a folder holds."""
    target: str = ""
    """A path on the other."""
    archive: bool = False
    """Keep owners: else what comes is root's in a container, and outside the caller's."""
    follow: bool = False
    """Copy what a link at `source` leads to."""


def copy_out(request: CopyRequest, *, notify: Notify) -> None:
    """Copy from a container to this machine. Raises StoreError."""
    target = os.path.abspath(request.target) + ("/" if request.target.endswith("/") else "")
    with _reading(request.root, request.container, notify) as (tree, owner):
        source = SourceTree(tree, request.source, follow=request.follow)
        folder, name = _destination("/", target, source.is_directory, source.name)
        _copy(source, owner, folder, name, request.archive)


def copy_in(request: CopyRequest, *, notify: Notify) -> None:
    """Copy from this machine into a container, which must not run. Raises StoreError."""
    path = os.path.abspath(request.source) + ("/." if request.source.endswith("/.") else "")
    if not os.path.lexists(path):
        raise StoreError(f"cannot copy {request.source}: no such file or directory")
    with _changing(request.root, request.container, "copy into", notify) as tree:
        source = SourceTree("/", path, follow=request.follow)
        folder, name = _destination(tree, request.target, source.is_directory, source.name)
        _copy(source, None, folder, name, request.archive)


def unpack_in(request: CopyRequest, stream: Reader, *, notify: Notify) -> None:
    """Unpack a tar, compressed or not, into a folder of a container. Raises StoreError, LayerError."""
    with _changing(request.root, request.container, "copy into", notify) as tree:
        folder, name = _destination(tree, request.target, True, "")
        if name:
            raise StoreError(f"cannot copy to {request.target}: no such directory")
        with TreeWriter(folder, owners=True) as writer:
            for member in read_tar(open_decompressed(stream)):
                if member.entry.path:
                    writer.put(member.entry, member.read)
            writer.finish()


def write_out(request: CopyRequest, write: Write, *, notify: Notify) -> None:
    """Write a tar of what a container has at the source; `/.` is all of it. Raises StoreError, LayerError."""
    with _reading(request.root, request.container, notify) as (tree, owner):
        source = SourceTree(tree, request.source, follow=request.follow)
        write_tree(source.entries(source.name, owner), write)


def run_mounted(root: str, text: str, command: Sequence[str], *, notify: Notify) -> int:
    """Run a command of this machine that sees a container's tree at $PYBUILD_MOUNT, its working directory.

    What it writes there is the container's, which cannot run meanwhile. Return the command's exit code.
    """
    with _changing(root, text, "mount", notify) as tree:
        try:
            done = subprocess.run(command, cwd=tree, env={**os.environ, PATH_VARIABLE: tree}, check=False)
        except OSError as error:
            raise UsageError(f"cannot run {command[0]}: {(error.strerror or str(error)).lower()}") from error
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


@contextmanager
def _reading(root: str, text: str, notify: Notify) -> Iterator[tuple[str, Owner | None]]:
    with open_session(root, notify=notify) as session:
        record = session.containers.get(text)
        session.enter()
        if not record.form:
            with session.containers.hold(text, "read") as container:
                session.prepare_writable(container)
                record = container.record
        with session.tree(record) as tree:
            yield tree, _owner(record, session)


@contextmanager
def _changing(root: str, text: str, doing: str, notify: Notify) -> Iterator[str]:
    with open_session(root, notify=notify) as session, session.containers.hold(text, doing) as container:
        session.enter()
        session.prepare_writable(container)
        with session.tree(container.record, writes=True) as tree:
            yield tree


def _owner(record: ContainerRecord, session: ContainerSession) -> Owner | None:
    """Return what knows the owners in an image where one id owns all files here."""
    if session.place.ids == "exact":
        return None
    view = session.view(record)

    def owner(path: str) -> tuple[int, int] | None:
        found = view.find("" if path == "." else path)
        return None if found is None else (found.entry.uid, found.entry.gid)

    return owner


def _destination(tree: str, target: str, is_directory: bool, name: str) -> tuple[str, str]:
    """Return the folder to write into, and the name for what is copied there; "" for its content alone.

    As docker cp has it: into a folder that is there, else under the target's own name. Raises StoreError.
    """
    found = _find(tree, target)
    if found is not None and stat.S_ISDIR(os.stat(found).st_mode):
        return found, name
    if found is not None and not os.path.isdir(found) and not os.path.isfile(found):
        raise StoreError(f"cannot copy to {target}: the destination must be a directory or a regular file")
    if found is not None and is_directory:
        raise StoreError(f"cannot copy a folder to {target}, which is a file")
    if found is not None and target.endswith("/"):
        raise StoreError(f"cannot copy to {target}: not a directory")
    if found is not None:  # at the end of a link, as docker cp: the link stays one
        return os.path.split(found)
    if found is None and target.endswith("/") and not is_directory:
        raise StoreError(f"cannot copy to {target}: no such directory")
    parent, _, last = os.path.normpath("/" + target.lstrip("/")).rpartition("/")
    folder = _find(tree, parent or "/")
    if folder is None or not os.path.isdir(folder):
        raise StoreError(f"cannot copy to {target}: no such directory: {parent or '/'}")
    return folder, last


def _find(tree: str, path: str) -> str | None:
    """Return where a path inside a tree is on this machine, links followed; None when it is not there."""
    root = os.open(tree, _OPEN_DIRECTORY)
    try:
        descriptor = open_in_root(root, path.lstrip("/") or ".", os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot copy to {path}: {(error.strerror or str(error)).lower()}") from error
    finally:
        os.close(root)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _copy(source: SourceTree, owner: Owner | None, folder: str, name: str, archive: bool) -> None:
    with TreeWriter(folder, owners=archive) as writer:
        for entry, content in source.entries(name, owner):
            read, end = reader(content)
            try:
                writer.put(entry, read)
            finally:
                end()
        writer.finish()
