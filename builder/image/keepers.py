"""Why a blob is kept: the images, containers and cache records that lead to it, or that nothing does.

In: a store and its contents, and a name, an image ID, or a digest or the beginning of one. Out: one `KeptBlob` for each
blob that is meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from builder.errors import PybuildError, StoreError
from builder.image.disk_contents import CachedStep, DiskContents
from builder.image.image import Image
from builder.image.listing import find_descriptor
from builder.image.sizes import images_below
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, short_digest
from builder.oci.reference import reference_or_none
from builder.store.names import name_of
from builder.store.reachability import reachable_from
from builder.store.store import Store

_LEAST_DIGITS = 4
_PLACE_PARTS = 5
"""Context, Dockerfile, platform, stage, position (solve/making.py)."""


class Keeper(NamedTuple):
    """What leads to a blob. `kind` is image, container, cache or build; `detail` says how, or which step it was."""

    kind: str
    name: str
    detail: str


class KeptBlob(NamedTuple):
    """A blob, what it is, and who keeps it. `bytes` are on the disk, 0 for what is not here."""

    digest: str
    what: str
    bytes: int
    keepers: tuple[Keeper, ...]
    copies: tuple[tuple[str, int], ...]
    """Working copies of this layer: form, and bytes on the disk."""


def why_kept(store: Store, contents: DiskContents, text: str) -> tuple[KeptBlob, ...]:
    """Return the blobs that `text` means: all of an image, or the one of a digest, and what keeps each.

    Raises StoreError when nothing is called so.
    """
    wanted = _meant(store, contents, text)
    told = list(_told(store, contents))
    copy_of = {copy.lease: copy for copy in contents.copies}
    result = []
    for digest in wanted:
        keepers = [Keeper("build", "a running build", "")] if digest in contents.used else []
        roles = dict.fromkeys(keeper.detail for blob, keeper in told if blob == digest and keeper.kind == "image")
        keepers += [keeper for blob, keeper in told if blob == digest]
        keepers += [_cache_keeper(store, record) for record in contents.records if record.blob == digest]
        copy = copy_of.get(digest)
        layers = {diff_id for diff_id, blob in contents.layers.items() if blob == digest}
        role = next(iter(roles)) if len(roles) == 1 else "layer"
        what = f"working copy of layer {copy.layer}, {copy.form}" if copy else role
        result.append(
            KeptBlob(
                digest,
                what if copy or roles or layers else "blob",
                contents.blobs.get(digest, 0),
                tuple(keepers),
                tuple(
                    (other.form, other.bytes)
                    for other in contents.copies
                    if other.lease != digest and other.layer.rpartition(":")[2] in {one.encoded for one in layers}
                ),
            )
        )
    return tuple(result)


def _meant(store: Store, contents: DiskContents, text: str) -> list[Digest]:
    short = text.removeprefix("sha256:")
    if len(short) >= _LEAST_DIGITS and not set(short) - set("0123456789abcdef"):
        found = {digest for digest in contents.blobs if digest.encoded.startswith(short)}
        # A diff ID means the layer in whatever form it is kept.
        by_diff_id = {blob for diff_id, blob in contents.layers.items() if diff_id.encoded.startswith(short)}
        found |= by_diff_id if not found else set()
        if len(found) > 1:
            raise StoreError(f"{text!r} is the beginning of several digests", hint="Give more digits.")
        if found:
            return list(found)
    try:
        descriptor = find_descriptor(store, text)
    except StoreError as error:
        raise StoreError(
            f"no image and no blob is called {text}", hint="'pybuild df -v' lists what there is."
        ) from error
    return [digest for digest in _ordered(store, descriptor) if digest in contents.blobs]


def _ordered(store: Store, descriptor: Descriptor) -> list[Digest]:
    """Return what an image is made of: documents first, then layers, base first."""
    found: dict[Digest, None] = {descriptor.digest: None}
    for image in images_below(store, descriptor):
        found |= dict.fromkeys((image.descriptor.digest, image.id, *(one.digest for one in image.manifest.layers)))
    return list(found | dict.fromkeys(sorted(reachable_from(store, [descriptor]))))


def _told(store: Store, contents: DiskContents) -> Iterator[tuple[Digest, Keeper]]:
    """Yield each blob that an image or a container leads to, with that."""
    for entry in contents.entries:
        reference = reference_or_none(name_of(entry))
        name = reference.familiar if reference else name_of(entry) or f"{short_digest(entry.digest)} (no name)"
        for digest, role in _roles(store, entry, contents.below[entry.digest]):
            yield digest, Keeper("image", name, role)
    for record, _ in contents.containers:
        for digest in contents.below[record.manifest.digest]:
            yield digest, Keeper("container", record.name, record.state)


def _roles(store: Store, entry: Descriptor, below: frozenset[Digest]) -> Iterator[tuple[Digest, str]]:
    roles = dict.fromkeys(below, "part")
    for image in images_below(store, entry):
        roles |= _roles_of(image)
    if roles.get(entry.digest) == "part":
        roles[entry.digest] = "index"
    yield from roles.items()


def _roles_of(image: Image) -> dict[Digest, str]:
    count = len(image.manifest.layers)
    layers = {layer.digest: f"layer {number + 1} of {count}" for number, layer in enumerate(image.manifest.layers)}
    return {image.descriptor.digest: "manifest", image.id: "config", **layers}


def _cache_keeper(store: Store, record: CachedStep) -> Keeper:
    return Keeper("cache", step_name(record), step_words(store, record))


def step_name(record: CachedStep) -> str:
    """Return the place of the step that a cache record is of: Dockerfile, stage, and number in it."""
    parts = record.description.split("\0")
    return f"{parts[1]}, {parts[-2]}, step {parts[-1]}" if len(parts) == _PLACE_PARTS else ", ".join(parts)


def step_words(store: Store, record: CachedStep) -> str:
    """Return what a step did, in the words of its Dockerfile as far as they are kept; empty when they are not."""
    try:
        return _words(json.loads(store.records.preimage(record.key) or b"{}"))
    except (PybuildError, ValueError, TypeError, KeyError, AttributeError):
        return ""


def _words(document: dict[str, Any]) -> str:
    match document.get("operation"):
        case "run":
            argv = document["argv"]
            words = argv[2] if argv[:2] == ["/bin/sh", "-c"] and len(argv) == 3 else " ".join(argv)
            return f"RUN {words or document.get('script', '')}".replace("\n", " ")
        case "workdir":
            return f"WORKDIR {document['path']}"
        case "copy" | "add" as name:
            sources = dict.fromkeys(part["source"] for part in document["inputs"])
            return f"{name.upper()} {' '.join(sources)} {document['destination']}"
        case _:
            return ""
