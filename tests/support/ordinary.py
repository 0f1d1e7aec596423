"""Programs as ordinary users, started by root.

Python may lie where they can't go (a pyenv below /root). Then they get a view of the machine, in a mount namespace, in
which the way to it is open and everything else there is gone.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SEARCHABLE = 0o005


def as_user(uid: int) -> tuple[str, ...]:
    """Return the words before a command that make it that user's, in the process that starts; none for root."""
    if uid == 0:
        return ()
    words = ("setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--inh-caps=-all")
    return (*open_view(), *words)


def open_view() -> tuple[str, ...]:
    """Words before a command that let ordinary users reach this Python, or none where they can."""
    needed = {os.path.realpath(sys.base_prefix), os.path.realpath(sys.prefix), str(CHECKOUT)}
    hidden = sorted(path for path in needed if _barrier(path))
    if not hidden:
        return ()
    # What must be seen is kept by a mount elsewhere while the folder in the way is replaced by an empty one.
    lines = ["set -e", "hold=$(mktemp -d)"]
    lines += [f"mkdir $hold/{n}; mount --bind {shlex.quote(path)} $hold/{n}" for n, path in enumerate(hidden)]
    lines += [f"mount -t tmpfs -o mode=755 none {shlex.quote(top)}" for top in sorted({_barrier(p) for p in hidden})]
    lines += [f"mkdir -p {shlex.quote(p)}; mount --move $hold/{n} {shlex.quote(p)}" for n, p in enumerate(hidden)]
    lines += [f"rmdir $hold/{n}" for n in range(len(hidden))]
    lines += ["rmdir $hold", 'exec "$@"']
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines), "sh")


def _barrier(path: str) -> str:
    """Return the topmost folder on the way to `path` that others may not enter, or ""."""
    for parent in [*reversed(Path(path).parents), Path(path)]:
        if parent.stat().st_mode & SEARCHABLE != SEARCHABLE and parent != Path("/"):
            return str(parent)
    return ""
