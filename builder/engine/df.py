"""The verb that says what takes room on the disk, what keeps it, and what would free it.

What RUN made belongs to subordinate ids of an ordinary user: this process moves to the namespace of builds to measure
it, so it must have one thread. Everything is in bytes on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import NamedTuple

from builder.engine.short_names import local_name
from builder.image.disk_contents import DiskContents, read_contents
from builder.image.disk_usage import UsageRow, freed_without, usage_rows
from builder.image.keepers import KeptBlob, step_name, step_words, why_kept
from builder.image.listing import ListedImage, list_images
from builder.image.sizes import images_in
from builder.oci.digest import Digest
from builder.oci.reference import reference_or_none
from builder.sandbox.namespace import enter_for_files
from builder.store.container_record import ContainerRecord
from builder.store.prune_plan import PrunePlan, PrunePolicy, disk_usage, what_to_prune
from builder.store.store import Notify, Store, open_store


class ImageUsage(NamedTuple):
    """One image of the list; sizes are those of `images`, but for `freed`."""

    id: str
    names: tuple[str, ...]
    size: int | None
    shared: int | None
    own: int | None
    containers: int
    freed: int
    """Bytes on the disk that `rmi`, and `prune` after it, free when only this image goes."""


class ContainerUsage(NamedTuple):
    id: str
    name: str
    image: str
    state: str
    bytes: int


class CacheUsage(NamedTuple):
    """One cache record. `used` is in seconds since 1970, `bytes` those of its layer, `shared` whether an image or
    another record has that layer, too.
    """

    step: str
    words: str
    layer: str
    bytes: int
    shared: bool
    used: int


class CopyUsage(NamedTuple):
    layer: str
    form: str
    bytes: int


class DiskUsage(NamedTuple):
    """All that a store takes."""

    rows: tuple[UsageRow, ...]
    images: tuple[ImageUsage, ...]
    containers: tuple[ContainerUsage, ...]
    cache: tuple[CacheUsage, ...]
    mounts: tuple[tuple[str, int], ...]
    copies: tuple[CopyUsage, ...]


class FreeingStep(NamedTuple):
    """A command, what it frees beyond those before it, and what is lost by it."""

    command: str
    bytes: int
    lost: str


def disk_usage_of(root: str, *, notify: Notify) -> DiskUsage:
    """Return what takes room in the store at `root`. Raises StoreError."""
    enter_for_files()
    with open_store(root, notify=notify) as store:
        contents = read_contents(store)
        return DiskUsage(
            rows=usage_rows(contents, images_in(store)),
            images=tuple(_images(store, contents)),
            containers=tuple(
                ContainerUsage(record.id, record.name, record.image, record.state, size)
                for record, size in contents.containers
            ),
            cache=tuple(_cache(store, contents)),
            mounts=tuple(contents.cache_mounts.items()),
            copies=tuple(CopyUsage(copy.layer, copy.form, copy.bytes) for copy in contents.copies),
        )


def _images(store: Store, contents: DiskContents) -> Iterator[ImageUsage]:
    names: dict[Digest, list[str]] = {}
    listed = {}
    for image in list_images(store):
        listed[image.descriptor.digest] = image
        reference = reference_or_none(image.name)
        names.setdefault(image.descriptor.digest, []).append(reference.familiar if reference else image.name)
    nothing = freed_without(contents)
    for digest, image in listed.items():
        yield ImageUsage(
            id=image.id,
            names=tuple(filter(None, names[digest])),
            size=image.sizes.unpacked,
            shared=image.sizes.shared,
            own=image.sizes.own,
            containers=sum(record.image_id == image.id for record, _ in contents.containers),
            freed=freed_without(contents, images=frozenset([digest])) - nothing,
        )


def _cache(store: Store, contents: DiskContents) -> Iterator[CacheUsage]:
    blobs = [record.blob for record in contents.records]
    of_images = contents.image_blobs
    for record in contents.records:
        yield CacheUsage(
            step=step_name(record),
            words=step_words(store, record),
            layer=str(record.diff_id or ""),
            bytes=contents.blobs.get(record.blob, 0) if record.blob else 0,
            shared=record.blob in of_images or blobs.count(record.blob) > 1,
            used=record.used,
        )


def why(root: str, text: str, *, notify: Notify) -> tuple[KeptBlob, ...]:
    """Return what keeps the blobs of an image, or a blob, that `text` means. Raises StoreError."""
    enter_for_files()
    with open_store(root, notify=notify) as store:
        return why_kept(store, read_contents(store), local_name(store, text))


def how_to_free(root: str, wanted: int, *, notify: Notify) -> tuple[FreeingStep, ...]:
    """Return commands that free `wanted` bytes of the disk, in this order, the cheapest to lose first.

    All that there are, where they are not enough. Raises StoreError.
    """
    enter_for_files()
    with open_store(root, notify=notify) as store:
        steps = []
        rest = wanted
        for step in _offers(store, read_contents(store), wanted):
            if rest <= 0:
                break
            if step.bytes > 0:
                steps.append(step)
                rest -= step.bytes
        return tuple(steps)


def _offers(store: Store, contents: DiskContents, wanted: int) -> Iterator[FreeingStep]:
    """Yield what may go, each with what it frees after those before it."""
    done = _bytes_of(contents, what_to_prune(store, PrunePolicy(), contents.used))
    yield FreeingStep("pybuild prune", done, "images without a name, leftovers, what can be made again at once")
    blobs = sum(size for digest, size in store.blobs.walk() if digest in contents.image_blobs | contents.cache_blobs)
    limit = max(0, blobs - (wanted - done))
    part = _bytes_of(contents, what_to_prune(store, PrunePolicy(keep_bytes=limit), contents.used))
    if part >= wanted:
        yield FreeingStep(f"pybuild prune --keep-storage {limit}", part - done, "the cached steps unused for longest")
        done = part
    policy = PrunePolicy(unused_for=0.0, cache_mounts=True)
    every = _bytes_of(contents, what_to_prune(store, policy, contents.used))
    yield FreeingStep("pybuild prune -a", every - done, "all cached steps, and the cache mounts")
    yield from _images_and_containers(store, contents)


def _images_and_containers(store: Store, contents: DiskContents) -> Iterator[FreeingStep]:
    """Yield images without a container, those that can be pulled again first; then what has ended, and its images."""
    running = {record.manifest.digest for record, _ in contents.containers if record.state == "running"}
    ended = [record for record, _ in contents.containers if record.state != "running"]
    busy = {digest for digest, below in contents.below.items() if below & running}
    held = {digest for digest, below in contents.below.items() if below & {one.manifest.digest for one in ended}}
    gone = {entry.digest for entry in store.names.dangling()} - busy - held
    without: set[str] = set()

    def left() -> int:
        return freed_without(contents, images=frozenset(gone), containers=frozenset(without), cache=True)

    done = left()
    free = _by_loss(store, contents, held | busy, gone)
    bound = _by_loss(store, contents, contents.below.keys() - held | busy, gone)
    things: list[ListedImage | ContainerRecord] = [*free, *ended, *bound]
    for thing in things:
        if isinstance(thing, ContainerRecord):
            without.add(thing.id)
            command, lost = f"pybuild rm {thing.name}", "what was changed in that container"
        else:
            gone.add(thing.descriptor.digest)
            names = [_familiar(name) for name in store.names.names_of(thing.descriptor.digest)]
            command = f"pybuild rmi {' '.join(names)} && pybuild prune"
            again = "can be pulled again" if _is_pulled(store, thing) else "was built here"
            lost = f"{names[0]}: an image that {again}"
        now = left()
        yield FreeingStep(command, now - done, lost)
        done = now


def _by_loss(store: Store, contents: DiskContents, but: Set[Digest], gone: set[Digest]) -> list[ListedImage]:
    """Return the named images, but for these: what can be pulled again first, then what frees most."""
    images = {one.descriptor.digest: one for one in list_images(store) if one.name and one.descriptor.digest not in but}
    alone = {digest: freed_without(contents, images=frozenset({*gone, digest}), cache=True) for digest in images}
    return sorted(
        images.values(), key=lambda one: (not _is_pulled(store, one), -alone[one.descriptor.digest], one.name)
    )


def _is_pulled(store: Store, image: ListedImage) -> bool:
    return bool(store.repositories.digests_of(image.id))


def _bytes_of(contents: DiskContents, plan: PrunePlan) -> int:
    seen: set[tuple[int, int]] = set()
    return contents.size(plan.all_blobs) + sum(disk_usage(path, seen) for path in plan.paths)


def _familiar(name: str) -> str:
    reference = reference_or_none(name)
    return reference.familiar if reference else name
