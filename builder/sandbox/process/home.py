"""HOME, which runtimes set when an image does not: the home directory that the image's own /etc/passwd names.

Read as the file of a stranger: only a regular file, at most a megabyte, never waiting on a pipe (CVE-2024-9676).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from builder.filesystem.accounts import home_of
from builder.linux.beneath import open_in_root

_PASSWD = "etc/passwd"
_MAX_BYTES = 1 << 20


def with_home(env: Sequence[str], uid: int, root: int) -> tuple[str, ...]:
    """The environment with HOME in it, set if it is not there or empty; "/" for a user unknown in the directory `root`.

    By number, as runc does it: of several names for one user the first in the file decides.
    """
    if any(item.startswith("HOME=") and item != "HOME=" for item in env):
        return tuple(env)
    try:
        passwd = _read(root)
    except OSError:
        passwd = b""
    return (*(item for item in env if item != "HOME="), f"HOME={home_of(passwd, uid)}")


def _read(root: int) -> bytes:
    descriptor = open_in_root(root, _PASSWD, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        # The size keeps out what the kernel makes up, as /proc/kmsg, which a link could lead to.
        return file.read(min(status.st_size, _MAX_BYTES)) if stat.S_ISREG(status.st_mode) else b""
