"""The value of `RUN --mount=`: comma-separated fields → one typed mount.

    type=bind    source= target= from= rw                         the build context, a stage or an image, read-only
    type=cache   id= target= sharing= from= source= ro mode= uid= gid=
    type=tmpfs   target= size=
    type=secret  id= (source=) target= env= required mode= uid= gid=
    type=ssh     id= target= required mode= uid= gid=

Read twice: by `check_mount` with the file, when values that hold variables are taken on trust, and by `parse_mount`
when the stage's environment is known. Targets stay relative here; the WORKDIR is the planner's. `z`, `Z` and
`relabel=` are accepted for buildah's sake and mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn

from builder.dockerfile.instructions import Word
from builder.dockerfile.mount_fields import MountFields, read_fields
from builder.errors import DockerfileSyntaxError, Location


@dataclass(frozen=True, slots=True, kw_only=True)
class BindOptions:
    target: str
    source: str = ""
    origin: str = ""
    """`from=`: a stage, named context or image; empty is the build context."""
    readonly: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """`identifier` empty means the cleaned target; `mode`, `uid`, `gid` None were not given."""

    target: str
    identifier: str = ""
    sharing: Literal["shared", "private", "locked"] = "shared"
    source: str = ""
    origin: str = ""
    readonly: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsOptions:
    target: str
    size: int | None = None
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretOptions:
    """`target` empty with `variable` set: no file."""

    identifier: str
    target: str = ""
    variable: str = ""
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SshOptions:
    """`target` empty: `/run/buildkit/ssh_agent.N`, N counted by the planner."""

    identifier: str = "default"
    target: str = ""
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


MountOptions = BindOptions | CacheOptions | TmpfsOptions | SecretOptions | SshOptions


def parse_mount(text: str, expand: Callable[[str], str], location: Location | None = None) -> MountOptions:
    """Read one mount; `expand` gives each value but that of `from` its variables. Raises DockerfileSyntaxError."""
    fields = read_fields(text, location, expand)
    if fields.kind == "secret":
        return _secret(fields)
    if fields.kind == "ssh":
        return _ssh(fields)
    if fields.kind == "cache":
        return _cache(fields)
    if fields.kind == "tmpfs":
        return TmpfsOptions(target=fields.target, size=fields.size)
    return BindOptions(
        target=fields.target, source=fields.source, origin=fields.origin, readonly=fields.readonly is not False
    )


def check_mount(word: Word) -> None:
    """Refuse a mount that is wrong whatever its variables stand for. Raises DockerfileSyntaxError."""
    fields = read_fields(word.text, word.location, None)
    if fields.complete:
        parse_mount(word.text, lambda value: value, word.location)


def _refuse(fields: MountFields, message: str) -> NoReturn:
    raise DockerfileSyntaxError(message, fields.location)


def _secret(fields: MountFields) -> SecretOptions:
    if fields.origin:
        _refuse(fields, "secret mount should not have a from")
    if fields.sharing:
        _refuse(fields, "secret mount should not define sharing")
    if fields.source and fields.identifier:
        _refuse(fields, "both source and id can't be set")
    identifier = fields.identifier or fields.source or _base_name(fields.target)
    if not identifier:
        _refuse(fields, "invalid secret mount. one of source, target required")
    target = fields.target
    if not target and not fields.variable:
        target = f"/run/secrets/{_base_name(identifier)}"
    return SecretOptions(
        identifier=identifier,
        target=target,
        variable=fields.variable,
        required=fields.required,
        mode=0o400 if fields.mode is None else fields.mode,
        uid=fields.uid or 0,
        gid=fields.gid or 0,
    )


def _ssh(fields: MountFields) -> SshOptions:
    if fields.source:
        _refuse(fields, "ssh does not support source")
    return SshOptions(
        identifier=fields.identifier or "default",
        target=fields.target,
        required=fields.required,
        mode=0o600 if fields.mode is None else fields.mode,
        uid=fields.uid or 0,
        gid=fields.gid or 0,
    )


def _cache(fields: MountFields) -> CacheOptions:
    return CacheOptions(
        target=fields.target,
        identifier=fields.identifier,
        sharing=fields.sharing or "shared",
        source=fields.source,
        origin=fields.origin,
        readonly=fields.readonly is True,
        mode=fields.mode,
        uid=fields.uid,
        gid=fields.gid,
    )


def _base_name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
