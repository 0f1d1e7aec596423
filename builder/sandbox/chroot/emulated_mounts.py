"""Mounts without mounting: things are put into a root directory for the time of one run, and taken out again.

    <root>.held/
        journal     JSON lines: an entry, written before it is added, and what was then added (journal.py)
        N           what stood in the way of entry N
        N.made      what was made to be lent as entry N
        N.kept      the keeper of entry N: the same files under a second name (lent.py)

A directory that something was added to, and a directory that was added, are known by an open descriptor and by device
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
from builder.sandbox.chroot.copying import copy_tree, link_tree, remove_path, replace_tree
from builder.sandbox.chroot.journal import Entry, Journal
from builder.sandbox.chroot.lent import (
    Findings,
    Fingerprint,
    Ident,
    Loan,
    find_strays,
    find_writes,
    fingerprints,
    is_elsewhere,
    walk,
)

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_HELD = ".held"
_JOURNAL = "journal"
_MADE_MODE = 0o755


@dataclass(slots=True, kw_only=True)
class _Added:
    entry: Entry
    folder: int
    """Descriptor of the directory it is in; -1 when that is gone."""

    ident: Ident | None = None
    """What was added, once it is there."""

    opened: int = -1
    """Descriptor of it, by which a directory is found wherever the command has moved it."""

    moved: bool = False
    """It is a file that the command has moved away."""

    mtime_after: int = 0
    before: dict[str, Fingerprint] = field(default_factory=dict)


class EmulatedMounts:
    """What is in one root for the time of one run."""

    def __init__(self, root: str) -> None:
        """Repair what an earlier, killed run may have left, and start a journal. Raises OSError, SandboxError."""
        self._root = os.open(root, _OPEN_DIRECTORY)
        self._path = os.readlink(f"/proc/self/fd/{self._root}")
        self._held = root.rstrip("/") + _HELD
        self._journal = Journal(os.path.join(self._held, _JOURNAL))
        self._added: list[_Added] = []
        self.findings = Findings()
        """What `restore` found out."""
        if os.path.isdir(self._held):  # removed last of all: a run that left it was killed, or failed to restore
            self._reopen_all()
            self.restore()
            self._root = os.open(root, _OPEN_DIRECTORY)
        os.mkdir(self._held, 0o700)

    def new_path(self) -> str:
        """Return the path at which to make the next thing to be lent."""
        return os.path.join(self._held, f"{len(self._added)}.made")

    def lend(self, source: str, target: str, *, read_only: bool = False, return_to: str = "") -> str:
        """Add the file or tree at `source` at `target` in the root, by further names for the same files.

        Return where it now is, as a path of this machine. Raises OSError, SandboxError.
        """
        path = self.add(target, keeper=source, read_only=read_only, return_to=return_to)
        added = self._added[-1]
        if read_only:
            added.before = fingerprints(source)
        try:
            link_tree(source, path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # A hard link cannot cross file systems: a copy beside the root becomes the keeper.
            remove_tree(added.folder, added.entry.name)
            keeper = self._held_path(added.entry) + ".kept"
            copy_tree(source, keeper)
            added.entry = replace(added.entry, keeper=keeper)
            link_tree(keeper, path)
        self.commit()
        return path

    def add(self, path: str, *, keeper: str = "", read_only: bool = False, return_to: str = "") -> str:
        """Clear `path` in the root, and return a host path (in an open directory) to create the object at.

        `commit` follows. Directories to it are made where missing. Raises OSError, SandboxError.
        """
        with walk_in_root(self._root, path) as found:
            whole = found.found + found.missing
            missing = len(found.missing)
        if not whole:
            raise SandboxError(f'invalid mount target "{path}"')
        for depth in range(len(whole) - missing, len(whole) - 1):
            above = self._begin(whole[: depth + 1], path, made=True)
            os.mkdir(above)
            os.chmod(above, _MADE_MODE)  # mkdir goes by the umask
            self.commit()
        return self._begin(whole, path, keeper=keeper, read_only=read_only, return_to=return_to)

    def commit(self) -> None:
        """Note that the object of the last `add` is there now. Raises OSError."""
        last = self._added[-1]
        last.opened = os.open(last.entry.name, _OPEN_PATH, dir_fd=last.folder)
        last.ident = _ident(os.fstat(last.opened))
        last.mtime_after = os.fstat(last.folder).st_mtime_ns
        self._journal.commit(last.entry.number, last.ident)

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
        rejected = first is not None or bool(self.findings.complaints)
        for added in reversed(self._added):  # what is inside another one was added after it
            try:
                self._remove_added(added, rejected)
            except OSError as error:  # one that cannot be removed must not leave all others in the image
                first = first or error
            for descriptor in (added.folder, added.opened):
                if descriptor >= 0:
                    os.close(descriptor)
        self._added.clear()
        os.close(self._root)
        if first is not None:
            raise SandboxError(f"cannot restore the root file system after a run: {first}") from first
        remove_path(self._held)

    def _begin(
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
        status = os.fstat(folder)
        entry = Entry(
            number=len(self._added),
            parent=parent,
            parent_ident=_ident(status),
            name=name,
            target=os.path.normpath("/" + target.lstrip("/")),
            held=_find(name, folder) is not None,
            made=made,
            return_to=return_to,
            keeper=keeper,
            read_only=read_only,
            mtime_before=status.st_mtime_ns,
        )
        # Before anything is moved, so that a kill -9 leaves nothing that the journal does not know of.
        self._journal.begin(entry)
        self._added.append(_Added(entry=entry, folder=folder))
        if entry.held:
            os.rename(name, self._held_path(entry), src_dir_fd=folder)
        return f"/proc/self/fd/{folder}/{name}"

    def _held_path(self, entry: Entry) -> str:
        return os.path.join(self._held, str(entry.number))

    # --- finding what was lent ------------------------------------------------------------------------------------

    def _find_strays(self) -> None:
        lent = [added for added in self._added if added.entry.keeper]
        aside = [self._held_path(added.entry) for added in self._added if added.entry.held]
        loans = [self._loan(added) for added in lent]
        for added, loan in zip(lent, loans, strict=True):
            added.moved = is_elsewhere(loan)
        find_strays(self._path, loans, [path for path in aside if os.path.lexists(path)], self.findings)
        for stray in self.findings.strays:
            self._remove_stray(stray)
        for added, loan in zip(lent, loans, strict=True):
            if loan.location is None and added.folder >= 0 and _find(added.entry.name, added.folder) is not None:
                self.findings.complaints.append(f"{loan.target}, where a mount is, was replaced")

    def _loan(self, added: _Added) -> Loan:
        entry = added.entry
        found = self._locate(added)
        location = None
        if found is not None:
            location = os.path.join(os.readlink(f"/proc/self/fd/{found[0]}"), found[1])
            if found[0] != added.folder:
                os.close(found[0])
        return Loan(target=entry.target, keeper=entry.keeper, location=location, shared=bool(entry.return_to))

    def _locate(self, added: _Added) -> tuple[int, str] | None:
        """The directory (a descriptor) and name of what was added, wherever that is; a file only where it was added."""
        name = added.entry.name
        here = _find(name, added.folder) if added.folder >= 0 else None
        if here is not None and added.ident in (None, _ident(here)):  # None: killed before it was known
            return added.folder, name
        # Only a directory knows where it is (".."); one that was removed has no link left.
        if added.opened < 0 or not stat.S_ISDIR(os.fstat(added.opened).st_mode) or not os.fstat(added.opened).st_nlink:
            return None
        folder = os.open("..", _OPEN_DIRECTORY, dir_fd=added.opened)
        for other in os.listdir(folder):
            status = _find(other, folder)
            if status is not None and _ident(status) == added.ident:
                return folder, other
        os.close(folder)
        return None

    def _remove_stray(self, path: str) -> None:
        parent, name = os.path.split(os.path.relpath(path, self._path))
        folder = open_in_root(self._root, parent or ".", _OPEN_DIRECTORY)
        try:
            before = os.fstat(folder)
            os.unlink(name, dir_fd=folder)
            # To remove a name changes the time of its directory, which would be seen as the command's doing.
            os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        finally:
            os.close(folder)

    # --- taking it out --------------------------------------------------------------------------------------------

    def _remove_added(self, added: _Added, rejected: bool) -> None:
        entry = added.entry
        if entry.read_only and not added.moved:
            find_writes(self._loan(added), added.before, self.findings)
        found = self._locate(added)
        if found is not None:
            folder, name = found
            before = os.fstat(folder)
            if entry.made:
                with suppress(OSError):  # not empty: the command has put something into it
                    if folder == added.folder:
                        os.rmdir(name, dir_fd=folder)
            elif entry.return_to and not rejected:  # else the result is refused, and so is what came of its caches
                replace_tree(entry.return_to, name, folder)
            else:
                remove_tree(folder, name)
            if folder != added.folder:
                os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
                os.close(folder)
            else:
                self._restore_mtime(added, before)
        # Not where the directory is gone (it has no link any more), nor over something that the command put there.
        if entry.held and added.folder >= 0 and os.fstat(added.folder).st_nlink:
            before = os.fstat(added.folder)
            if _find(entry.name, added.folder) is None:
                os.rename(self._held_path(entry), entry.name, dst_dir_fd=added.folder)
            os.utime(added.folder, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _restore_mtime(self, added: _Added, before: os.stat_result) -> None:
        """A directory that nobody else has changed gets the time it had before something was added to it."""
        untouched = before.st_mtime_ns == added.mtime_after
        mtime = added.entry.mtime_before if untouched else before.st_mtime_ns
        os.utime(added.folder, ns=(before.st_atime_ns, mtime))

    # --- after a kill -9 ------------------------------------------------------------------------------------------

    def _reopen_all(self) -> None:
        """Open again what a killed run had open."""
        # One walk for all of them: by device and inode, since the command may have moved what the paths named.
        known = list(self._journal.read())
        wanted = {entry.parent_ident for entry, _ in known} | {ident for _, ident in known}
        where = {_ident(status): below for below, status in walk(self._path) if _ident(status) in wanted}
        for entry, ident in known:
            # Something that was to be moved aside and is not there was not moved yet: nothing was added either.
            if not entry.held or os.path.lexists(self._held_path(entry)):
                self._reopen(entry, ident, where)

    def _reopen(self, entry: Entry, ident: Ident | None, where: dict[Ident, str]) -> None:
        parent = where.get(entry.parent_ident)
        folder = -1 if parent is None else open_in_root(self._root, parent or ".", _OPEN_DIRECTORY)
        opened = -1
        if ident in where:
            opened = open_in_root(self._root, where[ident] or ".", os.O_PATH | os.O_NOFOLLOW)
        keeper = entry.keeper if os.path.lexists(entry.keeper) else ""
        self._added.append(_Added(entry=replace(entry, keeper=keeper), folder=folder, ident=ident, opened=opened))


def _find(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _ident(status: os.stat_result) -> Ident:
    return status.st_dev, status.st_ino
