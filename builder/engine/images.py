"""The verbs of the images that a store holds: list, describe, tell the history of, tag, remove.

In: the store's path and what people type: a name, an image ID or a unique beginning of one, a digest. Out: values. The
words of a removal are docker's (`Untagged: …`, `Deleted: …`), since scripts read them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from builder.engine.short_names import local_name
from builder.errors import PybuildError
from builder.image import describe, listing, removal
from builder.image.filters import image_test, parse_filters
from builder.image.sizes import images_in
from builder.image.timestamp import parse_timestamp
from builder.image.tree import LayerNode, layer_tree
from builder.oci.canonical import MAX_DOCUMENT_BYTES, JsonObject
from builder.oci.digest import Digest
from builder.oci.reference import parse_reference, says_tag
from builder.store.containers import Containers
from builder.store.store import Notify, Store, open_store
from builder.transport.layer_index import index_layer


class ListedImage(NamedTuple):
    """One image under one of its names."""

    name: str
    """In full; empty for a dangling image."""
    id: str
    digest: str
    """Of what the name stands for in the store: a manifest or an index."""
    platform: str
    created: str
    """As the config has it: RFC 3339, where it is well-formed."""
    created_ns: int | None
    """Nanoseconds since 1970; None for what is no time."""
    size: int | None
    """Bytes of the files in all layers, each layer once; None when one was never read (builder.image.sizes)."""
    repo_digest: str = ""
    """The digest that it can be pulled by from the repository of its name; empty before it was pulled or pushed."""
    compressed_size: int | None = None
    """Bytes of the layers as registries have them; None before they were first compressed."""
    shared_size: int | None = None
    """Of `size`, what other images have, too."""
    own_size: int | None = None
    containers: int = 0
    """How many containers stand on it."""

    def to_json(self) -> JsonObject:
        """Return what `images --json` says of it."""
        document = self._asdict()
        del document["created_ns"]
        return document


class HistoryStep(NamedTuple):
    """One record of an image's history, and its layer; or a layer without a record."""

    created_by: str
    comment: str
    created: str
    layer: int = 0
    """Counted from 1, base first; 0 where none was made, and then all below is empty."""
    diff_id: str = ""
    size: int | None = 0
    """Bytes of the files in it; None when it was never read."""
    files: int = 0
    entries: int = 0
    """Of the tar, directories and whiteouts included."""
    digest: str = ""
    """Of the layer as the manifest has it."""
    chain_id: str = ""
    """Of the layer and all below it: what has come of the image after this step."""
    compressed_size: int | None = 0
    """Bytes of the layer as registries have it; None before it was compressed."""

    @property
    def created_ns(self) -> int | None:
        """Nanoseconds since 1970; None for what is no time."""
        return parse_timestamp(self.created)

    def to_json(self) -> JsonObject:
        """Return what `history --json` says of it."""
        document = self._asdict()
        if not self.digest:
            del document["digest"]
        return document


class Removal(NamedTuple):
    """The outcome of removing one name or ID. `lines` are docker's; empty when nothing was removed."""

    lines: tuple[str, ...] = ()
    error: PybuildError | None = None


class ImageHistory(NamedTuple):
    """How an image came about, in the order of the Dockerfile."""

    id: str
    steps: tuple[HistoryStep, ...]


def list_images(
    root: str, name: str = "", *, dangling: bool = True, filters: Sequence[str] = (), notify: Notify
) -> tuple[ListedImage, ...]:
    """Return the images of the store at `root`, by name; `dangling` adds those without one, last.

    A `name` without a tag means all its tags; `filters` are words as builder.image.filters has them. Raises StoreError,
    ReferenceFormatError, UsageError.
    """
    parsed = parse_filters(filters)
    with open_store(root, notify=notify) as store:
        _measure_layers(store)
        known = store.repositories.digests()
        containers = Counter(record.image_id for record in Containers(store).walk())
        passes = image_test(store, parsed)
        images = [_listed(image, known, containers) for image in listing.list_images(store) if passes(image)]
    return tuple(image for image in _called(images, name) if image.name or dangling)


def image_tree(root: str, *, notify: Notify) -> list[LayerNode]:
    """Return the images of the store at `root` by the layers that they share. Raises StoreError."""
    with open_store(root, notify=notify) as store:
        _measure_layers(store)
        return layer_tree(store)


