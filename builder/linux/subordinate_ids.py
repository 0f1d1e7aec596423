"""Which ids a process has, and which it could get: /proc/self/uid_map (man 7 user_namespaces); the ranges that
/etc/subuid and /etc/subgid give a user, and the tools that map them (man 5 subuid).

Only files are read here, and no ctypes is loaded: of an ordinary user's build whose steps are all cached this is the
only question. Entering a namespace with these ids is user_namespace.py.
"""

from __future__ import annotations

import os

ALL_IDS = (1 << 32) - 1
"""How many ids the first user namespace has."""
RANGE_LIMIT = 65536
"""As many ids as are used of a longer range: images know no more."""

_TOOL_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin")


def has_subordinate_ids(uid: int) -> bool:
    """Whether entering a user namespace should give `uid` a range of ids; nothing is tried."""
    user = user_name(uid)
    ranges = [subordinate_range(path, user, uid) for path in ("/etc/subuid", "/etc/subgid")]
    return None not in ranges and None not in (find_tool("newuidmap"), find_tool("newgidmap"))


def mapped_ids(path: str) -> int:
    """Return how many ids from 0 up a map has; `path` is /proc/self/uid_map or gid_map. 0 when it cannot be read."""
    ranges = []
    try:
        with open(path, "rb") as file:
            for line in file:
                first, _, count = (int(word) for word in line.split())
                ranges.append((first, first + count))
    except (OSError, ValueError):
        return 0
    mapped = 0
    for first, end in sorted(ranges):
        if first <= mapped:
            mapped = max(mapped, end)
    return mapped


def subordinate_range(path: str, user: str, uid: int) -> tuple[int, int] | None:
    """The first range (start, count) that the file gives to `user` (by name or number); None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        owner, _, rest = line.partition(":")
        start, _, count = rest.partition(":")
        if owner in (user, str(uid)) and start.isdecimal() and count.strip().isdecimal() and int(count) > 0:
            return int(start), min(int(count), RANGE_LIMIT)
    return None


def find_tool(name: str) -> str | None:
    """The path of newuidmap or newgidmap, whatever PATH says; None when it is not installed."""
    return next((f"{folder}/{name}" for folder in _TOOL_DIRECTORIES if os.access(f"{folder}/{name}", os.X_OK)), None)


def user_name(uid: int) -> str:
    """The name of a user, "" when the system knows none."""
    import pwd  # only needed by ordinary users

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
