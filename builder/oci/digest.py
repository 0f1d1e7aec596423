"""Digests, and the three identities a layer has.

- *digest*: `sha256:<hex>` of exact bytes (image-spec descriptor.md#digests); a layer's is that of its blob as stored.
- *diff ID*: digest of the uncompressed layer tar (config.md#layer-diffid).
- *chain ID*: identity of a stack of layers (config.md#layer-chainid).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from builder.errors import ReferenceFormatError

# Only sha256 and sha512 are registered; blake3 is on the spec's development branch. Unknown, well-formed
# algorithms may be carried in documents, but never become a path or are trusted as verified.
_SHORT_DIGITS = 12
_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_GRAMMAR = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+")
_HEX = re.compile(r"[0-9a-f]+")


class Digest(str):
    """`algorithm:encoded`, checked. A str, so that it is its own JSON form."""

    __slots__ = ()

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        return self.partition(":")[2]


class DiffID(Digest):
    """Digest of an uncompressed layer tar."""

    __slots__ = ()


class ChainID(Digest):
    """Identity of a stack of layers."""

    __slots__ = ()


def short_digest(text: str) -> str:
    """Return the first 12 hex digits of a digest, or of an ID without an algorithm: the length that docker shows."""
    return text.rpartition(":")[2][:_SHORT_DIGITS]


def parse_digest(text: str) -> Digest:
    """Check `text` as a digest of a supported algorithm. Raises ReferenceFormatError (descriptor.md#digests)."""
    if not isinstance(text, str) or not _GRAMMAR.fullmatch(text):
        raise ReferenceFormatError(f"{text!r:.200} is not a digest", hint="A digest looks like sha256:<64 hex digits>.")
    algorithm, _, encoded = text.partition(":")
    length = _HEX_LENGTHS.get(algorithm)
    if length is None:
        raise ReferenceFormatError(f"digest algorithm {algorithm!r} is not supported", hint="Use sha256 or sha512.")
    if len(encoded) != length or not _HEX.fullmatch(encoded):
        raise ReferenceFormatError(f"{text!r:.200} is not a digest: {algorithm} needs {length} lower-case hex digits")
    return Digest(text)


def digest_or_none(text: str) -> Digest | None:
    """Return `text` as a digest, None when it is something else."""
    try:
        return parse_digest(text)
    except ReferenceFormatError:
        return None


def is_foreign(text: object) -> bool:
    """Say whether `text` is a well-formed digest of an algorithm that nobody here can compute."""
    return isinstance(text, str) and bool(_GRAMMAR.fullmatch(text)) and text.partition(":")[0] not in _HEX_LENGTHS


def digest_of(data: bytes, algorithm: str = "sha256") -> Digest:
    """Return the digest of `data`."""
    return Digest(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")


def chain_ids(diff_ids: Iterable[DiffID]) -> tuple[ChainID, ...]:
    """Return the chain ID after each layer, base first (config.md#layer-chainid)."""
    result: list[ChainID] = []
    for diff_id in diff_ids:
        result.append(ChainID(digest_of(f"{result[-1]} {diff_id}".encode()) if result else diff_id))
    return tuple(result)


EMPTY_CHAIN = ChainID("sha256:" + hashlib.sha256(b"").hexdigest())
"""Stands for the empty stack (scratch), which the spec gives no ID: the digest of no bytes."""


def chain_id_of(diff_ids: Iterable[DiffID]) -> ChainID:
    """Return the chain ID of a whole stack; EMPTY_CHAIN for no layers."""
    chain = chain_ids(diff_ids)
    return chain[-1] if chain else EMPTY_CHAIN