def _measure_layers(store: Store) -> None:
    """Read layers that are here and of which nothing is known: another tool put them into the layout.

    What cannot be read keeps an unknown size: `verify` says why.
    """
    known = {record.diff_id for record in store.layers.walk()}
    layers = {
        diff_id: layer
        for image in images_in(store)
        for diff_id, layer in zip(image.config.diff_ids, image.manifest.layers, strict=True)
        if diff_id not in known and os.path.exists(store.blobs.path(layer.digest))
    }
    if layers and os.access(store.root, os.W_OK):
        with store.lease():
            for diff_id, layer in layers.items():
                with suppress(PybuildError):
                    index_layer(store, layer, diff_id)


def _listed(
    image: listing.ListedImage, known: Mapping[tuple[str, str], Digest], containers: Mapping[Digest, int]
) -> ListedImage:
    repository = parse_reference(image.name).name if image.name else ""
    return ListedImage(
        name=image.name,
        id=str(image.id),
        digest=str(image.descriptor.digest),
        platform=str(image.platform),
        created=image.created,
        created_ns=parse_timestamp(image.created),
        size=image.sizes.unpacked,
        repo_digest=known.get((image.id, repository), ""),
        compressed_size=image.sizes.compressed,
        shared_size=image.sizes.shared,
        own_size=image.sizes.own,
        containers=containers[image.id],
    )


def _called(images: Sequence[ListedImage], name: str) -> Iterator[ListedImage]:
    """Yield the images of the name that somebody typed, under any tag when they typed none; all for no name."""
    if not name:
        yield from images
        return
    wanted = parse_reference(name)
    has_tag = says_tag(name)
    for image in images:
        if not image.name:
            continue
        # As docker has it: a name without a tag means all tags here, and `:latest` where an image is wanted.
        if image.name == str(wanted) if has_tag else parse_reference(image.name).name == wanted.name:
            yield image


def describe_images(root: str, names: Sequence[str], *, notify: Notify) -> tuple[JsonObject, ...]:
    """Return everything about each image as JSON, keys as `docker image inspect` has them. Raises StoreError."""
    with open_store(root, notify=notify) as store:
        _measure_layers(store)
        return tuple(describe.describe_image(store, local_name(store, name)) for name in names)


def read_documents(root: str, names: Sequence[str], *, config: bool = False, notify: Notify) -> Iterator[bytes]:
    """Yield the manifest or index of each image, or its config, byte for byte as it is stored. Raises StoreError."""
    with open_store(root, notify=notify) as store:
        for text in names:
            name = local_name(store, text)
            digest = listing.get_image(store, name).id if config else listing.find_descriptor(store, name).digest
            yield store.blobs.read(digest, MAX_DOCUMENT_BYTES)


def image_history(root: str, name: str, *, notify: Notify) -> ImageHistory:
    """Return the history of an image; layers without a record of theirs come last. Raises StoreError."""
    with open_store(root, notify=notify) as store:
        _measure_layers(store)
        image = listing.get_image(store, local_name(store, name))
        return ImageHistory(str(image.id), tuple(HistoryStep(**row) for row in describe.layer_rows(store, image)))


def tag_image(root: str, image: str, names: Sequence[str], *, notify: Notify) -> None:
    """Give an image further names, all or none. Raises StoreError, ReferenceFormatError."""
    with open_store(root, notify=notify) as store, store.lease():
        listing.tag_image(store, local_name(store, image), list(names))


def untag_image(root: str, image: str, names: Sequence[str], *, notify: Notify) -> None:
    """Take names, or all, from an image, which stays. Raises StoreError, ReferenceFormatError."""
    with open_store(root, notify=notify) as store, store.lease():
        listing.untag_image(store, local_name(store, image), [local_name(store, name) for name in names])


def remove_images(root: str, names: Sequence[str], *, force: bool = False, notify: Notify) -> Iterator[Removal]:
    """Remove names, and images that have no name left; yield what came of each, going on after a failure.

    With `force`, an ID may have several names, and one that is missing is no error. Raises StoreError when there is no
    store to be had.
    """
    with open_store(root, notify=notify) as store:
        for name in names:
            # Each by itself, as docker does: a name that is missing does not keep the others.
            yield _remove(store, name, force)


def _remove(store: Store, name: str, force: bool) -> Removal:
    try:
        return Removal(tuple(removal.remove_image(store, local_name(store, name), force=force)))
    except PybuildError as error:
        # docker rmi -f is silent of what isn't there, and of nothing else.
        is_missing = error.message.startswith("no such image")
        return Removal(error=None if force and is_missing else error)
