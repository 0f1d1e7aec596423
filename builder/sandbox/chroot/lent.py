"""What was lent to a command that shares our file system, known by device and inode, wherever the command has put it.

Everything lent has a second name, its *keeper*, in a directory that the command cannot see. So its inode lives on and
means nothing else meanwhile, and its link count tells whether it has names that are neither the keeper's nor where it
was put: only then is the whole root looked through.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from builder.filesystem.still import StillTree, listing

Ident = tuple[int, int]
"""(device, inode)"""

Fingerprint = tuple[int, int, int, int, int]
"""Mode, owner, and size and time of what is no directory: what a write would change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """One thing that was lent. Paths are of this machine."""

    target: str
    """Where it was asked for, for messages."""
    keeper: str
    location: str | None
    """Where it is now; None when it is nowhere."""
    shared: bool
    """The keeper has other users, whose names for the same files are none of our business."""


@dataclass(slots=True)
class Findings:
    """What the command did to what was lent to it."""

    strays: list[str] = field(default_factory=list)
    """Paths of further names of lent files, to be taken away."""
    complaints: list[str] = field(default_factory=list)
    """Why the result may not become a layer."""
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _File:
    links: int
    loans: list[Loan] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    """The names of it that are where they should be."""


def find_strays(root: str, loans: Sequence[Loan], aside: Sequence[str], findings: Findings) -> None:
    """Find names of lent files in the tree `root` that are not where they were put.

    `aside` are trees that were moved out of the command's sight. No process may be left that could move anything.
    Raises OSError.
    """
    files: dict[Ident, _File] = {}
    for loan in loans:
        _keep(loan, files)
    for tree in [*(loan.location for loan in loans if loan.location is not None), *aside]:
        for path, status in walk(tree):
            file = files.get((status.st_dev, status.st_ino))
            if file is not None and (tree in aside or any(loan.location == tree for loan in file.loans)):
                file.known.add(os.path.join(tree, path) if path else tree)
    outside = {ident: file for ident, file in files.items() if file.links > len(file.known)}
    if not outside:
        return
    for below, status in walk(root):
        path = os.path.join(root, below)
        file = outside.get((status.st_dev, status.st_ino))
        if file is not None and path not in file.known:
            file.known.add(path)
            findings.strays.append(path)
            if os.path.isdir(file.loans[0].keeper):  # a part of a tree was chosen by the command, which must hear of it
                target = file.loans[0].target
                findings.complaints.append(f"/{below} was moved or linked from {target}, where a mount is")
    for file in outside.values():
        if file.links > len(file.known) and not file.loans[0].shared:
            target = file.loans[0].target
            findings.complaints.append(f"a file that is mounted on {target} has another name, which cannot be found")


def is_elsewhere(loan: Loan) -> bool:
    """Say whether what is not in its place is a file that has a name somewhere else, and is not deleted."""
    status = os.lstat(loan.keeper)
    return loan.location is None and not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1


def find_writes(loan: Loan, before: dict[str, Fingerprint], findings: Findings) -> None:
    """See whether something read-only was written to; `before` is what `fingerprints` gave first. Raises OSError."""
    here = dict(walk(loan.location)) if loan.location is not None else {}
    for path, kept in sorted(walk(loan.keeper)):
        there = here.get(path)
        # Files are the keeper's own; directories are only like it.
        if not _same(kept, there) or before.get(path) != _fingerprint(there or kept):
            named = os.path.join(loan.target, path).rstrip("/")
            findings.complaints.append(f"{named} was changed or removed, and is mounted read-only")
            break
    new = sorted(set(here) - set(before))
    if new:
        path = os.path.join(loan.target, new[0])
        findings.notes.append(f"{path} is lost: {loan.target} is read-only, which isolation chroot cannot enforce")


def fingerprints(tree: str) -> dict[str, Fingerprint]:
    """Return path → fingerprint of everything in a tree, itself as ""."""
    return {path: _fingerprint(status) for path, status in walk(tree)}


def walk(tree: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (path below `tree`, lstat) of everything in it, itself as "". Raises OSError."""
    status = os.lstat(tree)
    yield "", status
    pending = [""] if stat.S_ISDIR(status.st_mode) else []
    with StillTree(tree) as still:
        while pending:
            folder = pending.pop()
            with listing(still.at(folder)) as entries:
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    status = entry.stat(follow_symlinks=False)
                    yield path, status
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(path)


def _keep(loan: Loan, files: dict[Ident, _File]) -> None:
    try:
        for path, status in walk(loan.keeper):
            if not stat.S_ISDIR(status.st_mode):
                file = files.setdefault((status.st_dev, status.st_ino), _File(status.st_nlink))
                file.loans.append(loan)
                file.known.add(os.path.join(loan.keeper, path) if path else loan.keeper)
    except FileNotFoundError:
        if not loan.shared:  # else another run has just given it new contents: of the old ones, what we have is ours
            raise


def _same(kept: os.stat_result, here: os.stat_result | None) -> bool:
    if here is None or stat.S_ISDIR(kept.st_mode):
        return here is not None and stat.S_ISDIR(here.st_mode)
    return (kept.st_dev, kept.st_ino) == (here.st_dev, here.st_ino)


def _fingerprint(status: os.stat_result) -> Fingerprint:
    if stat.S_ISDIR(status.st_mode):  # its size and time tell of names, which are looked at by themselves
        return (status.st_mode, status.st_uid, status.st_gid, 0, 0)
    return (status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns)
