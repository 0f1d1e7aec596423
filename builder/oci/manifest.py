"""Image manifests and indexes, OCI and Docker schema 2 (image-spec manifest.md, image-index.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from builder.errors import ImageError
from builder.oci import canonical
from builder.oci.descriptor import Descriptor, descriptor_from_json
from builder.oci.digest import is_foreign
from builder.oci.media_type import CONFIG_TYPES, INDEX_TYPES, MANIFEST_TYPES, OCI_MANIFEST


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its config and its layers, base first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = OCI_MANIFEST

    def to_json(self) -> dict[str, Any]:
        return {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }


@dataclass(frozen=True, slots=True)
class Index:
    """Many images, by platform."""

    manifests: tuple[Descriptor, ...]
    media_type: str
    foreign: tuple[str, ...] = ()
    """Digests of entries by algorithms that nobody here can compute: they are kept, and not followed."""


def parse_manifest(data: bytes, media_type: str, what: str) -> Manifest | Index:
    """Read a manifest or index from its exact bytes.

    `media_type` is what the carrier (descriptor, Content-Type) says; it must agree with the document. A document
    that could be read both ways is refused (CVE-2021-41190). Raises ImageError.
    """
    document = canonical.decode(data, what)
    if document.get("schemaVersion") == 1:
        raise ImageError(
            f"{what} is a Docker schema 1 manifest, which is no longer supported",
            hint="Push the image again with a current tool.",
        )
    inner = document.get("mediaType")
    if inner is not None and not isinstance(inner, str):
        raise ImageError(f"{what} has a media type that is not a string")
    if inner and media_type and inner != media_type:
        raise ImageError(f"{what} calls itself {inner} but was delivered as {media_type}")
    kind = inner or media_type
    annotations = document.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise ImageError(f"{what} has annotations that are not strings")
    if "manifests" in document and ("layers" in document or "config" in document):
        raise ImageError(f"{what} is both an index and a manifest; such documents are refused (CVE-2021-41190)")
    if kind in INDEX_TYPES or (not kind and "manifests" in document):
        return _index(document, kind, what)
    if kind in MANIFEST_TYPES or (not kind and "layers" in document):
        return Manifest(
            descriptor_from_json(document.get("config"), f"the config of {what}"),
            _descriptors(document, "layers", what),
            kind or OCI_MANIFEST,
        )
    raise ImageError(f"{what} has the media type {kind!r}, which is neither an image manifest nor an index")


def is_image(manifest: Manifest) -> bool:
    """Say whether a manifest describes a container image, as opposed to another artifact."""
    return manifest.config.media_type in CONFIG_TYPES


def index_entries_from_json(members: Sequence[Any], what: str) -> tuple[Descriptor | None, ...]:
    """Read the entries of an index; None stands for one whose digest is of an unknown algorithm.

    Those are no error: the other images of the index are none the worse (image-index.md). Raises ImageError.
    """
    return tuple(
        None
        if isinstance(item, dict) and is_foreign(item.get("digest"))
        else descriptor_from_json(item, f"manifests[{number}] of {what}")
        for number, item in enumerate(members)
    )


def _index(document: dict[str, Any], kind: str, what: str) -> Index:
    members = _members(document, "manifests", what)
    entries = index_entries_from_json(members, what)
    foreign = tuple(str(item["digest"]) for item, entry in zip(members, entries, strict=True) if entry is None)
    return Index(tuple(entry for entry in entries if entry is not None), kind, foreign)


def _descriptors(document: dict[str, Any], member: str, what: str) -> tuple[Descriptor, ...]:
    members = _members(document, member, what)
    return tuple(descriptor_from_json(item, f"{member}[{number}] of {what}") for number, item in enumerate(members))


def _members(document: dict[str, Any], member: str, what: str) -> list[Any]:
    members = document.get(member) or []
    if not isinstance(members, list):
        raise ImageError(f"{what}: {member} is not a list")
    return members
