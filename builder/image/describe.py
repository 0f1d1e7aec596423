"""An image in full, for people and programs: identities, config, and for each step the layer it made.

In: a store and a name or ID. Out: JSON values. Layers are counted from 1, base first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from builder.image.image import Image
from builder.image.listing import find_descriptor, load_local
from builder.image.sizes import NOTHING_KNOWN, LayerSizes, layer_sizes, size_of_image
from builder.oci.descriptor import Descriptor
from builder.oci.digest import ChainID, DiffID, Digest, chain_ids
from builder.store.store import Store


def describe_image(store: Store, text: str) -> dict[str, Any]:
    """Return everything about an image, keys as `docker image inspect` has them where it has them."""
    descriptor = find_descriptor(store, text)
    image = load_local(store, descriptor)
    return describe(
        image,
        descriptor.digest,
        names=store.names.names_of(descriptor.digest),
        repositories=[f"{name}@{digest}" for name, digest in store.repositories.digests_of(image.id).items()],
        known=layer_sizes(store),
    )


def describe(
    image: Image,
    top: Digest,
    *,
    names: Sequence[str],
    repositories: Sequence[str],
    known: LayerSizes = NOTHING_KNOWN,
) -> dict[str, Any]:
    """Return everything about an image, which need not be in the store; `top` is what its name stands for."""
    config, diff_ids = image.config, image.config.diff_ids
    size = size_of_image(image, known)
    layers = zip(image.manifest.layers, diff_ids, chain_ids(diff_ids), strict=True)
    return {
        "Id": str(image.id),
        "Digest": str(image.descriptor.digest),
        "NameDigest": str(top),
        "MediaType": image.descriptor.media_type,
        "RepoTags": list(names),
        "RepoDigests": list(repositories),
        "Created": config.created,
        "Author": config.author,
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": size.unpacked,
        "CompressedSize": size.compressed,
        "Config": config.runtime.to_json(),
        "RootFS": {"Type": "layers", "Layers": [str(diff_id) for diff_id in config.diff_ids]},
        "Layers": [_layer_identities(*row) | {"UnpackedSize": known.unpacked.get(row[1])} for row in layers],
        "History": [entry.to_json() for entry in config.history],
    }


def _layer_identities(layer: Descriptor, diff_id: DiffID, chain_id: ChainID) -> dict[str, Any]:
    return {
        "Digest": str(layer.digest),
        "DiffID": str(diff_id),
        "ChainID": str(chain_id),
        "Size": layer.size,
        "MediaType": layer.media_type,
    }


def layer_rows(store: Store, image: Image) -> list[dict[str, Any]]:
    """Return one row per history record, in the order of the Dockerfile; `layer` is 0 where none was made.

    A layer without a record of its own (images from elsewhere) gets a row at the end.
    """
    known = layer_sizes(store)
    diff_ids = image.config.diff_ids
    layers = list(zip(diff_ids, image.manifest.layers, chain_ids(diff_ids), strict=True))
    rows, number = [], 0
    for entry in image.config.history:
        row: dict[str, Any] = {"created_by": entry.created_by, "comment": entry.comment, "created": entry.created}
        if not entry.empty_layer and number < len(layers):
            number += 1
            row |= _layer(store, number, *layers[number - 1], known)
        rows.append(row)
    for rest in range(number, len(layers)):
        rows.append({"created_by": "", "comment": "", "created": ""} | _layer(store, rest + 1, *layers[rest], known))
    return rows


def _layer(
    store: Store, number: int, diff_id: DiffID, descriptor: Descriptor, chain_id: ChainID, known: LayerSizes
) -> dict[str, Any]:
    record = store.layers.find(diff_id)
    return {
        "layer": number,
        "diff_id": str(diff_id),
        "chain_id": str(chain_id),
        "digest": str(descriptor.digest),
        "size": known.unpacked.get(diff_id),
        "compressed_size": known.compressed(descriptor, diff_id),
        "files": record.files if record else 0,
        "entries": record.entries if record else 0,
    }
