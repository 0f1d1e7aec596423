"""Descriptors: media type + digest + size, and what else came with them (image-spec descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from builder.errors import ImageError
from builder.oci.digest import Digest, parse_digest
from builder.oci.platform import Platform, platform_from_json

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


_MAX_SIZE = 2**63 - 1
"""int64 (descriptor.md#properties)."""
_NONE: Mapping[str, Any] = MappingProxyType({})


class Descriptor(NamedTuple):
    """Names bytes. `size` is in bytes; `extra` keeps members we do not read, so that a copy loses nothing."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = _NONE
    extra: Mapping[str, Any] = _NONE

    def bare(self) -> Descriptor:
        """Return what names the bytes alone, without what an index or a layout says beside it."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = dict(self.extra)
        document |= {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.platform is not None and "platform" not in document:
            document["platform"] = self.platform.to_json()
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document


def descriptor_from_json(document: Any, what: str) -> Descriptor:
    """Read a descriptor. Raises ImageError or ReferenceFormatError, naming `what` it was found in."""
    if not isinstance(document, dict):
        raise ImageError(f"{what} is not a descriptor")
    media_type, size = document.get("mediaType"), document.get("size")
    if not isinstance(media_type, str):
        raise ImageError(f"{what} has no mediaType")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
        raise ImageError(f"{what} has the size {size!r:.40}, which is not a number of bytes")
    annotations = document.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise ImageError(f"{what} has annotations that are not strings")
    platform = document.get("platform")
    if platform is not None and not isinstance(platform, dict):
        raise ImageError(f"{what} has a platform that is no object")
    return Descriptor(
        media_type=media_type,
        digest=parse_digest(document.get("digest", "")),
        size=size,
        platform=platform_from_json(platform, what) if platform is not None else None,
        annotations=annotations,
        extra={
            key: value for key, value in document.items() if key not in {"mediaType", "digest", "size", "annotations"}
        },
    )
