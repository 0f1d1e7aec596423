"""Turns what the operating system says into StoreErrors a user can act on. In: OSError. Out: StoreError."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from builder.errors import StoreError

_FREE_SPACE = "Free some space, for example with `pybuild prune`, or put the store elsewhere with --root."
_NOT_WRITABLE = "Use a store you can write to: --root DIR or PYBUILD_ROOT."
_HINTS = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EROFS: _NOT_WRITABLE,
    errno.EACCES: _NOT_WRITABLE,
    errno.EPERM: _NOT_WRITABLE,
    errno.EMFILE: "Raise the limit of open files (ulimit -n) or lower --jobs.",
    errno.EIO: "The disk reports errors: look at the kernel's log, then check the store with `pybuild info --verify`.",
}


def store_error(error: OSError, doing: str) -> StoreError:
    """Return the StoreError for `error`, which happened while `doing` (\"writing a blob\")."""
    reason = (error.strerror or str(error)).lower()
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    return StoreError(f"{doing}: {reason}{where}", hint=_HINTS.get(error.errno or 0, ""))


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise StoreError in place of an OSError from the body."""
    try:
        yield
    except OSError as error:
        raise store_error(error, doing) from error
