"""The images of a store, for people: listed, found by what people type, tagged.

In: a store. Out: values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from builder.errors import ImageError, PybuildError, ReferenceFormatError, StoreError
from builder.image.by_id import children_of, find_by_id
from builder.image.image import Image, load_image
from builder.image.sizes import ImageSizes, images_in, layer_sizes, size_of_image, sizes_of_images
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.platform import Platform, host_platform
from builder.oci.reference import parse_reference
from builder.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """One image under one name. `name` is full, or empty for a dangling image."""

    name: str
    descriptor: Descriptor
    """What the name stands for: a manifest or an index."""
    id: Digest
    platform: Platform
    created: str
    sizes: ImageSizes
    labels: Mapping[str, str]

    @property
    def size(self) -> int | None:
        """Bytes of the files in all layers; None where a layer was never read."""
        return self.sizes.unpacked


def list_images(store: Store) -> list[ListedImage]:
    """Return all images, sorted by name, dangling ones last. Unreadable ones are left out: `verify` reports them."""
    named = [(name, descriptor) for name, descriptor in store.names.items()]
    return [*_listed(store, [*named, *(("", entry) for entry in store.names.dangling())])]


def get_image(store: Store, text: str) -> Image:
    """Return the image that `text` means: an image ID, a unique beginning of one, a digest, or a name.

    Raises StoreError when there is none or several.
    """
    return load_local(store, find_descriptor(store, text))


def find_descriptor(store: Store, text: str) -> Descriptor:
    """As `get_image`, but return what the name stands for, which may be an index."""
    # Names first: `cafe` may be one, and the beginning of an ID as well.
    try:
        if found := store.names.find(parse_reference(text)):
            return found
    except ReferenceFormatError:
        pass  # an image ID is no name
    if found := find_by_id(store, text):
        return found
    if "@" in text and (found := find_by_id(store, text.partition("@")[2])):
        return found
    raise StoreError(f"no such image: {text}", hint="`pybuild images` lists those there are.")


def load_local(store: Store, descriptor: Descriptor) -> Image:
    """Load an image; from an index, the one for this machine, or else the first that is here."""
    try:
        return load_image(store.blobs, descriptor, host_platform())
    except (ImageError, StoreError):
        for child in children_of(store, descriptor):
            if store.blobs.has(child.digest):
                return load_image(store.blobs, child)
        raise


def tag_image(store: Store, text: str, names: list[str]) -> None:
    """Give the image that `text` means further names. Raises StoreError, ReferenceFormatError."""
    descriptor = find_descriptor(store, text)
    references = [parse_reference(name) for name in names]
    if pinned := next((reference for reference in references if reference.digest), None):
        raise ReferenceFormatError(f"{pinned} has a digest; a tag is a name without one")
    store.names.set_all((reference, descriptor) for reference in references)


def untag_image(store: Store, text: str, names: list[str]) -> None:
    """Take these names from the image that `text` means, or all that it has; the image stays. Raises StoreError.

    With podman's rule: each name must be one of that image, and nothing is changed when one isn't.
    """
    descriptor = find_descriptor(store, text)
    known = store.names.names_of(descriptor.digest)
    wanted = [str(parse_reference(name)) for name in names] or known
    if strange := next((name for name in wanted if name not in known), None):
        raise StoreError(f"{strange}: tag not known", hint=f"The names of {text} are {', '.join(known) or 'none'}.")
    for name in wanted:
        store.names.delete(name, keep=True)


def _listed(store: Store, entries: list[tuple[str, Descriptor]]) -> Iterator[ListedImage]:
    known = layer_sizes(store)
    sizes = sizes_of_images(images_in(store), known)
    for name, descriptor in entries:
        try:
            image = load_local(store, descriptor)
        except PybuildError:
            continue
        yield ListedImage(
            name=name,
            descriptor=descriptor,
            id=image.id,
            platform=image.config.platform,
            created=image.config.created,
            sizes=sizes.get(image.id) or size_of_image(image, known),
            labels=dict(image.config.runtime.labels),
        )
