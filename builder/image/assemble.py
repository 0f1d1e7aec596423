"""A planned image and its layers in; config and manifest blobs in the store out (index.py puts several together).

Both are canonical JSON, so the same plan, layers and times give the same digests anywhere. Layers of the base keep
their exact bytes; Docker's media types become their OCI twins, since a manifest speaks one language only
(image-spec media-types.md#compatibility-matrix).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from builder.errors import ImageError, counted
from builder.image import timestamp
from builder.image.history import aligned, extended
from builder.oci import canonical, media_type
from builder.oci.config import ImageConfig
from builder.oci.descriptor import Descriptor
from builder.oci.manifest import Manifest
from builder.plan.plan import PlannedImage
from builder.plan.step import StepID
from builder.store.layers import LayerRecord
from builder.store.store import Store

_OCI_TWINS = {
    media_type.DOCKER_LAYER_GZIP: media_type.OCI_LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar": media_type.OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": media_type.OCI_LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.foreign.diff.tar":
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
}  # fmt: skip


def assemble(
    store: Store,
    image: PlannedImage,
    layers: Sequence[LayerRecord],
    created: Mapping[StepID, str],
    *,
    epoch: int | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Descriptor:
    """Write config and manifest of `image`, return the manifest's descriptor with its platform.

    `layers` is the whole stack, base first; `created` gives the RFC 3339 time of each step's layer; `epoch` is
    SOURCE_DATE_EPOCH in seconds. Raises ImageError when plan and layers do not fit, StoreError.
    """
    config = final_config(image, layers, created, epoch=epoch)
    config_bytes = canonical.encode(config.to_json())
    config_digest = store.blobs.put(config_bytes)
    manifest = Manifest(
        Descriptor(media_type=media_type.OCI_CONFIG, digest=config_digest, size=len(config_bytes)),
        tuple(_in_manifest(layer.descriptor) for layer in layers),
    )
    document = manifest.to_json()
    if annotations:
        document["annotations"] = dict(annotations)
    manifest_bytes = canonical.encode(document)
    return Descriptor(
        media_type=media_type.OCI_MANIFEST,
        digest=store.blobs.put(manifest_bytes),
        size=len(manifest_bytes),
        platform=config.platform,
    )


def final_config(
    image: PlannedImage, layers: Sequence[LayerRecord], created: Mapping[StepID, str], *, epoch: int | None = None
) -> ImageConfig:
    """Return the config of the finished image."""
    base = image.config
    new_layers = sum(record.step is not None for record in image.history)
    if len(layers) != len(base.diff_ids) + new_layers:
        raise ImageError(
            f"the image has {counted(len(layers), 'layer')}, but its base has {len(base.diff_ids)} and the build adds "
            f"{new_layers}"
        )
    if any(layer.diff_id != diff_id for layer, diff_id in zip(layers, base.diff_ids, strict=False)):
        raise ImageError("the first layers of the image are not those that its base image names")
    # A clock is read only where no other time is known: an image without layers of its own, on a base without times.
    now = timestamp.format_timestamp(epoch * 1_000_000_000) if epoch is not None else timestamp.now()
    padded = aligned(base.history, len(base.diff_ids), base.created)
    history = extended(padded, image.history, created, epoch=epoch, now=now)
    moment_created = now if epoch is not None or not history else history[-1].created
    return replace(
        base.inherited(),
        created=moment_created,
        diff_ids=tuple(layer.diff_id for layer in layers),
        history=history,
    )


def _in_manifest(descriptor: Descriptor) -> Descriptor:
    """Return a layer's descriptor as an OCI manifest holds it; platform and naming annotations are not for layers."""
    return descriptor._replace(
        media_type=_OCI_TWINS.get(descriptor.media_type, descriptor.media_type), platform=None, extra={}
    )
