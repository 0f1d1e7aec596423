"""Whether this user can have one user id only: layers, and so cache keys, depend on it before anything runs."""

from __future__ import annotations

import os


def one_id_only() -> bool:
    """Foresee whether a user namespace will have one user id only. Nothing is tried.

    Never so for root; an ordinary user needs a range in both files of subordinate ids, and both tools that map them.
    """
    uid = os.geteuid()
    if uid == 0:
        return False
    from builder.linux.subordinate_ids import has_subordinate_ids  # root's builds never ask

    return not has_subordinate_ids(uid)
