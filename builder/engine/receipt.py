"""Receipts: what a finished build made, kept under everything it was asked, so that asking again needs one look.

A receipt holds as long as its context has the same signature, its base images' names stand for the same images (of an
image layout: its index.json is the same), short names are taken for the same ones, and every blob of the result is
still here. Then the build is over before the language, the plan or any layer is looked at: the steps are shown as
cached, the names are given, that is all. Whatever is not certain (an unsettled file, a symbolic link as a source, a
remote file, a folder as a named context) gets no receipt and goes the long way, which is exact by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from builder import __version__
from builder.context.dockerfile_file import find_dockerfile
from builder.context.ignore_file import find_ignore
from builder.context.signature import context_signature
from builder.engine.alias_files import alias_files
from builder.engine.build_record import BuildRecord, find_record
from builder.errors import PybuildError, ReferenceFormatError
from builder.linux.single_id import one_id_only
from builder.oci.canonical import MAX_DOCUMENT_BYTES, encode
from builder.oci.descriptor import descriptor_from_json
from builder.oci.digest import Digest, digest_of
from builder.oci.platform import host_platform
from builder.oci.reference import LAYOUT_SCHEME, parse_layout_reference
from builder.solve.known_isolation import takes_chroot_results
from builder.store import formats
from builder.store.checked import open_regular

_OCI, _DIR = "oci:", "dir:"

if TYPE_CHECKING:
    from builder.context.ignore import IgnorePatterns
    from builder.engine.request import BuildRequest
    from builder.oci.descriptor import Descriptor
    from builder.store.store import Store


class Receipt(NamedTuple):
    record: Digest
    """The record of the build that was made (build_record.py)."""
    descriptor: Descriptor
    bases: tuple[tuple[str, str], ...]
    """(name, digest of what it stood for) of every base image."""
    blobs: tuple[tuple[str, int], ...]
    """Digests and sizes of the manifests, configs and layers of the result."""
    roots: tuple[str, ...]
    """The paths of the context that the build reads; empty when it reads none."""
    signature: str
    last: tuple[tuple[str, str], ...]
    """(key of a document, document) with the keys of the steps, one for each image (solve/reason/last_build.py)."""
    absent: tuple[str, ...] = ()
    """Names that no image had: what they were taken for was an alias of registries.conf."""
    in_chroot: bool = False
    """A RUN of it was not isolated."""


class ReceiptKey(NamedTuple):
    """The key of a build's receipt; the receipt, if there is one that holds, and the record that it points at."""

    key: Digest
    ignore: IgnorePatterns | None
    receipt: Receipt | None = None
    record: BuildRecord | None = None


def look_up(request: BuildRequest, store: Store) -> ReceiptKey | None:
    """Look for the receipt of a build from a local directory; None for a build that gets none.

    Raises what reading the Dockerfile and the ignore file raises.
    """
    asked = _asked(request)
    if asked is None:
        return None
    receipt = find_receipt(store, asked.key, request.context, asked.ignore)
    if receipt is not None and receipt.in_chroot and not takes_chroot_results(request.isolation, store):
        receipt = None
    # A receipt has nothing to show by itself; records go when nobody has built the same for a month.
    record = find_record(store, receipt.record) if receipt is not None else None
    return asked._replace(receipt=receipt, record=record) if record is not None else asked


def is_current(request: BuildRequest, asked: ReceiptKey) -> bool:
    """Say whether the Dockerfile, its ignore file and image layouts are still what they were when asked."""
    again = _asked(request)
    return again is not None and again.key == asked.key


def _asked(request: BuildRequest) -> ReceiptKey | None:
    if not _may_have_receipt(request):
        return None
    layouts = _layout_digests(request)
    if layouts is None:
        return None
    dockerfile = find_dockerfile(request.context, request.dockerfile)
    found = find_ignore(request.context, dockerfile)
    if found.passed_over:
        return None  # the warning is given by who opens the context
    ignore = found.patterns or None
    key = receipt_key(request, dockerfile.text, ignore, layouts, one_id_only())
    return ReceiptKey(key, ignore)


def _may_have_receipt(request: BuildRequest) -> bool:
    """Say whether receipts are kept of such a build."""
    # All others ask for more than an answer, or stand on what no signature covers: a registry, an output, standard
    # input, a directory beside the context.
    return all(value.startswith((LAYOUT_SCHEME, _OCI, _DIR)) for value in request.build_contexts.values()) and not (
        request.pull
        or request.no_cache
        or request.no_cache_filter
        or request.timestamp == "git"
        or request.outputs
        or request.annotations
        or request.dockerfile == "-"
        or not os.path.isdir(request.context)
    )


