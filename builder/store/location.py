"""Where the store is when nobody says: PYBUILD_ROOT, /var/lib/pybuild for root, the XDG data directory for others."""

from __future__ import annotations

import os
from collections.abc import Mapping


def store_root(given: str | None, environment: Mapping[str, str]) -> str:
    """Return the absolute path of the store (XDG Base Directory Specification 0.8 for ordinary users)."""
    path = given or environment.get("PYBUILD_ROOT")
    if not path:
        if os.geteuid() == 0 and not environment.get("XDG_DATA_HOME"):
            path = "/var/lib/pybuild"
        else:
            data = environment.get("XDG_DATA_HOME") or os.path.join(environment.get("HOME") or "/root", ".local/share")
            path = os.path.join(data, "pybuild")
    return os.path.abspath(path)
