"""The images of a store by the layers that they share: each layer under the one that it was put on.

In: a store. Out: a tree of values. Two layers are one node where all below them is the same, too (chain ID).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from builder.image.describe import layer_rows
from builder.image.sizes import images_below, images_in
from builder.oci.digest import Digest, short_digest
from builder.oci.reference import reference_or_none
from builder.store.store import Store


@dataclass(slots=True)
class LayerNode:
    """A layer on top of its parent. `size` is bytes of the files in it, None where it was never read."""

    chain_id: str
    diff_id: str
    size: int | None
    created_by: str
    """What made it, as the history of the first image says."""
    ends: list[str] = field(default_factory=list)
    """Images whose last layer it is, as people call them; an ID for one without a name."""
    through: int = 0
    """How many images have it, those that end here among them."""
    children: list[LayerNode] = field(default_factory=list)


def layer_tree(store: Store) -> list[LayerNode]:
    """Return the lowest layers of all images, with what was put on them; an image without layers has an empty one.

    Raises StoreError.
    """
    nodes: dict[str, LayerNode] = {}
    roots: list[LayerNode] = []
    names = _names(store)
    for image in sorted(images_in(store), key=lambda one: (names.get(one.id, ["~"]), one.id)):
        called = names.get(image.id) or [short_digest(image.id)]
        siblings, parent = roots, None
        for row in layer_rows(store, image):
            if not row.get("layer"):
                continue
            node = nodes.get(row["chain_id"])
            if node is None:
                words = row["created_by"] or row["comment"]
                node = nodes[row["chain_id"]] = LayerNode(row["chain_id"], row["diff_id"], row["size"], words)
                siblings.append(node)
            node.through += 1
            siblings, parent = node.children, node
        if parent is None:
            parent = LayerNode("", "", 0, "no layers", through=1)
            roots.append(parent)
        parent.ends += called
    return roots


def _names(store: Store) -> dict[Digest, list[str]]:
    """Return image ID → names, as people type them."""
    result: dict[Digest, list[str]] = {}
    for name, descriptor in store.names.items():
        for image in images_below(store, descriptor):
            reference = reference_or_none(name)
            result.setdefault(image.id, []).append(reference.familiar if reference else name)
    return result
