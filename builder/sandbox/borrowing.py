"""Mounts without mounting: things are put into a root directory for the time of one run, and taken out again.

    <root>.held/
        journal     one JSON line a placement, written before it is made
        N           what stood in the way of placement N

Whatever happened in between, `restore` brings back what was hidden, removes what was put there and gives the
directories their times back, last placement first. After a kill -9 the journal allows the same from another process.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass

from builder.errors import SandboxError
from builder.filesystem.remove import remove_tree
from builder.linux.beneath import open_in_root, walk_in_root
from builder.sandbox.copying import copy_tree

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_HELD = ".held"
_JOURNAL = "journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One thing put into the root."""

    number: int
    parent: str
    """The directory it is in, as a path inside the root without links."""

    name: str
    directory: bool
    held: bool
    """Whether something was moved aside for it."""

    return_to: str
    """Host directory that takes the contents back afterwards; empty to throw them away."""

    keep_if_used: bool
    """A directory made only to get to another one: it stays when the command has put something into it."""

    mtime_before: int
    mtime_after: int = 0


class Borrowings:
    """What is in one root for the time of one run."""

    def __init__(self, root: str) -> None:
        """Repair what an earlier, killed run may have left, and start a journal. Raises OSError."""
        self._root = os.open(root, _OPEN_DIRECTORY)
        self._held = root.rstrip("/") + _HELD
        self._placed: list[Placement] = []
        if os.path.isdir(self._held):
            self._read_journal()
            self.restore()
            self._root = os.open(root, _OPEN_DIRECTORY)
        os.mkdir(self._held, 0o700)

    def place(self, path: str, *, directory: bool, return_to: str = "") -> str:
        """Make room at `path` in the root, and return a host path (in an open directory) to create the thing at.

        Directories to it are made where missing. Raises OSError, SandboxError.
        """
        with walk_in_root(self._root, path) as walk:
            whole = walk.found + walk.missing
            missing = len(walk.missing)
        if not whole:
            raise SandboxError(f'invalid mount target "{path}"')
        for depth in range(len(whole) - missing, len(whole) - 1):
            above = self._reserve(whole[:depth], whole[depth], directory=True, keep_if_used=True)
            os.mkdir(above, 0o755)
            self._settle()
        return self._reserve(whole[:-1], whole[-1], directory=directory, return_to=return_to)

    def settle(self) -> None:
        """Note that what `place` made room for is there now."""
        self._settle()

    def exists(self, path: str) -> bool:
        """Whether the root has something at `path`."""
        try:
            os.close(open_in_root(self._root, path, os.O_PATH))
        except OSError:
            return False
        return True

    def restore(self) -> None:
        """Take everything out again. Goes on past errors and raises the first, as SandboxError, at the end."""
        first: OSError | None = None
        for placement in reversed(self._placed):
            try:
                self._take_out(placement)
            except OSError as error:
                first = first or error
        self._placed.clear()
        os.close(self._root)
        if first is not None:
            raise SandboxError(f"cannot restore the root file system after a run: {first}") from first
        with suppress(OSError):
            os.unlink(os.path.join(self._held, _JOURNAL))
            os.rmdir(self._held)

    def _reserve(
        self,
        parent: tuple[str, ...],
        name: str,
        *,
        directory: bool,
        keep_if_used: bool = False,
        return_to: str = "",
    ) -> str:
        folder = open_in_root(self._root, "/".join(parent) or ".", _OPEN_DIRECTORY)
        try:
            placement = Placement(
                number=len(self._placed),
                parent="/".join(parent),
                name=name,
                directory=directory,
                held=_is_there(name, folder),
                return_to=return_to,
                keep_if_used=keep_if_used,
                mtime_before=os.fstat(folder).st_mtime_ns,
            )
            self._write_journal(placement)
            self._placed.append(placement)
            if placement.held:
                os.rename(name, os.path.join(self._held, str(placement.number)), src_dir_fd=folder)
        finally:
            os.close(folder)
        return os.path.join(os.readlink(f"/proc/self/fd/{self._root}"), *parent, name)

    def _settle(self) -> None:
        last = self._placed[-1]
        look = os.stat(last.parent or ".", dir_fd=self._root, follow_symlinks=False)
        self._placed[-1] = Placement(**{**asdict(last), "mtime_after": look.st_mtime_ns})

    def _take_out(self, placement: Placement) -> None:
        try:
            folder = open_in_root(self._root, placement.parent or ".", _OPEN_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return  # the command removed the directory; what was held back goes with it
        try:
            before = os.fstat(folder)
            self._take_away(placement, folder)
            if placement.held:
                os.rename(os.path.join(self._held, str(placement.number)), placement.name, dst_dir_fd=folder)
            untouched = before.st_mtime_ns == placement.mtime_after
            mtime = placement.mtime_before if untouched else before.st_mtime_ns
            os.utime(folder, ns=(before.st_atime_ns, mtime))
        finally:
            os.close(folder)

    def _take_away(self, placement: Placement, folder: int) -> None:
        if not _is_there(placement.name, folder):
            return
        if placement.keep_if_used:
            with suppress(OSError):
                os.rmdir(placement.name, dir_fd=folder)
        else:
            if placement.return_to:
                _exchange(placement.name, folder, placement.return_to)
            if _is_there(placement.name, folder):
                remove_tree(folder, placement.name)

    def _write_journal(self, placement: Placement) -> None:
        with open(os.path.join(self._held, _JOURNAL), "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(placement)) + "\n")

    def _read_journal(self) -> None:
        with suppress(FileNotFoundError), open(os.path.join(self._held, _JOURNAL), encoding="utf-8") as file:
            for line in file:
                with suppress(ValueError):  # a torn last line: that placement was not begun
                    self._recall(Placement(**json.loads(line)))

    def _recall(self, placement: Placement) -> None:
        moved = os.path.lexists(os.path.join(self._held, str(placement.number)))
        if placement.held and not moved:
            return  # killed before the move: what stands there is the root's own
        self._placed.append(placement)


def _exchange(name: str, folder: int, cache: str) -> None:
    """Make the tree `name` in `folder` the new contents of the host directory `cache`."""
    old = f"{cache}.old-{os.getpid()}"
    fresh = f"{cache}.new-{os.getpid()}"
    try:
        os.rename(name, fresh, src_dir_fd=folder)
    except OSError:  # another file system
        copy_tree(f"/proc/self/fd/{folder}/{name}", fresh)
    os.rename(cache, old)
    os.rename(fresh, cache)
    parent = os.open(os.path.dirname(old), _OPEN_DIRECTORY)
    try:
        remove_tree(parent, os.path.basename(old))
    finally:
        os.close(parent)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
