"""Platforms: os/architecture[/variant], their normal forms and what fits what (image-index.md; containerd's rules)."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from builder.errors import ImageError, ReferenceFormatError

_PART = re.compile(r"[A-Za-z0-9_.-]+")
_ARCHITECTURES = {
    "x86_64": ("amd64", ""), "x86-64": ("amd64", ""), "aarch64": ("arm64", ""), "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"), "i386": ("386", ""), "i486": ("386", ""), "i586": ("386", ""), "i686": ("386", ""),
    "armv8l": ("arm64", ""), "armv7l": ("arm", "v7"), "armv6l": ("arm", "v6"),
}  # fmt: skip
_KNOWN_OS = {
    "linux",
    "windows",
    "darwin",
    "freebsd",
    "netbsd",
    "openbsd",
    "solaris",
    "plan9",
    "android",
    "wasip1",
    "js",
}
_KNOWN_ARCHITECTURES = {
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64",
    "s390x", "sparc64", "wasm",
}  # fmt: skip
_FALLBACK_VARIANTS = {
    ("arm", "v8"): ("v8", "v7", "v6", "v5"), ("arm", "v7"): ("v7", "v6", "v5"), ("arm", "v6"): ("v6", "v5"),
    ("amd64", "v4"): ("v4", "v3", "v2", ""), ("amd64", "v3"): ("v3", "v2", ""), ("amd64", "v2"): ("v2", ""),
}  # fmt: skip


class Platform(NamedTuple):
    """A normalised platform; `str()` gives os/architecture[/variant].

    A NamedTuple, as all that a build without changes needs: dataclasses would be a third of its time (the module alone
    imports inspect, and each class compiles eight functions).
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def accepts(self, candidate: Platform) -> int | None:
        """Say how well `candidate` serves this platform: 0 is exact, larger is worse, None does not fit."""
        if (self.os, self.architecture) != (candidate.os, candidate.architecture):
            return None
        if self.os_version and candidate.os_version and self.os_version != candidate.os_version:
            return None
        order = _FALLBACK_VARIANTS.get((self.architecture, self.variant), (self.variant,))
        return order.index(candidate.variant) if candidate.variant in order else None

    def to_json(self) -> dict[str, Any]:
        document = {"os": self.os, "architecture": self.architecture}
        if self.variant:
            document["variant"] = self.variant
        if self.os_version:
            document["os.version"] = self.os_version
        return document


def normalise(os_name: str, architecture: str, variant: str = "", os_version: str = "") -> Platform:
    """Return the platform in containerd's normal form (x86_64 → amd64, arm64/v8 → arm64, arm → arm/v7)."""
    os_name, architecture, variant = os_name.lower(), architecture.lower(), variant.lower()
    os_name = {"macos": "darwin"}.get(os_name, os_name)
    if architecture in _ARCHITECTURES:
        architecture, implied = _ARCHITECTURES[architecture]
        variant = variant or implied
    if architecture == "arm":
        variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
    if (architecture, variant) in {("arm64", "v8"), ("arm64", "8"), ("amd64", "v1")}:
        variant = ""
    return Platform(os_name, architecture, variant, os_version)


def parse_platform(text: str) -> Platform:
    """Parse `os[/arch[/variant]]`, or a lone known architecture or os. Raises ReferenceFormatError."""
    parts = text.split("/")
    if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
        raise ReferenceFormatError(
            f"{text!r} is not a platform", hint="Write os/architecture[/variant], for example linux/arm64."
        )
    host = host_platform()
    if len(parts) > 1:
        return normalise(*parts)
    lone = normalise(host.os, text)
    if lone.architecture in _KNOWN_ARCHITECTURES:
        return lone
    if text.lower() in _KNOWN_OS or text.lower() == "macos":
        return normalise(text, host.architecture, host.variant)
    if text.lower() == "local":
        return host
    raise ReferenceFormatError(
        f"{text!r} is neither a known operating system nor a known architecture",
        hint="Write os/architecture[/variant], for example linux/arm64.",
    )


def host_platform() -> Platform:
    """Return the platform of the running kernel. The one fact of the machine this room reads (uname(2))."""
    uname = os.uname()
    return normalise(uname.sysname, uname.machine)


def platform_from_json(document: dict[str, Any], what: str) -> Platform:
    """Read the `platform` member of a descriptor, or the same keys of an image config; missing keys are empty.

    Raises ImageError, naming `what` they were found in.
    """
    values = [document.get(key) for key in ("os", "architecture", "variant", "os.version")]
    if not all(value is None or isinstance(value, str) for value in values):
        raise ImageError(f"{what} has a platform that is not made of strings")
    return normalise(*(value or "" for value in values))
