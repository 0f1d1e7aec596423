"""Checks a store: every blob, name and record (fsck). Reads everything, changes nothing.

In: a store. Out: findings, sorted; none when all is well. A finding is an error when something that is needed is
missing or wrong, else a remark: layers of a base image that were never fetched, rubbish that `prune` would take.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from builder.errors import PybuildError, StoreError, counted
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.config import parse_config
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, short_digest
from builder.oci.manifest import Index, Manifest, is_image, parse_manifest
from builder.oci.media_type import INDEX_TYPES, MANIFEST_TYPES
from builder.store.checked import removal_hint
from builder.store.containers import Containers
from builder.store.layers import Reader
from builder.store.reachability import container_images, needed_blobs
from builder.store.store import Store

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that is not as it should be. `subject` is a digest, a name, or a path."""

    subject: str
    problem: str
    is_error: bool = True
    hint: str = ""
    """What heals it, where anything does."""

    def __str__(self) -> str:
        return f"{self.subject} {self.problem}"


def verify_store(
    store: Store, open_decompressed: Callable[[Reader], Reader] | None = None, *, remarks: bool = False
) -> tuple[Finding, ...]:
    """Check the whole store; return its errors, with `remarks` the harmless findings too.

    With `open_decompressed` (builder.layer.compression), compressed layers are unpacked to check their diff IDs, too.
    """
    return tuple(finding for finding in _verify(store, open_decompressed) if finding.is_error or remarks)


def _verify(store: Store, open_decompressed: Callable[[Reader], Reader] | None) -> tuple[Finding, ...]:
    damaged = [*_check_databases(store)]
    findings = {*_check_blobs(store), *damaged}
    if any(finding.subject == store.database.path for finding in damaged):
        return tuple(sorted(findings))  # to read it would set it aside
    try:
        roots = [*store.names.entries(), *container_images(store)]
    except StoreError as error:
        return (*sorted(findings), Finding(store.names.path, error.message))
    seen: set[Digest] = set()
    for entry in roots:
        findings |= {*_check_image(store, entry, seen)}
    findings |= {*_check_layers(store, open_decompressed)}
    findings |= {*_check_records(store)}
    findings |= {Finding(f"container {short_digest(name)}", reason) for name, reason in Containers(store).damaged()}
    needed = needed_blobs(store)
    stray = sum(size for digest, size in store.blobs.walk() if digest not in needed)
    if stray:
        findings.add(Finding("blobs", f"in no image and no cache record: {counted(stray, 'byte')}", is_error=False))
    return tuple(sorted(findings))


def _check_blobs(store: Store) -> Iterator[Finding]:
    for digest, _ in store.blobs.walk():
        hashing = hashlib.new(digest.algorithm)
        with store.blobs.open(digest) as file:
            while block := file.read(_BLOCK_BYTES):
                hashing.update(block)
        if hashing.hexdigest() != digest.encoded:
            actual = f"{digest.algorithm}:{hashing.hexdigest()}"
            yield Finding(
                digest, f"has other bytes: their digest is {actual}", hint=removal_hint(store.blobs.path(digest))
            )


def _check_image(store: Store, descriptor: Descriptor, seen: set[Digest]) -> Iterator[Finding]:
    if descriptor.digest in seen:
        return
    seen.add(descriptor.digest)
    if not store.blobs.has(descriptor.digest):
        yield Finding(descriptor.digest, "is named by index.json, but not there")
        return
    yield from _check_size(store, descriptor)
    if descriptor.media_type not in INDEX_TYPES | MANIFEST_TYPES:
        return
    try:
        data = store.blobs.read(descriptor.digest, MAX_DOCUMENT_BYTES)
        document = parse_manifest(data, descriptor.media_type, f"manifest {descriptor.digest}")
        if isinstance(document, Index):
            for child in document.manifests:
                if store.blobs.has(child.digest):  # of an index that was pulled, only one platform is usually here
                    yield from _check_image(store, child, seen)
        else:
            yield from _check_manifest(store, descriptor.digest, document)
    except PybuildError as error:
        yield Finding(descriptor.digest, error.message)


