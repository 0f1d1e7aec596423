"""Where the store of a build lies inside a context: what it holds is no part of the context."""

from __future__ import annotations

import os

from builder.errors import ContextError


def store_inside(context: str, store: str) -> str:
    """Return the path of the directory `store` below the directory `context`; "" when it is not below it.

    Directories are told apart by device and inode: either may be named by way of links. Raises ContextError when they
    are one, OSError when `context` cannot be looked at.
    """
    wanted = os.stat(context)
    path = os.path.realpath(store)
    names: list[str] = []
    while True:
        # The store may not be there yet: what is there above it tells.
        if os.path.exists(path) and os.path.samestat(os.stat(path), wanted):
            if names:
                return "/".join(reversed(names))
            raise ContextError(
                f"the build context {context!r} is pybuild's own store",
                hint="Name another directory, or another store with --root.",
            )
        above, name = os.path.split(path)
        if above == path:
            return ""
        names.append(name)
        path = above
