"""The words of an argument that has a form of its own: sizes, KEY=VALUE, platforms; rare_options.py has the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from builder.errors import ReferenceFormatError, UsageError
from builder.oci.canonical import MAX_EPOCH
from builder.oci.platform import parse_platform

# Patterns are text: compiling them would cost every cached build, and few command lines need one.
_SIZE = r"(\d+(?:\.\d+)?) ?([bkmgtp]?)(i?b)?"
_POWERS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
MAX_NUMBER = (1 << 63) - 1
"""The largest number that the kernel's interfaces take."""
_SHOWN_CHARACTERS = 80


def short(text: str) -> str:
    """Quote what somebody wrote, as much of it as anybody reads."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")


def parse_memory_size(text: str, what: str) -> int:
    """Parse `64m`, `1g`, `65536` as bytes, where k is 1024: so go-units (RAMInBytes) reads what docker takes as a size.

    Raises UsageError.
    """
    return _parse_size(text, what, thousand=1024)


def parse_disk_size(text: str, what: str) -> int:
    """Parse `500MB`, `5GB` as bytes, where k is 1000, as sizes on the disk are shown; but `5GiB` is what it says.

    For flags of our own. Raises UsageError.
    """
    return _parse_size(text, what, thousand=1024 if "i" in text.lower() else 1000)


def _parse_size(text: str, what: str, thousand: int) -> int:
    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE)
    if not match:
        raise UsageError(f"{what} {text!r} is not a size", hint="Write a number with b, k, m or g, for example 64m.")
    size = float(match[1]) * thousand ** _POWERS[match[2].lower()]
    if size > MAX_NUMBER:
        raise UsageError(f"{what} {short(text)} is more than any machine has")
    return int(size)


def parse_pairs(words: Sequence[str], flag: str, *, need_value: bool = True) -> dict[str, str]:
    """Parse `KEY=VALUE` words; a lone KEY is an empty value unless one is needed. Raises UsageError."""
    result: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or (need_value and not equals):
            raise UsageError(f"{flag} {word!r} is not KEY=VALUE")
        result[key] = value
    return result


def parse_build_args(words: Sequence[str], environment: Mapping[str, str], flag: str = "--build-arg") -> dict[str, str]:
    """Parse words of --build-arg or --env; a lone NAME takes its value from the environment, or is left out."""
    result: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(f"{flag} {word!r} has no name", hint="Write NAME=VALUE or NAME.")
        if equals:
            result[name] = value
        elif name in environment:
            # As docker: a name that the environment lacks is as good as not given, so ARG's default holds.
            result[name] = environment[name]
    return result


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
        raise UsageError(f"invalid {what}: {short(text)} is not a number of seconds since 1970")
    if int(digits) > MAX_EPOCH:
        raise UsageError(f"invalid {what}: {digits} is after the year 9999")
    return int(digits)
