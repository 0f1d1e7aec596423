"""Who builds: every kind of user of a machine, each with a folder of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.ordinary import as_user


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
    return Person(kind, uid, as_user(uid))


def _uid(name: str) -> int:
    return int(subprocess.run(["id", "-u", name], check=True, capture_output=True, text=True).stdout)


def own(person: Person, folder: Path) -> None:
    """Give `folder` and what is in it to the person."""
    subprocess.run(["chown", "-R", f"{person.uid}:{person.uid}", str(folder)], check=True)


def command(person: Person, words: Sequence[str]) -> list[str]:
    return [*person.become, *words]
