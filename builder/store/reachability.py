"""Which blobs are needed: everything that names, containers and cache records lead to. Reads, and tolerates gaps.

index.json → manifest or index → manifests, config, layers     (all of it is also kept if only partly here)
cache record → layer blob
container → manifest → …                                       (its name may be gone)
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from builder.errors import BlobNotFound, PybuildError
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor, descriptor_from_json
from builder.oci.digest import Digest, is_foreign
from builder.oci.media_type import INDEX_TYPES, MANIFEST_TYPES
from builder.store.containers import Containers
from builder.store.store import Store


def reachable_from(store: Store, roots: Iterable[Descriptor]) -> set[Digest]:
    """Return the digests of everything below `roots`, themselves included, whether or not it is here."""
    seen: set[Digest] = set()
    waiting = list(roots)
    while waiting:
        descriptor = waiting.pop()
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        if descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES:
            waiting.extend(references_of(store, descriptor))
    return seen


def references_of(store: Store, descriptor: Descriptor) -> list[Descriptor]:
    """Return what a manifest or index refers to; nothing when it is not here or unreadable."""
    try:
        document = json.loads(store.blobs.read_unchecked(descriptor.digest, MAX_DOCUMENT_BYTES))
        members = [*(document.get("manifests") or ()), *(document.get("layers") or ())]
        members += [document[key] for key in ("config", "subject") if isinstance(document.get(key), dict)]
        return [
            descriptor_from_json(member, f"a member of {descriptor.digest}")
            for member in members
            if not is_foreign(member.get("digest"))  # of an index: its other images are needed nevertheless
        ]
    except BlobNotFound:
        return []
    except (PybuildError, ValueError, TypeError, AttributeError, RecursionError):
        return []  # `verify` reports it; pruning goes on


def container_images(store: Store) -> list[Descriptor]:
    """Return the manifests that containers were made from."""
    return [record.manifest for record in Containers(store).walk()]


def needed_blobs(store: Store) -> set[Digest]:
    """Return the digests of all blobs that a name, a container or a cache record leads to."""
    needed = reachable_from(store, [*store.names.entries(), *container_images(store)])
    needed |= {
        Digest(row[0])
        for row in store.database.rows("SELECT layer.digest FROM record JOIN layer ON layer.diff_id = record.diff_id")
    }
    return needed
