"""The image config: what the manifest's `config` blob holds (image-spec config.md, with Docker's extensions).

Values here stay close to the JSON: unknown members survive a rebuild on top, and only what a build reads or writes is
typed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from builder.errors import ImageError
from builder.oci import canonical
from builder.oci.digest import DiffID, parse_digest
from builder.oci.platform import Platform, platform_from_json

_MAX_NUMBER = 2**63 - 1
"""Durations and counts are int64 in the Go types that define the document."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What a base says of itself and is untrue of an image on top of it: docker's classic builder and `docker import` wrote
# how it was made, `docker commit` of which container, and BuildKit what it knows of its cache (`moby.buildkit.…`).
# BuildKit's Dockerfile frontend loses these too: it reads a base into the image-spec's members and writes those only.
_OF_THE_BASE = frozenset(
    {"comment", "container", "container_config", "docker_version", "id", "parent", "Size", "throwaway"}
)
_OF_THE_BASE_PREFIX = "moby.buildkit."
_RUNTIME_OF_THE_BASE = frozenset(
    {
        "Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce",
        "Image", "NetworkDisabled", "MacAddress",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """HEALTHCHECK; durations in nanoseconds, 0 = inherit."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"Test": list(self.test)}
        for key, value in (
            ("Interval", self.interval), ("Timeout", self.timeout), ("StartPeriod", self.start_period),
            ("StartInterval", self.start_interval), ("Retries", self.retries),
        ):  # fmt: skip
            if value:
                document[key] = value
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """The `config` member: what a container of this image starts with. `env` keeps its order."""

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    args_escaped: bool = False
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Members we do not know; carried along."""

    def to_json(self) -> dict[str, Any]:
        members: dict[str, Any] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Env": list(self.env),
            "Entrypoint": None if self.entrypoint is None else list(self.entrypoint),
            "Cmd": None if self.cmd is None else list(self.cmd),
            "ArgsEscaped": self.args_escaped,
            "Volumes": {path: {} for path in self.volumes},
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Healthcheck": self.healthcheck.to_json() if self.healthcheck else None,
            "OnBuild": list(self.on_build),
            "Shell": None if self.shell is None else list(self.shell),
        }
        kept = {key: value for key, value in members.items() if value or (key in {"Cmd", "Entrypoint"} and value == [])}
        return self.extra | kept


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One instruction of the past. `created` is RFC 3339 text as found, or empty."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    def to_json(self) -> dict[str, Any]:
        members = {
            "created": self.created,
            "created_by": self.created_by,
            "author": self.author,
            "comment": self.comment,
        }
        document: dict[str, Any] = {key: value for key, value in members.items() if value}
        if self.empty_layer:
            document["empty_layer"] = True
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The whole config blob. `extra` keeps unknown members (os.features and the like)."""

    platform: Platform
    created: str = ""
    author: str = ""
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    diff_ids: tuple[DiffID, ...] = ()
    history: tuple[History, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        document = dict(self.extra)
        document |= self.platform.to_json()
        if self.created:
            document["created"] = self.created
        if self.author:
            document["author"] = self.author
        document["config"] = self.runtime.to_json()
        document["rootfs"] = {"type": "layers", "diff_ids": [str(diff_id) for diff_id in self.diff_ids]}
        document["history"] = [entry.to_json() for entry in self.history]
        return document

    def with_runtime(self, **changes: Any) -> ImageConfig:
        """Return a copy with members of the runtime config replaced."""
        return replace(self, runtime=replace(self.runtime, **changes))

    def inherited(self) -> ImageConfig:
        """Return a copy without what only concerns this image, or the container that it was made in."""
        runtime = {key: value for key, value in self.runtime.extra.items() if key not in _RUNTIME_OF_THE_BASE}
        extra = {
            key: value
            for key, value in self.extra.items()
            if key not in _OF_THE_BASE and not key.startswith(_OF_THE_BASE_PREFIX)
        }
        return replace(self, runtime=replace(self.runtime, extra=runtime), extra=extra)


_RUNTIME_KEYS = frozenset(
    [
        "User",
        "ExposedPorts",
        "Env",
        "Entrypoint",
        "Cmd",
        "ArgsEscaped",
        "Volumes",
        "WorkingDir",
        "Labels",
        "StopSignal",
        "Healthcheck",
        "OnBuild",
        "Shell",
    ]
)
_CONFIG_KEYS = frozenset(
    ["os", "architecture", "variant", "os.version", "created", "author", "config", "rootfs", "history"]
)


def parse_config(data: bytes, what: str) -> ImageConfig:
    """Read an image config from its exact bytes. Raises ImageError."""
    document = canonical.decode(data, what)
    rootfs = _member(document, "rootfs", dict, what) or {}
    if rootfs.get("type", "layers") != "layers":
        raise ImageError(f"{what} has a rootfs of type {rootfs.get('type')!r}; only 'layers' exists")
    history = _member(document, "history", list, what) or []
    return ImageConfig(
        platform=platform_from_json(document, what),
        created=_text(document, "created", what),
        author=_text(document, "author", what),
        runtime=runtime_from_json(_member(document, "config", dict, what) or {}, what),
        diff_ids=tuple(DiffID(parse_digest(item)) for item in _strings(rootfs, "diff_ids", what) or ()),
        history=tuple(_history(item, f"{what}: history[{number}]") for number, item in enumerate(history)),
        extra={key: value for key, value in document.items() if key not in _CONFIG_KEYS},
    )


_JSON_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a whole number"}


def _member(document: dict[str, Any], key: str, kind: type, what: str) -> Any:
    value = document.get(key)
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise ImageError(f"{what}: {key} is {_JSON_NAMES.get(type(value), 'a number')}, not {_JSON_NAMES[kind]}")
    return value


def _text(document: dict[str, Any], key: str, what: str) -> str:
    return _member(document, key, str, what) or ""


def _names(document: dict[str, Any], key: str, what: str) -> tuple[str, ...]:
    """The keys of what Go reads as map[string]struct{}."""
    members = _member(document, key, dict, what) or {}
    for name in members:
        _member(members, name, dict, f"{what}: {key}")
    return tuple(members)


def _strings(document: dict[str, Any], key: str, what: str) -> tuple[str, ...] | None:
    value = _member(document, key, list, what)
    if value is not None and not all(isinstance(item, str) for item in value):
        raise ImageError(f"{what}: {key} holds something that is not a string")
    return None if value is None else tuple(value)


def runtime_from_json(document: dict[str, Any], what: str) -> RuntimeConfig:
    """Read what `RuntimeConfig.to_json` gives, or another wrote. Raises ImageError, naming `what` it was found in."""
    labels = _member(document, "Labels", dict, what) or {}
    return RuntimeConfig(
        user=_text(document, "User", what),
        exposed_ports=_names(document, "ExposedPorts", what),
        env=_strings(document, "Env", what) or (),
        entrypoint=_strings(document, "Entrypoint", what),
        cmd=_strings(document, "Cmd", what),
        args_escaped=bool(_member(document, "ArgsEscaped", bool, what)),
        volumes=_names(document, "Volumes", what),
        working_dir=_text(document, "WorkingDir", what),
        labels=tuple((key, _text(labels, key, f"{what}: Labels")) for key in labels),
        stop_signal=_text(document, "StopSignal", what),
        healthcheck=_healthcheck(_member(document, "Healthcheck", dict, what), what),
        on_build=_strings(document, "OnBuild", what) or (),
        shell=_strings(document, "Shell", what),
        extra={key: value for key, value in document.items() if key not in _RUNTIME_KEYS},
    )


def _healthcheck(document: dict[str, Any] | None, what: str) -> Healthcheck | None:
    if not document:
        return None

    def number(key: str) -> int:
        value: int = _member(document, key, int, what) or 0
        if abs(value) > _MAX_NUMBER:
            raise ImageError(f"{what}: {key} is too large a number")
        return value

    return Healthcheck(
        test=_strings(document, "Test", what) or (),
        interval=number("Interval"),
        timeout=number("Timeout"),
        start_period=number("StartPeriod"),
        start_interval=number("StartInterval"),
        retries=number("Retries"),
    )


def _history(document: Any, what: str) -> History:
    if not isinstance(document, dict):
        raise ImageError(f"{what} is not an object")
    return History(
        created=_text(document, "created", what),
        created_by=_text(document, "created_by", what),
        author=_text(document, "author", what),
        comment=_text(document, "comment", what),
        empty_layer=bool(_member(document, "empty_layer", bool, what)),
    )
