"""An image in full, for people and programs: identities, config, and for each step the layer it made.

In: a store and a name or ID. Out: JSON values. Layers are counted from 1, base first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from builder.image.image import Image
from builder.image.listing import find_descriptor, load_local
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
    )


def describe(image: Image, top: Digest, *, names: Sequence[str], repositories: Sequence[str]) -> dict[str, Any]:
    """Return everything about an image, which need not be in the store; `top` is what its name stands for."""
    config, diff_ids = image.config, image.config.diff_ids
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
        "Size": sum(layer.size for layer in image.manifest.layers),
        "Config": config.runtime.to_json(),
        "RootFS": {"Type": "layers", "Layers": [str(diff_id) for diff_id in config.diff_ids]},
        "Layers": [_layer_identities(*row) for row in zip(image.manifest.layers, diff_ids, chain_ids(diff_ids))],
        "History": [entry.to_json() for entry in config.history],
    }  # fmt: skip


def _layer_identities(layer: Descriptor, diff_id: DiffID, chain_id: ChainID) -> dict[str, Any]:
    return {
        "Digest": str(layer.digest),
        "DiffID": str(diff_id),
        "ChainID": str(chain_id),
        "Size": layer.size,
        "MediaType": layer.media_type,
    }


def layer_rows(store: Store, text: str) -> list[dict[str, Any]]:
    """Return one row per history record, in the order of the Dockerfile; `layer` is 0 where none was made.

    A layer without a record of its own (images from elsewhere) gets a row at the end.
    """
    image = load_local(store, find_descriptor(store, text))
    layers = list(zip(image.config.diff_ids, image.manifest.layers, strict=True))
    rows, number = [], 0
    for entry in image.config.history:
        row = {
            "created_by": entry.created_by,
            "comment": entry.comment,
            "created": entry.created,
            "layer": 0,
            "diff_id": "",
            "size": 0,
            "files": 0,
            "entries": 0,
        }
        if not entry.empty_layer and number < len(layers):
            number += 1
            row |= _layer(store, number, layers[number - 1])
        rows.append(row)
    for rest in range(number, len(layers)):
        rows.append({"created_by": "", "comment": "", "created": ""} | _layer(store, rest + 1, layers[rest]))
    return rows


def _layer(store: Store, number: int, layer: Any) -> dict[str, Any]:
    diff_id, descriptor = layer
    record = store.layers.find(diff_id)
    return {
        "layer": number,
        "diff_id": str(diff_id),
        "digest": str(descriptor.digest),
        "size": descriptor.size,
        "files": record.files if record else 0,
        "entries": record.entries if record else 0,
    }
