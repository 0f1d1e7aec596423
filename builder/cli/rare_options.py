"""The options that few builds have, each of a form of its own: what is asked for RUN, and annotations.

Entered through a gate when one of them is given, since they bring parsers along that most builds do without.
"""

from __future__ import annotations

import argparse
import csv
import ipaddress
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence

from builder.cli.limits import with_limits
from builder.cli.options import MAX_NUMBER, parse_memory_size, short
from builder.engine.request import BuildRequest
from builder.errors import UsageError
from builder.oci.annotations import parse_annotation
from builder.oci.run_options import RunOptions

_HOST_GATEWAY = "host-gateway"  # an address that only the sandbox knows (sandbox/spec.py)
# The names of setrlimit(2)'s resources as docker spells them.
_LIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
_LIMIT = r"-1|[0-9]{1,19}"
_MAX_SECRET_BYTES = 500 << 10


def with_rare_options(request: BuildRequest, arguments: argparse.Namespace) -> BuildRequest:
    """Return `request` with the secrets, agents, hosts, limits and annotations asked for. Raises UsageError."""
    return request._replace(
        secrets=parse_secrets(filter(None, arguments.secret), os.environ),
        ssh=parse_ssh(filter(None, arguments.ssh), os.environ),
        run=with_limits(
            RunOptions(
                add_hosts=parse_hosts(arguments.add_host),
                shm_size=parse_memory_size(arguments.shm_size, "--shm-size") if arguments.shm_size else None,
                ulimits=parse_ulimits(arguments.ulimit),
            ),
            arguments,
        ),
        annotations=tuple(annotation for text in arguments.annotation for annotation in parse_annotation(text)),
    )


def parse_ulimits(words: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """Parse `nofile=1024:2048` words into (name, soft, hard); -1 is unlimited. Raises UsageError."""
    result = []
    for word in words:
        name, equals, value = word.partition("=")
        soft, colon, hard = value.partition(":")
        if name not in _LIMITS or not equals:
            raise UsageError(f"--ulimit {word!r} is not TYPE=SOFT[:HARD]", hint=f"TYPE is one of {', '.join(_LIMITS)}.")
        limits = (soft, hard if colon else soft)
        if not all(re.fullmatch(_LIMIT, limit) and int(limit) <= MAX_NUMBER for limit in limits):
            raise UsageError(
                f"--ulimit {short(word)}: the limits must be whole numbers below 2^63, or -1 for none",
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
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        found = None
    # No zone (fe80::1%eth0), which names an interface of this machine; and IPv4 in the form that Go's net.IP prints.
    if found is None or "%" in bare:
        raise UsageError(f"--add-host {word!r}: {address!r} is not an IP address", hint="Write HOST:IP.")
    return name.lower(), str(getattr(found, "ipv4_mapped", None) or found)


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


def _secret_value(word: str, path: str, variable: str, environment: Mapping[str, str]) -> bytes:
    if variable:
        if variable not in environment:
            raise UsageError(f"--secret {word!r}: the environment variable {variable} is not set")
        return os.fsencode(environment[variable])
    try:
        with open(os.path.expanduser(path), "rb") as file:
            # One more than may be: what is longer is refused, however long it is, without being read.
            value = file.read(_MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise UsageError(f"--secret {word!r}: cannot read {path}: {error.strerror}") from error
    if len(value) > _MAX_SECRET_BYTES:
        raise UsageError(f"--secret {word!r}: {path} is larger than {_MAX_SECRET_BYTES} bytes")
    return value


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
        # The sandbox's processes have other working directories.
        result[identifier or "default"] = os.path.abspath(path)
    return result
