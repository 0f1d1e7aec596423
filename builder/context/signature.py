"""One look at a context directory: a digest of what stat(2) says of everything in it that a build may read.

Equal signatures mean that nothing has changed, as far as the clock of the file system can tell: names, modes, sizes,
inodes and both times of each file. That is what the stat cache believes, too; and like it, a signature is only given
for files that are settled (store/stat_cache.py), directories included, so that what was there and is gone is not missed
either.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from collections.abc import Callable, Iterable

from builder.context.ignore import NOTHING_IGNORED, IgnorePatterns
from builder.context.own_store import store_inside
from builder.filesystem.still import StillTree, listing
from builder.store.stat_cache import is_settled

Settled = Callable[[os.stat_result], bool]


def context_signature(
    directory: str, roots: Iterable[str], ignore: IgnorePatterns | None, store: str, before_ns: int | None = None
) -> str | None:
    """Return the signature of what lies at `roots` (paths below `directory`; "" is all of it), in hex.

    The directory `store` is never part of it, wherever it is.

    With `before_ns` (nanoseconds since 1970), None when anything may have changed after that. None also where a root
    is, or lies behind, a symbolic link: what it means is not told by its own status.
    Raises OSError, ContextError.
    """
    settled: Settled | None = None
    if before_ns is not None:
        settled = functools.partial(is_settled, moment_ns=before_ns)
    with StillTree(directory) as tree:
        scan = _Scan(tree, ignore, store_inside(directory, store), settled)
        # Sorted: the same roots in another order of COPYs are one signature.
        for root in sorted(set(roots)):
            if not scan.add_root(root):
                return None
        return scan.digest.hexdigest()


class _Scan:
    def __init__(self, tree: StillTree, ignore: IgnorePatterns | None, store: str, settled: Settled | None) -> None:
        self._tree = tree
        self._ignore = ignore or NOTHING_IGNORED
        self._store = store
        self._settled = settled
        self.digest = hashlib.sha256()

    def add_root(self, root: str) -> bool:
        if self._store and f"{root}/".startswith(f"{self._store}/"):
            return True
        status = os.stat(self._tree.root)
        path = ""
        # Of the directories on the way modes count: COPY --parents makes them so, and a mount shows that of its root.
        way = [] if root else [("", status)]
        for name in root.split("/") if root else ():
            path = f"{path}/{name}" if path else name
            try:
                # lstat: a link on the way makes what is behind it something else without a trace here, so it
                # ends the look (below).
                status = os.lstat(self._tree.at(path))
            except (FileNotFoundError, NotADirectoryError):
                # That it comes to be is a change: COPY says then what it did not say before.
                self.digest.update(f"missing {root}\0".encode("utf-8", "surrogateescape"))
                return True
            if stat.S_ISLNK(status.st_mode):
                return False
            way.append((path, status))
        self._add([_line(*step) for step in way])
        if not all(self._is_settled(status) for _, status in way):
            return False
        if not stat.S_ISDIR(status.st_mode):
            return True
        return self._add_directory(root)

    def _add_directory(self, root: str) -> bool:
        """Add what `walk_ignored` reaches below `root`, less the excluded files: directory by directory, for speed."""
        ignore = self._ignore
        pending = [(root, ignore.state_of(root))]
        while pending:
            relative, above = pending.pop()
            lines = [relative]
            with listing(self._tree.at(relative)) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    path = f"{relative}/{entry.name}" if relative else entry.name
                    if path == self._store:
                        continue
                    state = ignore.enter(path, above) if ignore else above
                    is_directory = entry.is_dir(follow_symlinks=False)
                    if state.excluded and not (is_directory and ignore.may_reinclude_below(path, state)):
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if not self._is_settled(status):
                        return False
                    lines.append(_line(entry.name, status))
                    if is_directory:
                        pending.append((path, state))
            self._add(lines)
        return True

    def _add(self, lines: list[str]) -> None:
        self.digest.update("\0".join(lines).encode("utf-8", "surrogateescape") + b"\1")

    def _is_settled(self, status: os.stat_result) -> bool:
        return self._settled is None or self._settled(status)


def _line(name: str, status: os.stat_result) -> str:
    if stat.S_ISDIR(status.st_mode):
        return f"{name}/{status.st_mode}"  # its times tell of names, which are here themselves, and of ignored files
    return f"{name}/{status.st_mode}/{status.st_size}/{status.st_mtime_ns}/{status.st_ctime_ns}/{status.st_ino}"
