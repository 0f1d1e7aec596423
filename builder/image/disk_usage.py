"""How much of the disk each kind of thing takes, and each image: docker's `system df`, with working copies apart.

In: the contents of a store. Out: rows that add up to what the store takes, in bytes on the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from builder.image.disk_contents import TREE, DiskContents
from builder.image.image import Image
from builder.oci.digest import Digest


class UsageRow(NamedTuple):
    """One kind. `active` are those that something running uses, or of images those with a container."""

    kind: str
    total: int
    active: int
    bytes: int
    reclaimable: int
    """Bytes that are free once all goes, in every row, that is not active."""


def usage_rows(contents: DiskContents, images: Sequence[Image]) -> tuple[UsageRow, ...]:
    """Return a row for each kind; no byte is in two of them."""
    used = contents.used
    of_images, of_cache = contents.image_blobs, contents.cache_blobs - contents.image_blobs
    under = {record.image_id for record, _ in contents.containers}
    running = [size for record, size in contents.containers if record.state == "running"]
    active_cache = [record for record in contents.records if record.diff_id in used or record.blob in used]
    copies, mounts = contents.copies, contents.cache_mounts
    active_mounts = [name for name in mounts if f"mounts/{name}" in used]
    active_copies = [copy for copy in copies if contents.is_used(copy)]
    return (
        UsageRow(
            "Images",
            len(images),
            sum(image.id in under for image in images),
            contents.size(of_images),
            contents.size(_free(of_images - contents.container_blobs, used)),
        ),
        _row("Containers", [size for _, size in contents.containers], running),
        UsageRow(
            "Build Cache",
            len(contents.records),
            len(active_cache),
            contents.size(of_cache),
            contents.size(_free(of_cache, used)),
        ),
        _row("Cache Mounts", list(mounts.values()), [mounts[name] for name in active_mounts]),
        _row("Working Copies", [copy.bytes for copy in copies], [copy.bytes for copy in active_copies]),
        _leftovers(contents),
        UsageRow("Bookkeeping", 1, 1, contents.bookkeeping, 0),
    )


def _row(kind: str, sizes: Sequence[int], active: Sequence[int]) -> UsageRow:
    return UsageRow(kind, len(sizes), len(active), sum(sizes), sum(sizes) - sum(active))


def _leftovers(contents: DiskContents) -> UsageRow:
    stray = contents.stray_blobs
    size = contents.size(stray)
    free = contents.size(_free(stray, contents.used)) + (0 if contents.builds else contents.leftovers)
    return UsageRow("Leftovers", len(stray), len(stray & contents.used), size + contents.leftovers, free)


def _free(blobs: Iterable[Digest], used: frozenset[str]) -> list[Digest]:
    return [digest for digest in blobs if digest not in used]


def freed_without(
    contents: DiskContents,
    *,
    images: frozenset[Digest] = frozenset(),
    containers: frozenset[str] = frozenset(),
    cache: bool = False,
) -> int:
    """Return what is free when these entries of index.json (by digest), containers (by ID) and perhaps all cache are
    gone, and what nothing leads to then, working copies included.
    """
    entries = [entry.digest for entry in contents.entries if entry.digest not in images]
    needed = {digest for entry in entries for digest in contents.below[entry]}
    size = 0
    for record, own in contents.containers:
        if record.id in containers:
            size += own
        else:
            needed |= contents.below[record.manifest.digest]
    if not cache:
        needed |= {record.blob for record in contents.records if record.blob}
    gone = contents.blobs.keys() - needed - contents.used
    return size + contents.size(gone) + sum(_trees_without(contents, needed))


def _trees_without(contents: DiskContents, needed: set[Digest]) -> Iterator[int]:
    """Yield the size of each unpacked tree that is of no needed layer, and used by nobody."""
    layers = {diff_id.encoded for diff_id, blob in contents.layers.items() if blob in needed}
    for copy in contents.copies:
        if copy.form == TREE and copy.layer not in layers and copy.lease not in contents.used:
            yield copy.bytes
