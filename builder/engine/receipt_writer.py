"""Writes the receipt of a build that has just ended, if everything it read can be vouched for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from builder.context.signature import context_signature
from builder.engine.receipt import (
    Receipt,
    ReceiptKey,
    is_current,
    keep_receipt,
    literal_prefix,
    outermost,
)
from builder.oci.image_place import is_place
from builder.oci.reference import parse_reference
from builder.plan.plan import Plan
from builder.plan.step import ContextSource, CopyOp

if TYPE_CHECKING:
    from builder.engine.built_image import BuiltImage
    from builder.engine.request import BuildRequest
    from builder.oci.descriptor import Descriptor
    from builder.oci.digest import Digest
    from builder.store.store import Store


def write_receipt(
    store: Store,
    asked: ReceiptKey,
    request: BuildRequest,
    images: tuple[BuiltImage, ...],
    descriptor: Descriptor,
    record: Digest,
    begun_ns: int,
) -> None:
    """Keep a receipt of a build that began at `begun_ns`, in nanoseconds since 1970.

    None is kept when a part of the context that was read was not settled then, or when the Dockerfile, the ignore file
    or a layout has changed meanwhile. Raises OSError, StoreError.
    """
    plans = [image.plan for image in images]
    roots = _roots(plans)
    # Places of images are in the key: layouts by the digest of their index.json.
    names = {name for plan in plans for name, _, _ in plan.inputs if not is_place(name)}
    bases = {name: store.names.find(name) for name in sorted(names)}
    # Asked again: somebody may have saved the Dockerfile while it was being built, and the key is of the old one.
    if roots is None or None in bases.values() or not is_current(request, asked):
        return
    # Taken now, and still of what was read: None where anything was touched after the build began.
    signature = ""
    if roots:
        found = context_signature(request.context, roots, asked.ignore, store.root, begun_ns)
        if found is None:
            return
        signature = found
    # All that names lead to: an image whose layer was pruned is not there, whatever its manifest says.
    blobs = [descriptor]
    for built in images:
        manifest = built.image.manifest
        blobs += [built.image.descriptor, manifest.config, *manifest.layers]
    receipt = Receipt(
        record=record,
        descriptor=descriptor,
        bases=tuple((name, str(base.digest)) for name, base in bases.items() if base is not None),
        blobs=tuple(dict.fromkeys((str(blob.digest), blob.size) for blob in blobs)),
        roots=roots,
        signature=signature,
        last=tuple(image.last for image in images),
        absent=tuple(sorted({name for plan in plans for name in _aliased(plan)})),
        in_chroot=any(solved.in_chroot for image in images for solved in image.results.steps.values()),
    )
    keep_receipt(store, asked.key, receipt)


def _aliased(plan: Plan) -> Iterator[str]:
    """Yield what the image of each alias would be called without it."""
    for written, meant in plan.short_names:
        reference = parse_reference(written)
        if meant != str(reference):
            yield reference.pinned


def _roots(plans: list[Plan]) -> tuple[str, ...] | None:
    """Return the paths of the main context that steps read; None when they read what no signature covers."""
    roots: list[str] = []
    if any(plan.epoch_source is not None for plan in plans):
        return None
    for step in (step for plan in plans for step in plan.steps):
        if isinstance(step.op, CopyOp) and step.op.is_remote:
            return None
        for source, path in step.op.reads():
            if isinstance(source, ContextSource):
                if source.name:
                    return None
                roots.append(literal_prefix(path))
    return outermost(roots)