def _layout_digests(request: BuildRequest) -> list[Digest] | None:
    """Return the digest of what leads to each image that is a context and a directory; None when one can't be read."""
    digests = []
    for value in request.build_contexts.values():
        try:
            with open_regular(_top_file(value)) as file:
                data = file.read(MAX_DOCUMENT_BYTES + 1)
        except (OSError, ReferenceFormatError):
            return None
        if len(data) > MAX_DOCUMENT_BYTES:
            return None
        digests.append(digest_of(data))
    return digests


def _top_file(value: str) -> str:
    """Return the path of the file that all else of an image layout, or of a `dir:`, follows from."""
    if value.startswith(_DIR):
        return f"{value.removeprefix(_DIR)}/manifest.json"
    is_oci = value.startswith(_OCI)
    path = value.removeprefix(_OCI).partition(":")[0] if is_oci else parse_layout_reference(value)[0]
    return f"{path}/index.json"


def receipt_key(
    request: BuildRequest,
    dockerfile: bytes,
    ignore: IgnorePatterns | None,
    layouts: list[Digest],
    single_id: bool,
) -> Digest:
    """Return the key of a build's receipt: all that was asked for, but names, values of secrets, and displays."""
    # Without --isolation: whether a receipt may answer is asked of `in_chroot`. Without --tag: names are given anew.
    return digest_of(
        encode(
            {
                "receipt": formats.RECEIPT,
                "version": __version__,
                "context": os.path.realpath(request.context),
                "file": request.dockerfile,
                "dockerfile": digest_of(dockerfile),
                "ignore": [rule.text for rule in ignore.rules] if ignore else [],
                "plan": request.plan_inputs(),
                "host": str(host_platform()),
                "layouts": layouts,
                "timestamp": request.timestamp,
                "run": request.run.key_document(),
                "allow": sorted(request.allow),
                "secrets": bool(request.secrets),  # with them more is said of layers
                "single_id": single_id,
                "aliases": alias_files(),
            }
        )
    )


def find_receipt(store: Store, key: Digest, directory: str, ignore: IgnorePatterns | None) -> Receipt | None:
    """Return the receipt under `key` if it still holds for the context `directory`."""
    data = store.documents.find(key)
    if data is None:
        return None
    try:
        receipt = _read(data)
    except (ValueError, KeyError, TypeError, PybuildError):
        return None  # damaged: the long way makes it anew
    # From the cheapest question to the dearest: the context, asked last, may have a hundred thousand files. Blobs are
    # pinned before they are looked for, so that prune has either read that or is done (store/leases.py).
    store.leases.pin(*(digest for digest, _ in receipt.blobs))
    if not all(store.blobs.is_whole(Digest(digest), size) for digest, size in receipt.blobs):
        return None
    for name, digest in receipt.bases:
        found = store.names.find(name)
        if found is None or found.digest != digest:
            return None
    if any(store.names.find(name) is not None for name in receipt.absent):
        return None
    if receipt.roots and context_signature(directory, receipt.roots, ignore, store.root) != receipt.signature:
        return None
    return receipt


def keep_receipt(store: Store, key: Digest, receipt: Receipt) -> None:
    """Keep a receipt; nothing is written when the same one is there."""
    document = receipt._asdict() | {"descriptor": receipt.descriptor.to_json()}
    store.documents.put(key, json.dumps(document, separators=(",", ":")).encode("ascii"))


def _read(data: bytes) -> Receipt:
    document = json.loads(data)
    return Receipt(
        record=Digest(document["record"]),
        descriptor=descriptor_from_json(document["descriptor"], "a receipt"),
        bases=tuple((name, digest) for name, digest in document["bases"]),
        blobs=tuple((digest, size) for digest, size in document["blobs"]),
        roots=tuple(document["roots"]),
        signature=document["signature"],
        last=tuple((key, text) for key, text in document["last"]),
        absent=tuple(document["absent"]),
        in_chroot=document["in_chroot"],
    )


def literal_prefix(path: str) -> str:
    """Return the part of a COPY source that has no wildcards, cleaned; "" when it may be anything."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":  # where that ends is not worth working out: all of the context counts
            return ""
        if any(mark in name for mark in "*?[\\"):
            break
        if name not in ("", "."):
            names.append(name)
    return "/".join(names)


def outermost(roots: Iterable[str]) -> tuple[str, ...]:
    """Return roots without those that lie below another."""
    kept: list[str] = []
    for root in sorted(set(roots)):
        if root == "":
            return ("",)
        if not any(root.startswith(f"{outer}/") for outer in kept):
            kept.append(root)
    return tuple(kept)
