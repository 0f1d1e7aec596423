"""registries.conf: which registries are blocked, insecure, elsewhere or mirrored, and short names.

    unqualified-search-registries = ["docker.io"]
    [aliases]                        "fedora" = "registry.fedoraproject.org/fedora"
    [[registry]]                     prefix, location, blocked, insecure, mirror-by-digest-only
    [[registry.mirror]]              location, insecure, pull-from-mirror = "all" | "digest-only" | "tag-only"

Files: $CONTAINERS_REGISTRIES_CONF alone; or the user's, else the system's registries.conf, then what is in
registries.conf.d, later ones over earlier ones (containers-registries.conf(5)). Version 1 of the format and credential
helpers in it are left out.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from builder.errors import ReferenceFormatError, RegistryError
from builder.oci.reference import parse_reference, split_short_name

_MAX_FILE_BYTES = 1 << 20
_PULL_FROM = ("all", "digest-only", "tag-only")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Another place of the same repositories. `location` is host[:port][/path]."""

    location: str
    insecure: bool = False
    pull_from: str = "all"
    """What is asked of it: "all", "digest-only" or "tag-only"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRule:
    """What holds for names that begin with `prefix` (or whose host ends in it: `*.example.com`)."""

    prefix: str
    location: str = ""
    """What takes the place of the prefix; empty: the name stays as it is."""
    blocked: bool = False
    insecure: bool = False
    mirrors: tuple[Mirror, ...] = ()

    def length_in(self, name: str) -> int | None:
        """Return how much of host/repository the prefix stands for, or None when it does not fit."""
        if self.prefix.startswith("*."):
            host = name.partition("/")[0]
            return len(host) if host.endswith(self.prefix[1:]) else None
        fits = name == self.prefix or (name.startswith(self.prefix) and name[len(self.prefix)] in "/:@")
        return len(self.prefix) if fits else None


@dataclass(frozen=True, slots=True)
class Configuration:
    """All files together. `aliases` are short names; `search` are registries for names without one."""

    rules: tuple[RegistryRule, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    search: tuple[str, ...] = ()

    def rule_for(self, name: str) -> RegistryRule | None:
        """Return the rule with the longest prefix of host/repository."""
        fitting = [rule for rule in self.rules if rule.length_in(name) is not None]
        return max(fitting, key=lambda rule: len(rule.prefix), default=None)


def load_configuration(environ: Mapping[str, str] = os.environ) -> Configuration:
    """Read all files that are there. Raises RegistryError for one that cannot be read."""
    rules: dict[str, RegistryRule] = {}
    aliases: dict[str, str] = {}
    search: tuple[str, ...] = ()
    for path in _files(environ):
        document = _read(path)
        for table in _tables(document, "registry", path):
            rule = _rule(table, path)
            rules[rule.prefix] = rule
        for short, long in (document.get("aliases") or {}).items():
            aliases[short] = _text(long, f"alias {short}", path)
        if (found := document.get("unqualified-search-registries")) is not None:
            search = tuple(_text(each, "unqualified-search-registries", path) for each in found)
    # An empty alias takes an earlier one back.
    return Configuration(tuple(rules.values()), {short: long for short, long in aliases.items() if long}, search)


def find_alias(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the name that an alias gives to one without a registry, with the same tag and digest; "" for others.

    An alias for what docker takes the name for anyway counts as none. Raises RegistryError, ReferenceFormatError.
    """
    short_name, rest = split_short_name(text)
    if not short_name or not (alias := load_configuration(environ).aliases.get(short_name, "")):
        return ""
    try:
        meant = parse_reference(alias + rest)
    except ReferenceFormatError as error:
        raise RegistryError(f"registries.conf: the alias of {short_name}: {error.message}", hint=error.hint) from error
    return "" if meant == parse_reference(text) else alias + rest


def _files(environ: Mapping[str, str]) -> Iterator[str]:
    if named := environ.get("CONTAINERS_REGISTRIES_CONF"):
        yield named
        return
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    own = f"{home}/containers/registries.conf"
    yield own if os.path.exists(own) else "/etc/containers/registries.conf"
    for directory in ("/etc/containers/registries.conf.d", f"{home}/containers/registries.conf.d"):
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise RegistryError(
                f"{directory} cannot be read: {error}", hint="Correct its mode, or remove it."
            ) from error
        yield from sorted(f"{directory}/{name}" for name in names if name.endswith(".conf"))


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document = tomllib.loads(file.read(_MAX_FILE_BYTES).decode("utf-8", "replace"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise RegistryError(f"{path} cannot be read: {error}", hint="Correct the file or unset it.") from error
    if not isinstance(document.get("aliases", {}), dict):
        raise _wrong("aliases", path)
    if not isinstance(document.get("unqualified-search-registries", []), list):
        raise _wrong("unqualified-search-registries", path)
    return document


def _rule(table: dict[str, Any], path: str) -> RegistryRule:
    location = _text(table.get("location", ""), "location", path)
    prefix = _text(table.get("prefix", ""), "prefix", path) or location
    if not prefix:
        raise _wrong("a [[registry]] without prefix and location", path)
    by_digest_only = table.get("mirror-by-digest-only") is True
    return RegistryRule(
        prefix=prefix,
        location=location,
        blocked=table.get("blocked") is True,
        insecure=table.get("insecure") is True,
        mirrors=tuple(_mirror(each, by_digest_only, path) for each in _tables(table, "mirror", path)),
    )


def _mirror(table: dict[str, Any], by_digest_only: bool, path: str) -> Mirror:
    location = _text(table.get("location", ""), "location", path)
    pull_from = table.get("pull-from-mirror") or ("digest-only" if by_digest_only else "all")
    if not location:
        raise _wrong("a mirror without location", path)
    if pull_from not in _PULL_FROM:
        raise _wrong(f"pull-from-mirror = {pull_from!r:.40}", path)
    return Mirror(location=location, insecure=table.get("insecure") is True, pull_from=pull_from)


def _tables(document: dict[str, Any], name: str, path: str) -> list[dict[str, Any]]:
    tables = document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _wrong(f"{name!r} that is not written [[{name}]]", path)
    return tables


def _text(value: object, name: str, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(f"{name} = {value!r:.40}", path)
    # Old files write a scheme, which podman refuses too.
    if "://" in value:
        raise _wrong(f"{name} = {value!r:.80}, with a scheme", path)
    return value.rstrip("/")


def _wrong(what: str, path: str) -> RegistryError:
    return RegistryError(f"{path}: {what} means nothing there", hint="Correct the file or unset it.")
