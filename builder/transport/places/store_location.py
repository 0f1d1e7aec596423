"""Stores that are not the one in use: another of this machine, and one, or an image layout, of another machine.

    store:DIR[:NAME]                           DIR begins with / or . : `store:1` is an image called store
    ssh://[USER@]HOST[:PORT]/PATH[:NAME]       /~/PATH is below the home directory there

Without NAME, what is written keeps the names it has, and what is read must be the only one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from builder.errors import ReferenceFormatError, UsageError
from builder.oci.digest import digest_or_none
from builder.oci.reference import Reference, parse_reference
from builder.transport.places.transport_names import SSH_SCHEME

_STORE = re.compile(r"store:(?P<path>[/.][^:]*)(?::(?P<name>.*))?", re.S)
_SSH = re.compile(
    r"ssh://(?:(?P<user>[^@/:]+)@)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^@/:\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^:]+)(?::(?P<name>.*))?",
    re.S,
)
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class OtherStoreLocation:
    """store:DIR[:NAME]."""

    path: str
    image: str = ""

    @property
    def names(self) -> tuple[Reference, ...]:
        """Raises ReferenceFormatError."""
        return (parse_reference(self.image),) if self.image else ()

    def __str__(self) -> str:
        return f"store:{self.path}{f':{self.image}' if self.image else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SshLocation:
    """ssh://…; `path` is as the shell there is given it, `user` and `port` may be empty."""

    user: str
    host: str
    port: str
    path: str
    image: str = ""

    @property
    def names(self) -> tuple[Reference, ...]:
        return ()  # what `image` is depends on what lies there

    @property
    def destination(self) -> str:
        """What ssh(1) calls the machine."""
        host = self.host.strip("[]")
        return f"{self.user}@{host}" if self.user else host

    def __str__(self) -> str:
        machine = f"{f'{self.user}@' if self.user else ''}{self.host}{f':{self.port}' if self.port else ''}"
        path = self.path if self.path.startswith("/") else f"/~/{self.path.removeprefix('./')}"
        return f"{SSH_SCHEME}{machine}{path}{f':{self.image}' if self.image else ''}"


def parse_store_location(text: str) -> OtherStoreLocation | SshLocation | None:
    """Read another store; None for what is something else. Raises UsageError, ReferenceFormatError."""
    if text.startswith(SSH_SCHEME):
        return _ssh_location(text)
    match = _STORE.fullmatch(text)
    if match is None:
        return None
    name = match["name"] or ""
    if name and digest_or_none(name) is None:
        _check_name(text, name)
    return OtherStoreLocation(match["path"], name)


def _check_name(text: str, name: str) -> None:
    try:
        parse_reference(name)
    except ReferenceFormatError as error:
        raise ReferenceFormatError(f"{text}: {error.message}", hint=error.hint) from error


def _ssh_location(text: str) -> SshLocation:
    match = _SSH.fullmatch(text)
    if match is None or int(match["port"] or 0) > _MAX_PORT:
        raise UsageError(f"{text!r:.200}: it does not say where", hint="Write ssh://[USER@]HOST[:PORT]/PATH[:NAME].")
    user, host, path = match["user"] or "", match["host"], match["path"]
    # ssh(1) would take such a machine for an option, and an option can be a command.
    if host.startswith("-") or user.startswith("-") or any(not mark.isprintable() for mark in text):
        raise UsageError(f"{text!r:.200}: no machine and no user is called so")
    if path.startswith("/~/"):
        path = f"./{path[3:]}"
    return SshLocation(user=user, host=host, port=match["port"] or "", path=path, image=match["name"] or "")
