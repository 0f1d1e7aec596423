"""Pins base images: FROM lines that name an image by tag get the digest that the tag stands for today.

Only the words are touched, at their exact places; flags, comments, blanks and line ends stay as they are. Stage names,
`scratch`, named contexts and images that have a digest are left alone, and words with variables are reported: what they
stand for is not in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from builder.dockerfile.instructions import Stage
from builder.dockerfile.parser import parse_dockerfile
from builder.errors import Location, PlanError, PybuildError, ReferenceFormatError, SourceError
from builder.oci.digest import Digest
from builder.oci.platform import host_platform
from builder.oci.reference import Reference, parse_reference
from builder.plan.inputs import NamedContexts
from builder.store.store import open_store
from builder.transport.resolver import Resolver

FindDigest = Callable[[Reference], Digest]
"""Tells the digest that a name stands for, of the index when there is one. Raises PybuildError."""


class Pin(NamedTuple):
    """A FROM without a digest. `pinned` is its word with one; empty when no digest was asked for, or for `reason`."""

    written: str
    pinned: str
    location: Location
    reason: str = ""


_NO_CONTEXTS: Mapping[str, str] = {}


def resolve_pins(
    text: str, file: str, root: str | None, named_contexts: Mapping[str, str] = _NO_CONTEXTS
) -> tuple[Pin, ...]:
    """Find the pins of a file by way of the store at `root`; with None, no digests are asked for.

    Raises as `find_pins` does; the errors have the text, so that its lines can be shown.
    """
    try:
        if root is None:
            return find_pins(text, file, None, named_contexts)
        with _base_digests(root) as find_digest:
            return find_pins(text, file, find_digest, named_contexts)
    except SourceError as error:
        error.source = text
        raise


@contextmanager
def _base_digests(root: str) -> Iterator[FindDigest]:
    """Give a function that tells which digest an image name stands for, in its registry today."""
    with open_store(root) as store, store.lease():
        resolver = Resolver(store, pull=True)

        def find_digest(reference: Reference) -> Digest:
            # For the platform of this machine, and yet the digest of the index: that is what the name
            # stands for in the store.
            resolver.resolve(str(reference), host_platform())
            return store.names.get(reference).digest

        yield find_digest


def find_pins(
    text: str, file: str, find_digest: FindDigest | None, named_contexts: Mapping[str, str] = _NO_CONTEXTS
) -> tuple[Pin, ...]:
    """Return a pin for every FROM that has no digest; with None, no digests are asked for.

    Raises DockerfileSyntaxError, and PlanError at an image whose digest can't be had.
    """
    dockerfile = parse_dockerfile(text, file)
    names: set[str] = set()
    contexts = NamedContexts(named_contexts)
    pins = []
    for stage in dockerfile.stages:
        is_replaced = contexts.find(stage.base.image.text, host_platform()) is not None
        pin = None if is_replaced else _pin(stage, names, find_digest)
        if pin is not None:
            pins.append(pin)
        names.add(stage.name)
    return tuple(pins)


def apply_pins(text: str, pins: tuple[Pin, ...]) -> str:
    """Return the text with the words of `pins` replaced."""
    # Not splitlines(): Python ends lines at form feeds and other characters that end none here.
    lines = text.split("\n")
    for pin in reversed(pins):  # from the end, so that the places of those before stay right
        if pin.pinned:
            line, start = pin.location.line - 1, pin.location.column - 1
            before = lines[line]
            assert before[start : start + len(pin.written)] == pin.written, "the parser gives exact places"
            lines[line] = before[:start] + pin.pinned + before[start + len(pin.written) :]
    return "\n".join(lines)


def _pin(stage: Stage, names: set[str], find_digest: FindDigest | None) -> Pin | None:
    word = stage.base.image
    written = word.text
    # Stages are found in any case (Z-5), and only above: `names` holds those so far.
    if written.lower() in names or written == "scratch":
        return None
    if any(mark in written for mark in "$\"'\\`"):
        return Pin(written, "", word.location, "it has variables or quotes: pin the ARG's default by hand")
    try:
        reference = parse_reference(written)
    except ReferenceFormatError as error:
        return Pin(written, "", word.location, error.message)
    if reference.digest is not None:
        return None
    if find_digest is None:
        return Pin(written, "", word.location)
    try:
        return Pin(written, f"{written}@{find_digest(reference)}", word.location)
    except PybuildError as error:
        raise PlanError(error.message, word.location, hint=error.hint) from error
