"""Who builds: every kind of user of a machine, each with a folder of their own.

Python may lie where ordinary users can't go (a pyenv below /root). Then they get a view of the machine, in a mount
namespace, in which the way to it is open and everything else there is gone.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SEARCHABLE = 0o005


@dataclass(frozen=True, slots=True)
class Person:
    kind: str
    uid: int
    """On this machine."""
    become: tuple[str, ...] = ()
    """Words before a command that make it theirs; started as root."""


def people(users: dict[str, str]) -> dict[str, Person]:
    """Return who can be had on this machine: kind → person. `users` names one with and one without subordinate ids."""
    ranges, single = (_ordinary(kind, _uid(users[kind])) for kind in ("ranges", "single"))
    return {
        "root": Person("root", 0),
        "ranges": ranges,
        "single": single,
        "unnamed": _ordinary("unnamed", 54321),
        "entered": Person("entered", ranges.uid, (*ranges.become, "unshare", "--map-root-user", "--map-auto")),
        "entered single": Person("entered single", single.uid, (*single.become, "unshare", "--map-root-user")),
    }


def _ordinary(kind: str, uid: int) -> Person:
    words = ("setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--inh-caps=-all")
    return Person(kind, uid, (*open_view(), *words))


def _uid(name: str) -> int:
    return int(subprocess.run(["id", "-u", name], check=True, capture_output=True, text=True).stdout)


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


def own(person: Person, folder: Path) -> None:
    """Give `folder` and what is in it to the person."""
    subprocess.run(["chown", "-R", f"{person.uid}:{person.uid}", str(folder)], check=True)


def command(person: Person, words: Sequence[str]) -> list[str]:
    return [*person.become, *words]
