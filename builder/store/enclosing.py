"""Whether a path is in a store: what is written there as anything else would be no part of it, or damage it."""

from __future__ import annotations

import os

from builder.errors import StoreError

_SIGNS = ("oci-layout", "leases", "indexes")
"""What every store has, and of image layouts only stores."""


def refuse_store(path: str, what: str) -> None:
    """Raise StoreError when `path`, where a directory of images or files is to be written, is in a store.

    `what` is how the user called it.
    """
    store = _enclosing_store(path)
    if store:
        is_itself = os.path.realpath(path) == store
        raise StoreError(
            f"{what}: this is {'a store' if is_itself else f'inside the store {store}'}, which only pybuild writes to",
            hint=f"Name another directory, or `pybuild copy` to store:{store}.",
        )


def _enclosing_store(path: str) -> str:
    """Return the store that `path` is, or lies in, or would when it is made; "" when it is in none."""
    directory = os.path.realpath(path)
    while not all(os.path.exists(f"{directory}/{name}") for name in _SIGNS):
        above = os.path.dirname(directory)
        if above == directory:
            return ""
        directory = above
    return directory
