"""Canonical JSON: sorted keys, no blanks, UTF-8. The form of everything we hash (manifest.md asks for it)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from builder.errors import ImageError

JsonObject = dict[str, Any]
"""An object of JSON, for whoever writes one or has just read it: its members have no types yet."""
Document = Mapping[str, Any]
"""The same, only to be read."""
JsonValue = Any
"""One value of JSON, of the kind that its place in a document has."""

MAX_DOCUMENT_BYTES = 4 << 20
"""Largest manifest, index or config accepted: what registries accept and container-libs reads."""
MAX_EPOCH = 253_402_300_799
"""Seconds since 1970: the last of the year 9999. RFC 3339, which images write their times in, has none after it."""


def encode(document: Any) -> bytes:
    """Return the canonical bytes of a JSON document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def decode(data: bytes, what: str) -> dict[str, Any]:
    """Parse `data` as one JSON object in UTF-8 that has no member twice (I-JSON, RFC 7493: manifest.md asks for it).

    Raises ImageError naming `what` for anything else: of two members some readers take the first, some the last.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise ImageError(f"{what} is {len(data)} bytes long; at most {MAX_DOCUMENT_BYTES} are accepted")
    try:
        # Arguments of a command line that are no UTF-8 stand in our own documents as `encode` writes them.
        text = data.decode("utf-8", "surrogatepass")
        document = json.loads(text, object_pairs_hook=_members, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ImageError(f"{what} is not a JSON object")
    return document


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the member {next(name for name in members if names.count(name) > 1)!r:.100} is there twice")
    return members


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
