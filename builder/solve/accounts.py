"""Whom a name means in a stack of layers: the text of its /etc/passwd and /etc/group, read as a stranger's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import ContextError
from builder.filesystem.accounts import Account, lookup_owner, lookup_user

if TYPE_CHECKING:
    from builder.layer.view import MergedView

# A stranger's file is held in memory (test_attack_a_huge_passwd_is_not_read).
_FILE_BYTES = 1 << 20


def find_user(view: MergedView, spec: str) -> Account:
    """Return the account that USER `spec` names. Raises SandboxError for unknown names, LayerError as `find_owner`."""
    return lookup_user(*_read_accounts(view), spec)


def find_owner(view: MergedView, spec: str) -> tuple[int, int]:
    """Return the (uid, gid) that --chown `spec` means in a file system.

    Raises ContextError for a wrong form and for unknown names, LayerError for accounts that are no plain, short file.
    """
    parts = spec.split(":")
    if len(parts) > 2:
        raise ContextError(f"invalid chown parameter: {spec!r}", hint="Write --chown=user[:group], names or numbers.")
    # Root and numbers are known without a file: they alone can be used on scratch and with --link.
    names = [part for part in parts if part and part != "root" and not part.isdigit()]
    if not names:
        return lookup_owner(b"", b"", spec)
    # "invalid user index: -1" are BuildKit's words, with an index of Go's in them: scripts may look for them.
    if view.is_empty:
        raise ContextError(
            f"invalid user index: -1: {names[0]!r} cannot be looked up in an empty file system",
            hint="There is no /etc/passwd yet (or --link hides it): use numbers.",
        )
    return lookup_owner(*_read_accounts(view), spec)


def _read_accounts(view: MergedView) -> tuple[bytes, bytes]:
    """The content of passwd and group; nothing where there is no such file."""
    return view.read("etc/passwd", _FILE_BYTES) or b"", view.read("etc/group", _FILE_BYTES) or b""
