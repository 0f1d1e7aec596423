"""Where the store is when nobody says: PYBUILD_ROOT, /var/lib/pybuild for root, the XDG data directory for others."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping

from builder.errors import UsageError

_SYSTEM = "/var/lib"


def store_root(given: str | None, environment: Mapping[str, str]) -> str:
    """Return the absolute path of the store (XDG Base Directory Specification 0.8 for ordinary users).

    Raises UsageError when the user has no home directory.
    """
    path = given or environment.get("PYBUILD_ROOT")
    if not path:
        if os.geteuid() == 0 and not environment.get("XDG_DATA_HOME") and _is_ours(_SYSTEM):
            path = f"{_SYSTEM}/pybuild"
        else:
            path = os.path.join(environment.get("XDG_DATA_HOME") or f"{_home(environment)}/.local/share", "pybuild")
    return os.path.abspath(path)


def _is_ours(directory: str) -> bool:
    """Say whether root owns it: an ordinary user who is root of a user namespace (`unshare -r`) does not."""
    try:
        return os.stat(directory).st_uid == 0
    except OSError:
        return True


def _home(environment: Mapping[str, str]) -> str:
    if home := environment.get("HOME"):
        return home
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        raise UsageError(
            "there is no home directory to keep a store in", hint="Name one with --root DIR or PYBUILD_ROOT."
        ) from None
