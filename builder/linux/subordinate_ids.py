"""Which ids a process has, and which it could get: /proc/self/uid_map (man 7 user_namespaces); the ranges that
/etc/subuid and /etc/subgid give a user, and the tools that map them (man 5 subuid).

Only files are read here, and no ctypes is loaded: of an ordinary user's build whose steps are all cached this is the
only question. Entering a namespace with these ids is user_namespace.py.
"""

from __future__ import annotations

import os
import pwd
import stat

ALL_IDS = (1 << 32) - 1
"""How many ids the first user namespace has."""
RANGE_LIMIT = 65536
"""As many ids as root inside another container maps: images know no more."""

Range = tuple[int, int]
"""(first, count)"""

_MOST_RANGES = 100
"""A map is written at once, in less than a page (man 7 user_namespaces), at most 33 bytes a line."""
_TOOL_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin")
_CAPABILITIES = "security.capability"
_STATUS = "/proc/self/status"


def has_subordinate_ids(uid: int) -> bool:
    """Whether entering a user namespace gives `uid` ranges of ids; nothing is tried."""
    return not why_no_subordinate_ids(uid)


def why_no_subordinate_ids(uid: int) -> str:
    """Say why `uid` can have no id but its own, "" when it can."""
    user = user_name(uid)
    if not subordinate_ranges("/etc/subuid", user, uid) or not subordinate_ranges("/etc/subgid", user, uid):
        return f"no range for {user or uid} in /etc/subuid and /etc/subgid"
    for name in ("newuidmap", "newgidmap"):
        if find_tool(name) is None:
            return _why_no_tool(name)
    return ""


def mapped_ids(path: str) -> int:
    """Return how many ids from 0 up a map has; `path` is /proc/self/uid_map or gid_map. 0 when it cannot be read."""
    mapped = 0
    for first, count in sorted(_mapped_ranges(path)):
        if first <= mapped:
            mapped = max(mapped, first + count)
    return mapped


def subordinate_ranges(path: str, user: str, uid: int, own: int | None = None) -> tuple[Range, ...]:
    """All ranges that the file gives to `user` (by name or number), in its order, no id twice and `own` not at all.

    Ids that this process's user namespace does not have are left out: nobody could map them. `own` is else `uid`.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ()
    here = _mapped_ranges("/proc/self/uid_map" if path.endswith("subuid") else "/proc/self/gid_map")
    taken: list[Range] = [(uid if own is None else own, 1)]
    found: list[Range] = []
    for line in lines:
        owner, _, rest = line.partition(":")
        start, _, count = rest.partition(":")
        if owner in (user, str(uid)) and start.isdecimal() and count.strip().isdecimal() and int(count) > 0:
            for part in _without(_within((int(start), int(count)), here), taken):
                taken.append(part)
                found.append(part)
    return tuple(found[:_MOST_RANGES])


def _within(wanted: Range, ranges: list[Range]) -> list[Range]:
    parts = []
    for first, count in sorted(ranges):
        start, end = max(first, wanted[0]), min(first + count, wanted[0] + wanted[1])
        if start < end:
            parts.append((start, end - start))
    return parts


def _without(parts: list[Range], taken: list[Range]) -> list[Range]:
    for first, count in taken:
        parts = [
            (start, end - start)
            for one, length in parts
            for start, end in ((one, min(one + length, first)), (max(one, first + count), one + length))
            if start < end
        ]
    return parts


def _mapped_ranges(path: str) -> list[Range]:
    """The ids that a user namespace has: (first inside, count) of each line of its map; none when it can't be read."""
    try:
        with open(path, "rb") as file:
            return [(first, count) for first, _, count in (map(int, line.split()) for line in file)]
    except (OSError, ValueError):
        return []


def find_tool(name: str) -> str | None:
    """The path of the first newuidmap or newgidmap on PATH, or else in the usual folders, that may do its work here."""
    if _gains_nothing():
        return None
    return next((path for path in _tools(name) if _is_privileged(path)), None)


def _tools(name: str) -> list[str]:
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(":") if folder.startswith("/")]
    paths = [f"{folder}/{name}" for folder in dict.fromkeys((*folders, *_TOOL_DIRECTORIES))]
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


def _is_privileged(path: str) -> bool:
    """Say whether a program gets the right to map others' ids: set-user-ID root, or by a file capability."""
    try:
        if os.statvfs(path).f_flag & os.ST_NOSUID:
            return False
        look = os.stat(path)
        return (look.st_uid == 0 and bool(look.st_mode & stat.S_ISUID)) or _CAPABILITIES in os.listxattr(path)
    except OSError:
        return False


def _gains_nothing() -> bool:
    """Say whether this process is barred from gaining rights by a program (man 2 prctl, PR_SET_NO_NEW_PRIVS)."""
    try:
        with open(_STATUS, "rb") as file:
            return any(line.split() == [b"NoNewPrivs:", b"1"] for line in file)
    except OSError:
        return False


def _why_no_tool(name: str) -> str:
    found = _tools(name)
    if not found:
        return f"{name} is not installed (Debian package uidmap)"
    if _gains_nothing():
        return f"{name} cannot gain the right to map ids: this process has no_new_privs"
    return f"{found[0]} is not set-user-ID root, or lies where that means nothing"


def user_name(uid: int) -> str:
    """The name of a user, "" when the system knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