def _check_manifest(store: Store, digest: Digest, manifest: Manifest) -> Iterator[Finding]:
    was_pulled = store.origins.find(digest) is not None
    for blob in (manifest.config, *manifest.layers):
        if store.blobs.has(blob.digest):
            yield from _check_size(store, blob)
        else:
            is_layer = blob is not manifest.config
            yield Finding(blob.digest, f"is missing; {digest} needs it", is_error=not (was_pulled and is_layer))
    if is_image(manifest) and store.blobs.has(manifest.config.digest):
        what = f"config {manifest.config.digest}"
        config = parse_config(store.blobs.read(manifest.config.digest, MAX_DOCUMENT_BYTES), what)
        if len(config.diff_ids) != len(manifest.layers):
            yield Finding(
                digest, f"has {counted(len(manifest.layers), 'layer')}, but {what} names {len(config.diff_ids)}"
            )
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=False):
            known = store.layers.find_diff_id(layer.digest)
            if known is not None and known != diff_id:
                yield Finding(layer.digest, f"unpacks to {known}, but {what} says {diff_id}")


def _check_size(store: Store, descriptor: Descriptor) -> Iterator[Finding]:
    size = store.blobs.size(descriptor.digest)
    if size != descriptor.size:
        yield Finding(descriptor.digest, f"is {counted(size, 'byte')} long; its descriptor says {descriptor.size}")


def _check_layers(store: Store, open_decompressed: Callable[[Reader], Reader] | None) -> Iterator[Finding]:
    for record in store.layers.walk():
        digest, diff_id = record.descriptor.digest, record.diff_id
        if not store.blobs.has(digest):
            yield Finding(digest, "is known as a layer, but not there", is_error=False)
            continue
        yield from _check_size(store, record.descriptor)
        if not os.path.exists(store.layers.index_path(diff_id)):
            yield Finding(diff_id, "has no table of contents; it will be made again", is_error=False)
        if digest != diff_id and open_decompressed is not None:
            try:
                actual = _unpacked_digest(store, digest, open_decompressed)
            except PybuildError as error:
                yield Finding(digest, error.message)
                continue
            if actual != diff_id:
                yield Finding(digest, f"unpacks to {actual}, not to {diff_id}")


def _unpacked_digest(store: Store, digest: Digest, open_decompressed: Callable[[Reader], Reader]) -> str:
    hashing = hashlib.sha256()
    with store.blobs.open(digest) as file:
        stream = open_decompressed(file)
        while block := stream.read(_BLOCK_BYTES):
            hashing.update(block)
    return f"sha256:{hashing.hexdigest()}"


def _check_records(store: Store) -> Iterator[Finding]:
    known = {record.diff_id for record in store.layers.walk()}
    for key, preimage, diff_id in store.database.walk("SELECT key, preimage, diff_id FROM record ORDER BY key"):
        actual = f"sha256:{hashlib.sha256(preimage).hexdigest()}"
        if actual != key:
            yield Finding(key, f"is a cache record whose preimage has the digest {actual}")
        try:
            json.loads(preimage)
        except ValueError:
            yield Finding(key, "is a cache record whose preimage is not JSON")
        if diff_id is not None and diff_id not in known:
            yield Finding(key, f"is a cache record of layer {diff_id}, of which nothing is known", is_error=False)


def _check_databases(store: Store) -> Iterator[Finding]:
    for database in (store.database, store.contexts, store.explanations, store.known):
        problem = database.problem()
        if problem:
            yield Finding(
                database.path, f"is damaged: {problem}",
                hint=f"The next build makes it anew; only cached results are lost. Or: rm '{database.path}'",
            )  # fmt: skip
