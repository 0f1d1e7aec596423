"""Wait until the status of files is believed (store/stat_cache.py): two seconds, or a moment where that is enough."""

from __future__ import annotations

import os
import time
from pathlib import Path

from builder.store.stat_cache import YOUNG_NS, is_settled


def wait_until_settled(*folders: Path) -> None:
    """Return once `folders` and all below have been left alone long enough."""
    deadline_ns = time.time_ns() + 2 * YOUNG_NS
    for path in (path for folder in folders for path in (folder, *folder.rglob("*"))):
        while not is_settled(os.lstat(path), time.time_ns()):
            assert time.time_ns() < deadline_ns, f"{path} does not come to rest"
            time.sleep(0.01)
