"""What a page is made of, as values: whoever opens the store fills them, and nothing here reads it again.

What a page must not show is settled here, too: bytes of layers are in it only when somebody asked for contents, and
`secrets` are values that never are, wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from builder.explain.model import Explanation
from builder.explain.union import PathStory

MAX_BLOB_BYTES = 256 << 10
"""Largest layer that is put into a page, as the manifest names it: what a browser hashes at a key press."""

LANGUAGES = ("en", "es")
"""Those that messages.json has, in its order."""


class Chain(NamedTuple):
    """Layers on top of one another, and what they make of each path."""

    layers: tuple[int, ...]
    """Positions in `Explanation.layers`, base first; a layer number of a story is a position in here."""
    stories: Iterable[PathStory]


class StepFacts(NamedTuple):
    """What is known of a step's cache key."""

    preimage: bytes
    """Canonical JSON, whose digest is the key."""
    was: bytes = b""
    """That of the build before, which the reason was found by; empty when there was none."""
    why: tuple[str, ...] = ()
    """The whole difference between the two, in the words of reasons, one each."""
    files: tuple[str, ...] = ()
    """Paths that it reads from build contexts."""


class PageInputs(NamedTuple):
    explanation: Explanation
    config: bytes
    """The image config, byte for byte."""
    manifest: bytes
    chains: tuple[Chain, ...]
    """The image's own first; then those of other stages, as far as they have layers of their own."""
    facts: Mapping[int, StepFacts] = {}
    """By position in `Explanation.steps`."""
    blobs: Mapping[int, bytes] = {}
    """Layers as the manifest names them, by position in `Explanation.layers`; of use when `contents` is set."""
    contents: bool = False
    """Whether bytes of layers, and values that look like secrets, may be in the page."""
    secrets: tuple[str, ...] = ()
    """Values that are never in it, whatever was asked for."""
    other: Explanation | None = None
    """A second image, to be compared with."""
    efficiency: float = 1.0
    """As dive computes it."""
    first_build: str = ""
    """The reason of a step that had nothing to be compared with."""
    language: str = "en"
    version: str = ""
    """Of pybuild."""
