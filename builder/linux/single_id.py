"""Whether this user can have one user id only: layers, and so cache keys, depend on it before anything runs."""

from __future__ import annotations

import os


def one_id_only() -> bool:
    """Foresee whether a user namespace will have one user id only. Nothing is tried.

    Root has what its namespace has; an ordinary user needs a range in both files of subordinate ids, and both tools
    that map them.
    """
    uid = os.geteuid()
    if uid == 0 and _has_all_ids():
        return False
    from builder.linux.subordinate_ids import has_subordinate_ids, mapped_ids  # gate: rare. Root has no use for them

    if uid == 0:
        return mapped_ids("/proc/self/uid_map") == 1 or mapped_ids("/proc/self/gid_map") == 1
    return not has_subordinate_ids(uid)


def _has_all_ids() -> bool:
    """Say whether this is the first user namespace, or one with all of its ids (man 7 user_namespaces)."""
    try:
        with open("/proc/self/uid_map", "rb") as file:
            return file.read().split() == [b"0", b"0", b"4294967295"]
    except OSError:
        return True
