"""Removing what a build left: with subordinate ids, files of other users too, which only their namespace reaches."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from builder.filesystem.remove import remove_tree as remove_beneath
from builder.linux.user_namespace import enter_user_namespace


def remove_tree(folder: Path) -> None:
    """Remove a folder, whatever is in it. Raises OSError when that cannot be done."""
    if os.geteuid() == 0:
        shutil.rmtree(folder)
        return
    child = os.fork()
    if child == 0:
        try:
            enter_user_namespace()
            parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
            remove_beneath(parent, folder.name)
            os._exit(0)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    if folder.exists():
        shutil.rmtree(folder)  # no namespace can be had; this says what is left
