"""Users and groups of an image, from the text of its /etc/passwd and /etc/group. Pure.

Two rules that differ, both BuildKit's: what USER means for a process (`lookup_user`), and what --chown means for a file
(`lookup_owner`), where an unknown name is root and not an error.
Numbers are uint32 and strictly so: 4294967296 is no way to become root (CVE-2024-40635).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from builder.errors import SandboxError

_MAX_ID = (1 << 32) - 2
"""The largest id: (uid_t) -1 means "leave it" to chown(2) and setresuid(2)."""
_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    """Supplementary groups, sorted, without `gid`; a process gets that one among them, too (CVE-2022-36109)."""


class _User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def lookup_user(passwd: bytes, group: bytes, spec: str) -> Account:
    """Find whom USER `spec` (user[:group], names or numbers, "" for root) runs as.

    A number needs no passwd entry, but takes gid and supplementary groups from it when there is one; with a group
    given there are no supplementary ones. Raises SandboxError for unknown names and numbers out of range.
    """
    user_text, _, group_text = spec.partition(":")
    account = _find_account(passwd, group, user_text or "0")
    if not group_text:
        return account
    return Account(uid=account.uid, gid=_find_gid(group, group_text))


def lookup_owner(passwd: bytes, group: bytes, spec: str) -> tuple[int, int]:
    """Find the (uid, gid) that --chown `spec` (user[:group]) gives to files.

    A number alone is also the group; a name alone brings its primary group; "root" is 0 without looking. An unknown
    user is root, and an unknown group leaves the one the user part gave: so BuildKit does, whatever its manual says.
    Raises SandboxError for numbers out of range.
    """
    user_text, colon, group_text = spec.partition(":")
    uid, gid = _owner_by_user(passwd, user_text)
    if colon and not group_text:
        gid = 0  # "bob:" has a group, and its name is not known
    elif group_text:
        gid = _group_number(group, group_text, otherwise=gid)
    return uid, gid


def home_of(passwd: bytes, uid: int) -> str:
    """Return the home directory of the first user with the number `uid`; "/" for none, and for one that has none."""
    return next((user.home for user in _users(passwd) if user.uid == uid), "") or "/"


def parse_id(text: str) -> int | None:
    """Return the id `text` writes in decimal, None when it is a name. Raises SandboxError when it is out of range."""
    if not _DIGITS.fullmatch(text):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > 10 or int(digits) > _MAX_ID:
        raise SandboxError(f"the id {text[:40]} is out of range", hint=f"Ids go from 0 to {_MAX_ID}.")
    return int(digits)


def _owner_by_user(passwd: bytes, text: str) -> tuple[int, int]:
    number = parse_id(text)
    if number is not None:
        return number, number
    if text not in ("", "root"):
        for user in _users(passwd):
            if user.name == text:
                return user.uid, user.gid
    return 0, 0


def _group_number(group: bytes, text: str, otherwise: int) -> int:
    number = parse_id(text)
    if number is not None:
        return number
    if text == "root":
        return 0
    return next((item.gid for item in _groups(group) if item.name == text), otherwise)


def _find_account(passwd: bytes, group: bytes, text: str) -> Account:
    # Digits are always a number, as moby/sys/user (GetExecUser) has it, also where an image has a user called "1000".
    number = parse_id(text)
    for user in _users(passwd):
        if user.uid == number or (number is None and user.name == text):
            return _with_groups(user, group)
    if number is None and text != "root":
        raise SandboxError(
            f"there is no user {text!r} in /etc/passwd of the image",
            hint="Create it in an earlier RUN, or give its number.",
        )
    return Account(uid=number or 0, gid=0)


def _with_groups(user: _User, group: bytes) -> Account:
    groups = {item.gid for item in _groups(group) if user.name in item.members} - {user.gid}
    return Account(uid=user.uid, gid=user.gid, groups=tuple(sorted(groups)))


def _find_gid(group: bytes, text: str) -> int:
    number = parse_id(text)
    if number is None:
        number = next((item.gid for item in _groups(group) if item.name == text), None)
    if number is None and text != "root":
        raise SandboxError(
            f"there is no group {text!r} in /etc/group of the image",
            hint="Create it in an earlier RUN, or give its number.",
        )
    return number or 0


def _users(passwd: bytes) -> Iterator[_User]:
    """name:password:uid:gid:comment:home:shell; lines that are not so are passed over, as getpwent(3) does."""
    for fields in _records(passwd, 4):
        uid, gid = _stored_id(fields[2]), _stored_id(fields[3])
        if uid is not None and gid is not None:
            yield _User(fields[0], uid, gid, fields[5] if len(fields) > 5 else "")


def _groups(group: bytes) -> Iterator[_Group]:
    """name:password:gid:member,member"""
    for fields in _records(group, 3):
        gid = _stored_id(fields[2])
        if gid is not None:
            members = fields[3].split(",") if len(fields) > 3 else []
            yield _Group(fields[0], gid, tuple(member.strip() for member in members if member.strip()))


def _records(text: bytes, fields: int) -> Iterator[list[str]]:
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        parts = line.strip().split(":")
        if len(parts) >= fields and parts[0] and not parts[0].startswith("#"):
            yield parts


def _stored_id(text: str) -> int | None:
    """An id as a file of the image has it: what is out of range or no number makes the line no account."""
    text = text.strip()
    if not _DIGITS.fullmatch(text) or len(text) > 10 or int(text) > _MAX_ID:
        return None
    return int(text)
