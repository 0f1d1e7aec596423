"""Mounts without mounting: things are put into a root directory for the time of one run, and taken out again.

    <root>.held/
        journal     JSON lines: a placement, written before it is made, and what it then was
        N           what stood in the way of placement N
        N.kept      the keeper of placement N: the same files under a second name (lent.py)

A directory that something was put in, and a directory that was put there, are known by an open descriptor and by device
and inode: `restore` takes everything out again wherever the command has moved it, gives the directories back what was
hidden, and their times. After a kill -9 the journal allows the same from another process.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field, replace

from builder.errors import SandboxError
from builder.filesystem.remove import remove_tree
from builder.linux.beneath import open_in_root, walk_in_root
from builder.sandbox.chroot.copying import copy_tree, link_tree
from builder.sandbox.chroot.lent import Findings, Ident, Loan, Look, find_strays, find_writes, is_elsewhere, looks, walk
from builder.sandbox.chroot.placement import Journal, Placement

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_HELD = ".held"
_JOURNAL = "journal"
_MADE_MODE = 0o755


@dataclass(slots=True, kw_only=True)
class _Placed:
    placement: Placement
    folder: int
    """Descriptor of the directory it is in; -1 when that is gone."""

    ident: Ident | None = None
    """What was put there, once it is there."""

    thing: int = -1
    """Descriptor of it."""

    moved: bool = False
    """It is a file that the command has moved away."""

    mtime_after: int = 0
    before: dict[str, Look] = field(default_factory=dict)


class EmulatedMounts:
    """What is in one root for the time of one run."""

    def __init__(self, root: str) -> None:
        """Repair what an earlier, killed run may have left, and start a journal. Raises OSError, SandboxError."""
        self._root = os.open(root, _OPEN_DIRECTORY)
        self._path = os.readlink(f"/proc/self/fd/{self._root}")
        self._held = root.rstrip("/") + _HELD
        self._journal = Journal(os.path.join(self._held, _JOURNAL))
        self._placed: list[_Placed] = []
        self.findings = Findings()
        """What `restore` found out."""
        if os.path.isdir(self._held):
            self._recall_all()
            self.restore()
            self._root = os.open(root, _OPEN_DIRECTORY)
        os.mkdir(self._held, 0o700)

    def room(self) -> str:
        """Return the path at which to make the next thing to be lent."""
        return os.path.join(self._held, f"{len(self._placed)}.made")

    def lend(self, source: str, target: str, *, read_only: bool = False, return_to: str = "") -> str:
        """Put the file or tree at `source` to `target` in the root, by further names for the same files.

        Return where it now is, as a path of this machine. Raises OSError, SandboxError.
        """
        place = self.place(target, keeper=source, read_only=read_only, return_to=return_to)
        placed = self._placed[-1]
        if read_only:
            placed.before = looks(source)
        try:
            link_tree(source, place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            remove_tree(placed.folder, placed.placement.name)
            keeper = self._held_path(placed.placement) + ".kept"
            copy_tree(source, keeper)
            placed.placement = replace(placed.placement, keeper=keeper)
            link_tree(keeper, place)
        self.settle()
        return place

    def place(self, path: str, *, keeper: str = "", read_only: bool = False, return_to: str = "") -> str:
        """Make room at `path` in the root, and return a host path (in an open directory) to create the thing at.

        Directories to it are made where missing. Raises OSError, SandboxError.
        """
        with walk_in_root(self._root, path) as found:
            whole = found.found + found.missing
            missing = len(found.missing)
        if not whole:
            raise SandboxError(f'invalid mount target "{path}"')
        for depth in range(len(whole) - missing, len(whole) - 1):
            above = self._reserve(whole[: depth + 1], path, made=True)
            os.mkdir(above)
            os.chmod(above, _MADE_MODE)
            self.settle()
        return self._reserve(whole, path, keeper=keeper, read_only=read_only, return_to=return_to)

    def settle(self) -> None:
        """Note that what `place` made room for is there now."""
        last = self._placed[-1]
        last.thing = os.open(last.placement.name, _OPEN_PATH, dir_fd=last.folder)
        last.ident = _ident(os.fstat(last.thing))
        last.mtime_after = os.fstat(last.folder).st_mtime_ns
        self._journal.settle(last.placement.number, last.ident)

    def exists(self, path: str) -> bool:
        """Whether the root has something at `path`."""
        try:
            os.close(open_in_root(self._root, path, os.O_PATH))
        except OSError:
            return False
        return True

    def restore(self) -> None:
        """Take everything out again. Goes on past errors and raises the first, as SandboxError, at the end.

        No process of the run may be left. What may not become a layer is in `findings`.
        """
        self.findings = Findings()
        first: OSError | None = None
        try:
            self._find_strays()
        except OSError as error:
            first = error
        spoilt = first is not None or bool(self.findings.complaints)
        for placed in reversed(self._placed):
            try:
                self._take_out(placed, spoilt)
            except OSError as error:
                first = first or error
            for descriptor in (placed.folder, placed.thing):
                if descriptor >= 0:
                    os.close(descriptor)
        self._placed.clear()
        os.close(self._root)
        if first is not None:
            raise SandboxError(f"cannot restore the root file system after a run: {first}") from first
        _remove(self._held)

    def _reserve(
        self,
        whole: tuple[str, ...],
        target: str,
        *,
        made: bool = False,
        keeper: str = "",
        read_only: bool = False,
        return_to: str = "",
    ) -> str:
        parent, name = "/".join(whole[:-1]), whole[-1]
        folder = open_in_root(self._root, parent or ".", _OPEN_DIRECTORY)
        look = os.fstat(folder)
        placement = Placement(
            number=len(self._placed),
            parent=parent,
            parent_ident=_ident(look),
            name=name,
            target=os.path.normpath("/" + target.lstrip("/")),
            held=_find(name, folder) is not None,
            made=made,
            return_to=return_to,
            keeper=keeper,
            read_only=read_only,
            mtime_before=look.st_mtime_ns,
        )
        self._journal.begin(placement)
        self._placed.append(_Placed(placement=placement, folder=folder))
        if placement.held:
            os.rename(name, self._held_path(placement), src_dir_fd=folder)
        return f"/proc/self/fd/{folder}/{name}"

    def _held_path(self, placement: Placement) -> str:
        return os.path.join(self._held, str(placement.number))

    # --- finding what was lent ------------------------------------------------------------------------------------

    def _find_strays(self) -> None:
        lent = [placed for placed in self._placed if placed.placement.keeper]
        aside = [self._held_path(placed.placement) for placed in self._placed if placed.placement.held]
        loans = [self._loan(placed) for placed in lent]
        for placed, loan in zip(lent, loans, strict=True):
            placed.moved = is_elsewhere(loan)
        find_strays(self._path, loans, [path for path in aside if os.path.lexists(path)], self.findings)
        for stray in self.findings.strays:
            self._remove_stray(stray)
        for placed, loan in zip(lent, loans, strict=True):
            if loan.place is None and placed.folder >= 0 and _find(placed.placement.name, placed.folder) is not None:
                self.findings.complaints.append(f"{loan.target}, where a mount is, was replaced")

    def _loan(self, placed: _Placed) -> Loan:
        placement = placed.placement
        found = self._whereabouts(placed)
        place = None
        if found is not None:
            place = os.path.join(os.readlink(f"/proc/self/fd/{found[0]}"), found[1])
            if found[0] != placed.folder:
                os.close(found[0])
        return Loan(
            target=placement.target, keeper=placement.keeper, place=place, shared=bool(placement.return_to)
        )  # fmt: skip

    def _whereabouts(self, placed: _Placed) -> tuple[int, str] | None:
        """The directory (a descriptor) and name of what was put in place; of a file only where it was put."""
        name = placed.placement.name
        here = _find(name, placed.folder) if placed.folder >= 0 else None
        if here is not None and placed.ident in (None, _ident(here)):  # None: killed before it was known
            return placed.folder, name
        if placed.thing < 0 or not stat.S_ISDIR(os.fstat(placed.thing).st_mode) or not os.fstat(placed.thing).st_nlink:
            return None
        folder = os.open("..", _OPEN_DIRECTORY, dir_fd=placed.thing)
        for other in os.listdir(folder):
            look = _find(other, folder)
            if look is not None and _ident(look) == placed.ident:
                return folder, other
        os.close(folder)
        return None

    def _remove_stray(self, path: str) -> None:
        parent, name = os.path.split(os.path.relpath(path, self._path))
        folder = open_in_root(self._root, parent or ".", _OPEN_DIRECTORY)
        try:
            before = os.fstat(folder)
            os.unlink(name, dir_fd=folder)
            os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        finally:
            os.close(folder)

    # --- taking it out --------------------------------------------------------------------------------------------

    def _take_out(self, placed: _Placed, spoilt: bool) -> None:
        placement = placed.placement
        if placement.read_only and not placed.moved:
            find_writes(self._loan(placed), placed.before, self.findings)
        found = self._whereabouts(placed)
        if found is not None:
            folder, name = found
            before = os.fstat(folder)
            if placement.made:
                with suppress(OSError):
                    if folder == placed.folder:
                        os.rmdir(name, dir_fd=folder)
            elif placement.return_to and not spoilt:
                _exchange(name, folder, placement.return_to)
            else:
                remove_tree(folder, name)
            if folder != placed.folder:
                os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
                os.close(folder)
            else:
                self._give_time_back(placed, before)
        if placement.held and placed.folder >= 0 and os.fstat(placed.folder).st_nlink:
            before = os.fstat(placed.folder)
            if _find(placement.name, placed.folder) is None:
                os.rename(self._held_path(placement), placement.name, dst_dir_fd=placed.folder)
            os.utime(placed.folder, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _give_time_back(self, placed: _Placed, before: os.stat_result) -> None:
        """A directory that nobody else has changed gets the time it had before something was put into it."""
        untouched = before.st_mtime_ns == placed.mtime_after
        mtime = placed.placement.mtime_before if untouched else before.st_mtime_ns
        os.utime(placed.folder, ns=(before.st_atime_ns, mtime))

    # --- after a kill -9 ------------------------------------------------------------------------------------------

    def _recall_all(self) -> None:
        """Open again what a killed run had open."""
        known = list(self._journal.read())
        wanted = {placement.parent_ident for placement, _ in known} | {ident for _, ident in known}
        where = {_ident(look): below for below, look in walk(self._path) if _ident(look) in wanted}
        for placement, ident in known:
            if not placement.held or os.path.lexists(self._held_path(placement)):
                self._recall(placement, ident, where)

    def _recall(self, placement: Placement, ident: Ident | None, where: dict[Ident, str]) -> None:
        parent = where.get(placement.parent_ident)
        folder = -1 if parent is None else open_in_root(self._root, parent or ".", _OPEN_DIRECTORY)
        thing = -1
        if ident in where:
            thing = open_in_root(self._root, where[ident] or ".", os.O_PATH | os.O_NOFOLLOW)
        keeper = placement.keeper if os.path.lexists(placement.keeper) else ""
        self._placed.append(
            _Placed(placement=replace(placement, keeper=keeper), folder=folder, ident=ident, thing=thing)
        )


def _exchange(name: str, folder: int, cache: str) -> None:
    """Make the tree `name` in `folder` the new contents of the host directory `cache`."""
    old = f"{cache}.old-{os.getpid()}"
    fresh = f"{cache}.new-{os.getpid()}"
    try:
        os.rename(name, fresh, src_dir_fd=folder)
    except OSError:  # another file system
        copy_tree(f"/proc/self/fd/{folder}/{name}", fresh)
        remove_tree(folder, name)
    os.rename(cache, old)
    os.rename(fresh, cache)
    _remove(old)


def _remove(path: str) -> None:
    parent = os.open(os.path.dirname(path), _OPEN_DIRECTORY)
    try:
        remove_tree(parent, os.path.basename(path))
    finally:
        os.close(parent)


def _find(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _ident(look: os.stat_result) -> Ident:
    return look.st_dev, look.st_ino
