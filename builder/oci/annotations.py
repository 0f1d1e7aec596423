"""Annotations that were asked for: where each one goes, and for which platforms (image-spec annotations.md).

    KEY=VALUE   manifest:KEY=VALUE   index,manifest-descriptor:KEY=VALUE   manifest[linux/arm64]:KEY=VALUE
    annotation.KEY   annotation-index.KEY   annotation-manifest[linux/arm64].KEY           as fields of an output

A descriptor of a manifest stands in the index; that of an index in the layout's index.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from builder.errors import ReferenceFormatError, UsageError
from builder.oci.platform import Platform, parse_platform

MANIFEST_PLACES = ("manifest", "manifest-descriptor")
INDEX_PLACES = ("index", "index-descriptor")
"""In the document itself, and in the descriptor that names it."""
PLACES = MANIFEST_PLACES + INDEX_PLACES
_PLACE = re.compile(r"([a-z-]+)(?:\[([A-Za-z0-9_/.-]+)\])?")
_FIELD = re.compile(r"annotation(?:-([a-z-]+))?(?:\[([A-Za-z0-9_/.-]+)\])?\.(.+)", re.DOTALL)


class Annotation(NamedTuple):
    """One annotation in one place; without a platform it is meant for all."""

    place: str
    platform: Platform | None
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.place}{f'[{self.platform}]' if self.platform else ''}:{self.key}={self.value}"


def parse_annotation(text: str) -> tuple[Annotation, ...]:
    """Read the value of `--annotation`. Raises UsageError."""
    head, equals, value = text.partition("=")
    places, colon, key = head.partition(":")
    if not colon:
        places, key = "manifest", head
    if not equals or not key:
        raise UsageError(
            f"--annotation {text!r} is not KEY=VALUE", hint=f"Before it may stand one of {_known()}, and :."
        )
    found = []
    for written in places.split(","):
        match = _PLACE.fullmatch(written)
        if match is None:
            raise UsageError(f"--annotation {text!r}: {written!r} is not PLACE or PLACE[PLATFORM]", hint=_hint())
        found.append(_annotation(match[1], match[2], key, value, f"--annotation {text!r}"))
    return tuple(found)


def parse_annotation_field(field: str, value: str, what: str) -> Annotation | None:
    """Read `annotation….KEY` of an output; None for another field. `what` begins the message of a UsageError."""
    if not field.startswith("annotation"):
        return None
    match = _FIELD.fullmatch(field)
    if match is None:
        raise UsageError(f"{what}: {field!r} is not annotation.KEY or annotation-PLACE[PLATFORM].KEY", hint=_hint())
    return _annotation(match[1] or "manifest", match[2], match[3], value, what)


def select(annotations: Iterable[Annotation], place: str, platform: Platform | None = None) -> dict[str, str]:
    """Return what goes to `place`, for the manifest of `platform`; the last of one key counts."""
    return {
        annotation.key: annotation.value
        for annotation in annotations
        if annotation.place == place and annotation.platform in (None, platform)
    }


def check_annotations(annotations: Sequence[Annotation], platforms: Sequence[Platform], *, makes_index: bool) -> None:
    """Raise UsageError for an annotation that has no place in what will be made."""
    for annotation in annotations:
        if annotation.place.startswith("index") and not makes_index:
            hint = "A build for several platforms makes an index, or --build-arg BUILDKIT_MULTI_PLATFORM=1."
            raise UsageError(f"annotation {annotation}: the result is one manifest without an index", hint=hint)
        if annotation.platform is not None and annotation.platform not in platforms:
            hint = f"Platforms of this build: {', '.join(map(str, platforms))}."
            raise UsageError(f"annotation {annotation}: {annotation.platform} is not built", hint=hint)


def _annotation(place: str, platform: str | None, key: str, value: str, what: str) -> Annotation:
    if place not in PLACES:
        raise UsageError(f"{what}: unknown annotation type {place!r}", hint=_hint())
    try:
        return Annotation(place, parse_platform(platform) if platform else None, key, value)
    except ReferenceFormatError as error:
        raise UsageError(f"{what}: {error.message}", hint=error.hint) from error


def _known() -> str:
    return ", ".join(PLACES)


def _hint() -> str:
    return f"Known are {_known()}."
