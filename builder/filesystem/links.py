"""What a path means when symbolic links are followed inside a root: the rule, apart from where the links are kept.

One function for a directory, for a merged view of layers and for a test's dictionary: each gives its own
`read_link`. A ".." at the root stays at the root, an absolute target starts again there (path_resolution(7) after
chroot(2)), and what does not exist is kept as it is written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

MAX_LINKS = 255
"""Links followed in one path; docker's resolver (moby/sys, FollowSymlinkInScope) counts to 255, the kernel to 40."""


def follow_links(
    path: str, read_link: Callable[[str], str | None], *, follow_last: bool = True, limit: int = MAX_LINKS
) -> str:
    """Return the canonical form of `path`: no links, no "." or "..", no slash at either end.

    `read_link` takes a canonical path and returns its target, or None for anything that is not a symbolic link.
    Raises OSError ELOOP.
    """
    done: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            if done:
                done.pop()
            continue
        done.append(name)
        if not follow_last and not any(part not in ("", ".") for part in todo):
            break
        target = read_link("/".join(done))
        if target is None:
            continue
        links += 1
        if links > limit:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        done = [] if target.startswith("/") else done[:-1]
        todo += target.split("/")[::-1]
    return "/".join(done)
