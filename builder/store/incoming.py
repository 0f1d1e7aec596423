"""Parts of blobs that other machines send over ssh (builder.transport.places.ssh_script): what nobody finishes.

    STORE/.incoming/<hex of the digest>            the next try goes on where this one broke off
    STORE/.incoming/<hex>.<pid>, index.<pid>       of one process of the shell there

Whoever writes one holds a lock on it (flock(2)).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

from builder.filesystem.unfinished import abandoned

DIRECTORY = ".incoming"
KEPT_DAYS = 7
"""For so long a transfer may still go on: as long as registries keep uploads that nobody finishes."""
_DAY_SECONDS = 86_400


def find_abandoned(root: str) -> Iterator[str]:
    """Yield the parts in the store at `root` that nobody has written to for KEPT_DAYS, and nobody holds."""
    try:
        names = sorted(os.listdir(f"{root}/{DIRECTORY}"))
    except OSError:
        return
    limit = time.time() - KEPT_DAYS * _DAY_SECONDS
    for name in names:
        path = f"{root}/{DIRECTORY}/{name}"
        with suppress(OSError):  # it went meanwhile, or somebody writes to it
            if os.lstat(path).st_mtime < limit:
                with abandoned(path):
                    yield path


def remove_part(path: str) -> bool:
    """Remove a part unless somebody holds it, and the directory with the last of them; False for other paths."""
    directory = os.path.dirname(path)
    if os.path.basename(directory) != DIRECTORY:
        return False
    with suppress(OSError), abandoned(path):
        os.unlink(path)
    with suppress(OSError):  # there are more
        os.rmdir(directory)
    return True
