"""Tree order: depth first, names sorted by bytes.

Contexts, layers and their indexes all keep to it, so that two of them can be compared in one pass without holding
either.
"""

from __future__ import annotations

import os


def tree_key(path: str) -> bytes:
    """Return what tree order sorts by: as if "/" came before every other byte."""
    return os.fsencode(path).replace(b"/", b"\0")
