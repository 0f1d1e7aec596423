"""Receipts: what a finished build made, kept under everything it was asked, so that asking again needs one look.

A receipt holds as long as its context has the same signature, its base images' names stand for the same images, and
every blob of the result is still here. Then the build is over before the language, the plan or any layer is looked at:
the steps are shown as cached, the names are given, that is all. Whatever is not certain (an unsettled file, a symbolic
link as a source, a remote file, a named context) gets no receipt and goes the long way, which is exact by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from builder import __version__
from builder.oci.canonical import encode
from builder.oci.descriptor import descriptor_from_json
from builder.oci.digest import Digest, digest_of
from builder.result import ImageReport, StepReport
from builder.single_id import one_id_only

if TYPE_CHECKING:
    from builder.context.ignore import IgnorePatterns
    from builder.oci.descriptor import Descriptor
    from builder.request import BuildRequest
    from builder.store.store import Store

FORMAT = 1


class KeptWarning(NamedTuple):
    """A warning as it is kept: `place` is (file, line, column, end line, end column), or None."""

    rule: str
    message: str
    place: list[Any] | None


class Receipt(NamedTuple):
    images: tuple[ImageReport, ...]
    descriptor: Descriptor
    target: str
    bases: tuple[tuple[str, str], ...]
    """(name, digest of what it stood for) of every base image."""
    blobs: tuple[str, ...]
    """Manifests, configs and layers of the result."""
    roots: tuple[str, ...]
    """What of the context is read; empty when nothing is."""
    signature: str
    warnings: tuple[KeptWarning, ...]


class Asked(NamedTuple):
    """What a build's receipt is kept under, and the one that holds, if any."""

    key: Digest
    ignore: IgnorePatterns | None
    receipt: Receipt | None


def ask(request: BuildRequest, store: Store) -> Asked | None:
    """Look for the receipt of a build from a local directory; None for a build from elsewhere.

    Raises what reading the Dockerfile and the ignore file raises.
    """
    if request.dockerfile == "-" or not os.path.isdir(request.context):
        return None
    from builder.context.dockerfile_file import find_dockerfile, find_ignore

    dockerfile = find_dockerfile(request.context, request.dockerfile)
    ignore = find_ignore(request.context, dockerfile) or None
    key = receipt_key(request, dockerfile.text, ignore, one_id_only())
    return Asked(key, ignore, find_receipt(store, key, request.context, ignore))


def all_cached(receipt: Receipt) -> Receipt:
    """Return the receipt as it will be shown: every step cached."""
    images = tuple(
        image._replace(steps=tuple(step._replace(cached=True, reason="", seconds=0.0) for step in image.steps))
        for image in receipt.images
    )
    return receipt._replace(images=images)


def may_have_receipt(request: BuildRequest) -> bool:
    """Say whether a build is of the kind that receipts are kept of."""
    return not (
        request.pull
        or request.no_cache
        or request.no_cache_filter
        or request.build_contexts
        or request.timestamp == "git"
        or request.outputs
    )


def receipt_key(request: BuildRequest, dockerfile: bytes, ignore: IgnorePatterns | None, single_id: bool) -> Digest:
    """Return the key of a build's receipt: everything asked but for names, secrets and what displays show."""
    return digest_of(
        encode(
            {
                "receipt": FORMAT,
                "version": __version__,
                "context": os.path.realpath(request.context),
                "file": request.dockerfile,
                "dockerfile": digest_of(dockerfile),
                "ignore": [rule.text for rule in ignore.rules] if ignore else [],
                "plan": request.plan_inputs(),
                "timestamp": request.timestamp,
                "hosts": [list(host) for host in request.hosts],
                "shm_size": request.shm_size,
                "ulimits": [list(limit) for limit in request.ulimits],
                "allow": sorted(request.allow),
                "single_id": single_id,
            }
        )
    )


def find_receipt(store: Store, key: Digest, directory: str, ignore: IgnorePatterns | None) -> Receipt | None:
    """Return the receipt under `key` if it still holds for the context `directory`."""
    data = store.plans.find(key)
    if data is None:
        return None
    receipt = _read(data)
    if not all(store.blobs.has(Digest(blob)) for blob in receipt.blobs):
        return None
    for name, digest in receipt.bases:
        found = store.names.find(name)
        if found is None or found.digest != digest:
            return None
    if receipt.roots:
        from builder.context.signature import context_signature

        if context_signature(directory, receipt.roots, ignore) != receipt.signature:
            return None
    return receipt


def keep_receipt(store: Store, key: Digest, receipt: Receipt) -> None:
    """Keep a receipt; nothing is written when the same one is there."""
    document = receipt._asdict() | {"descriptor": receipt.descriptor.to_json()}
    store.plans.put(key, json.dumps(document, separators=(",", ":")).encode("ascii"))


def _read(data: bytes) -> Receipt:
    document = json.loads(data)
    return Receipt(
        images=tuple(
            ImageReport(platform, image_id, layers, size, tuple(StepReport(*step) for step in steps), tuple(unused))
            for platform, image_id, layers, size, steps, unused in document["images"]
        ),
        descriptor=descriptor_from_json(document["descriptor"], "a receipt"),
        target=document["target"],
        bases=tuple((name, digest) for name, digest in document["bases"]),
        blobs=tuple(document["blobs"]),
        roots=tuple(document["roots"]),
        signature=document["signature"],
        warnings=tuple(KeptWarning(*warning) for warning in document["warnings"]),
    )


def literal_prefix(path: str) -> str:
    """Return the part of a COPY source that has no wildcards, cleaned; "" when it may be anything."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
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
