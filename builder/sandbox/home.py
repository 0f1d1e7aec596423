"""HOME, which runtimes set when an image does not: the home directory that the image's own /etc/passwd names.

Read as the file of a stranger: only a regular file, at most a megabyte, never waiting on a pipe (CVE-2024-9676).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

_PASSWD = "/etc/passwd"
_MAX_BYTES = 1 << 20
_FIELDS = 7  # name:password:uid:gid:gecos:home:shell, man 5 passwd


def with_home(env: Sequence[str], uid: int, passwd: str = _PASSWD) -> tuple[str, ...]:
    """The environment with HOME in it, added if it is not there; "/" for a user the file does not know."""
    if any(item.startswith("HOME=") for item in env):
        return tuple(env)
    return (*env, f"HOME={_home(uid, passwd)}")


def _home(uid: int, passwd: str) -> str:
    try:
        text = _read(passwd)
    except OSError:
        return "/"
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) >= _FIELDS and fields[2] == str(uid):
            return fields[5] or "/"
    return "/"


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(_MAX_BYTES).decode("utf-8", "surrogateescape")
