"""Wait until the status of files is believed (store/stat_cache.py): two seconds, or a moment where that is enough."""

from __future__ import annotations

import os
import time
from pathlib import Path

from builder.store.stat_cache import YOUNG_NS, is_settled


def wait_until_settled(*folders: Path) -> None:
    """Return once all below and above `folders` has been left alone long enough."""
    paths = {path for folder in folders for path in (folder, *folder.rglob("*"), *folder.resolve().parents)}
    deadline_ns = time.time_ns() + 2 * YOUNG_NS
    while not all(is_settled(os.lstat(path), time.time_ns()) for path in paths) and time.time_ns() < deadline_ns:
        time.sleep(0.01)
