"""Images removed from a store, by what people type: a name, or the ID of an image with one name.

In: a store. Out: docker's words (`Untagged: …`, `Deleted: …`), since scripts read them.
"""

from __future__ import annotations

from builder.errors import PybuildError, ReferenceFormatError, StoreError
from builder.image.listing import find_descriptor, load_local
from builder.oci.descriptor import Descriptor
from builder.oci.digest import ChainID, DiffID, Digest, chain_ids, short_digest
from builder.oci.reference import parse_reference
from builder.store.containers import Containers
from builder.store.prune import remove_images
from builder.store.reachability import reachable_from, references_of
from builder.store.store import Store


def remove_image(store: Store, text: str, *, force: bool = False) -> list[str]:
    """Remove a name, or an image by its ID with its only name; blobs nobody else needs go with the last name.

    Returns docker's lines. Raises StoreError, in docker's words, when there is no such image, when an ID has several
    names or a container stands on the image and `force` isn't set, and for an ID on which a container runs.
    """
    name = _known_name(store, text)
    descriptor = store.names.get(name) if name else find_descriptor(store, text)
    names = store.names.names_of(descriptor.digest)
    if not name and len(names) > 1 and not force:
        short = short_digest(text)
        raise StoreError(
            f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories",
            hint=f"Its names are {', '.join(names)}. Remove one of them, or use --force.",
        )
    lines = [f"Untagged: {_familiar(gone)}" for gone in ([name] if name else names)]
    if name and len(names) > 1:
        store.names.delete(name)
        return lines
    if _is_run(store, descriptor, text, is_name=bool(name), force=force):
        store.names.delete(name, keep=True)
        return lines
    return lines + _delete(store, descriptor)


def _is_run(store: Store, descriptor: Descriptor, text: str, *, is_name: bool, force: bool) -> bool:
    """Refuse to take an image from under a container; say whether one runs and the image is to stay, without a name.

    As docker does: a name is always free to go with `force`, an ID is not while a container runs. Raises StoreError.
    """
    digests = {descriptor.digest, *(child.digest for child in references_of(store, descriptor))}
    containers = Containers(store)
    users = [record for record in containers.walk() if record.manifest.digest in digests]
    running = [record for record in users if containers.is_running(record)]
    if not users:
        return False
    image = short_digest(users[0].image_id)
    hint = f"'pybuild rm {users[0].name}' removes the container."
    if is_name and not force:
        raise StoreError(
            f'conflict: unable to remove repository reference "{text}" (must force) - '
            f"container {users[0].short_id} is using its referenced image {image}",
            hint=hint,
        )
    if running and not is_name:
        raise StoreError(
            f"conflict: unable to delete {image} (cannot be forced) - "
            f"image is being used by running container {running[0].short_id}",
            hint=f"End it, or remove it with 'pybuild rm -f {running[0].name}'.",
        )
    if not force:
        raise StoreError(
            f"conflict: unable to delete {image} (must be forced) - "
            f"image is being used by stopped container {users[0].short_id}",
            hint=hint,
        )
    return bool(running)


def _delete(store: Store, descriptor: Descriptor) -> list[str]:
    lines: list[str] = []
    try:
        image = load_local(store, descriptor)
        lines.append(f"Deleted: {image.id}")
        ids = [image.id]
        chains: dict[DiffID, ChainID] = dict(zip(image.config.diff_ids, chain_ids(image.config.diff_ids), strict=True))
        blobs: dict[Digest, DiffID] = {
            layer.digest: diff for layer, diff in zip(image.manifest.layers, image.config.diff_ids, strict=True)
        }
    except PybuildError:
        lines.append(f"Deleted: {descriptor.digest}")
        chains, blobs, ids = {}, {}, []
    own = reachable_from(store, [descriptor]) | set(blobs.values())
    gone = remove_images(store, [descriptor.digest], own)
    store.repositories.forget(ids)
    freed = [chains[blobs[digest]] for digest in gone if digest in blobs]
    # From the top layer down, as docker lists them.
    return lines + [f"Deleted: {chain}" for chain in sorted(freed, key=list(chains.values()).index, reverse=True)]


def _known_name(store: Store, text: str) -> str:
    try:
        name = str(parse_reference(text))
    except ReferenceFormatError:
        return ""
    return name if store.names.find(name) else ""


def _familiar(name: str) -> str:
    try:
        return parse_reference(name).familiar
    except ReferenceFormatError:
        return name  # somebody else's tool wrote it
