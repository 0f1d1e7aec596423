"""The words of an argument that has a form of its own: sizes, limits, secrets, hosts, KEY=VALUE."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence

from builder.errors import ReferenceFormatError, UsageError
from builder.oci.canonical import MAX_EPOCH
from builder.oci.platform import parse_platform

# Patterns are text: compiling them would cost every cached build, and few command lines need one.
_SIZE = r"(\d+(?:\.\d+)?) ?([bkmgtp]?)(i?b)?"
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_HOST_GATEWAY = "host-gateway"  # an address that only the sandbox knows (sandbox/spec.py)
# The names of setrlimit(2)'s resources as docker spells them.
_LIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
_LIMIT = r"-1|[0-9]{1,19}"
_MAX_NUMBER = (1 << 63) - 1
"""The largest number that the kernel's interfaces take."""
_SHOWN_CHARACTERS = 80


def _short(text: str) -> str:
    """Quote what somebody wrote, cut to 80 characters."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")


def parse_size(text: str, what: str) -> int:
    """Parse `64m`, `1g`, `65536` as bytes. Raises UsageError."""
    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE)
    if not match:
        raise UsageError(f"{what} {text!r} is not a size", hint="Write a number with b, k, m or g, for example 64m.")
    size = float(match[1]) * _UNITS[match[2].lower()]
    if size > _MAX_NUMBER:
        raise UsageError(f"{what} {_short(text)} is more than any machine has")
    return int(size)


def parse_ulimits(words: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """Parse `nofile=1024:2048` words into (name, soft, hard); -1 is unlimited. Raises UsageError."""
    result = []
    for word in words:
        name, equals, value = word.partition("=")
        soft, colon, hard = value.partition(":")
        if name not in _LIMITS or not equals:
            raise UsageError(f"--ulimit {word!r} is not TYPE=SOFT[:HARD]", hint=f"TYPE is one of {', '.join(_LIMITS)}.")
        limits = (soft, hard if colon else soft)
        if not all(re.fullmatch(_LIMIT, limit) and int(limit) <= _MAX_NUMBER for limit in limits):
            raise UsageError(
                f"--ulimit {_short(word)}: the limits must be whole numbers below 2^63, or -1 for none",
            )
        pair = (int(soft), int(limits[1]))
        if pair[1] != -1 and (pair[0] > pair[1] or pair[0] == -1):
            raise UsageError(f"--ulimit {word!r}: the soft limit is above the hard one")
        result.append((name, *pair))
    return tuple(result)


def parse_hosts(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Parse `name:ip` and `name=ip` words, also several between commas, into (name, ip). Raises UsageError.

    `host-gateway` in place of an address is kept. What is valid is what docker takes.
    """
    return tuple(_host(cell, word) for word in words for cell in _cells(word, "--add-host"))


def _cells(word: str, flag: str) -> list[str]:
    """Split a word at its commas; quotes protect them (RFC 4180, as docker does). Raises UsageError."""
    import csv  # the warm path: only for flags of this form

    try:
        return next(csv.reader([word], strict=True), [])
    except csv.Error as error:
        raise UsageError(f"{flag} {word!r}: {error}") from error


def _host(text: str, word: str) -> tuple[str, str]:
    mark = "=" if "=" in text else ":"
    name, _, address = text.partition(mark)
    if not name or "\n" in text:
        raise UsageError(f"--add-host {word!r} has no host name", hint="Write HOST:IP.")
    if address == _HOST_GATEWAY:
        return name.lower(), address
    import ipaddress  # the warm path: only for a host with an address

    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        found = None
    # No zone (fe80::1%eth0), which names an interface of this machine; and IPv4 in the form that Go's net.IP prints.
    if found is None or "%" in bare:
        raise UsageError(f"--add-host {word!r}: {address!r} is not an IP address", hint="Write HOST:IP.")
    return name.lower(), str(getattr(found, "ipv4_mapped", None) or found)


def parse_pairs(words: Sequence[str], flag: str, *, need_value: bool = True) -> dict[str, str]:
    """Parse `KEY=VALUE` words; a lone KEY is an empty value unless one is needed. Raises UsageError."""
    result: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or (need_value and not equals):
            raise UsageError(f"{flag} {word!r} is not KEY=VALUE")
        result[key] = value
    return result


def parse_build_args(words: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Parse --build-arg words; a lone NAME takes its value from the environment, or is left out when unset."""
    result: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(f"--build-arg {word!r} has no name", hint="Write NAME=VALUE or NAME.")
        if equals:
            result[name] = value
        elif name in environment:
            result[name] = environment[name]
    return result


def parse_fields(word: str, flag: str) -> dict[str, str]:
    """Parse a `key=value,key=value` word (CSV: quotes protect commas); keys in lower case. Raises UsageError."""
    result: dict[str, str] = {}
    for cell in _cells(word, flag):
        key, equals, value = cell.partition("=")
        if not equals:
            raise UsageError(f"{flag} {word!r}: {cell!r} is not key=value")
        result[key.strip().lower()] = value
    return result


def parse_secrets(words: Iterable[str], environment: Mapping[str, str]) -> dict[str, bytes]:
    """Read every --secret: `id=ID[,src=FILE]`, `id=ID,env=NAME`. Values are bytes, at most 500 KiB (as BuildKit).

    Without src and env the environment variable ID is taken when set, else the file ID. Raises UsageError.
    """
    result: dict[str, bytes] = {}
    for word in words:
        fields = parse_fields(word, "--secret")
        unknown = set(fields) - {"id", "src", "source", "env", "type"}
        if unknown:
            raise UsageError(
                f"--secret {word!r}: unknown key {min(unknown)!r}", hint="Write id=ID,src=FILE or id=ID,env=NAME."
            )
        identifier = fields.get("id", "")
        if not identifier:
            raise UsageError(f"--secret {word!r} has no id")
        kind, source = fields.get("type", ""), fields.get("src", fields.get("source", ""))
        variable = fields.get("env", "")
        if kind not in {"", "file", "env"}:
            raise UsageError(f"--secret {word!r}: type is file or env, not {kind!r}")
        # docker's type=env,src=NAME: the source is a variable then.
        if kind == "env" and source and not variable:
            variable, source = source, ""
        if not source and not variable and kind != "file" and identifier in environment:
            variable = identifier
        result[identifier] = _secret_value(word, source or identifier, variable, environment)
    return result


_MAX_SECRET_BYTES = 500 << 10


def _secret_value(word: str, path: str, variable: str, environment: Mapping[str, str]) -> bytes:
    if variable:
        if variable not in environment:
            raise UsageError(f"--secret {word!r}: the environment variable {variable} is not set")
        return os.fsencode(environment[variable])
    try:
        with open(os.path.expanduser(path), "rb") as file:
            value = file.read(_MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise UsageError(f"--secret {word!r}: cannot read {path}: {error.strerror}") from error
    if len(value) > _MAX_SECRET_BYTES:
        raise UsageError(f"--secret {word!r}: {path} is larger than {_MAX_SECRET_BYTES} bytes")
    return value


def parse_platforms(words: Sequence[str]) -> tuple[str, ...]:
    """Split and check --platform words. Raises UsageError."""
    platforms = tuple(word.strip() for value in words for word in value.split(",") if word.strip())
    for platform in platforms:
        try:
            found = parse_platform(platform)
        except ReferenceFormatError as error:
            raise UsageError(f"--platform {error.message}", hint=error.hint) from error
        if found.os != "linux":
            raise UsageError(f"--platform {platform!r}: only images for linux are built, not for {found.os}")
    return platforms


_ENTITLEMENTS = ("network.host", "security.insecure")


def parse_entitlements(words: Sequence[str]) -> frozenset[str]:
    """Split and check --allow words. Raises UsageError."""
    allowed = frozenset(word for value in words for word in value.split(",") if word)
    for word in sorted(allowed - set(_ENTITLEMENTS)):
        raise UsageError(f"--allow {word!r} is not known", hint=f"Known are {' and '.join(_ENTITLEMENTS)}.")
    return allowed


def parse_epoch(text: str, what: str) -> int:
    """Parse seconds since 1970. Raises UsageError."""
    digits = text.strip()
    if not re.fullmatch("[0-9]{1,12}", digits):
        raise UsageError(f"invalid {what}: {_short(text)} is not a number of seconds since 1970")
    if int(digits) > MAX_EPOCH:
        raise UsageError(f"invalid {what}: {digits} is after the year 9999")
    return int(digits)


def parse_ssh(words: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Parse --ssh words, `ID[=SOCKET]` or `default`, into id → path of an agent's socket. Raises UsageError.

    A lone ID means the agent of SSH_AUTH_SOCK. Key files are refused: they need an agent, which `ssh-add` fills.
    """
    result: dict[str, str] = {}
    for word in words:
        identifier, _, path = word.partition("=")
        path = path or environment.get("SSH_AUTH_SOCK", "")
        if not path:
            raise UsageError(
                f"--ssh {word!r}: there is no agent",
                hint="Start ssh-agent, so that SSH_AUTH_SOCK is set, or write ID=SOCKET.",
            )
        try:
            is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
        except OSError as error:
            raise UsageError(f"--ssh {word!r}: cannot use {path}: {error.strerror}") from error
        if not is_socket:
            raise UsageError(
                f"--ssh {word!r}: {path} is not a socket",
                hint="Add the key to an agent with ssh-add, and give the agent's socket.",
            )
        result[identifier or "default"] = os.path.abspath(path)
    return result
