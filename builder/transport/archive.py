"""Image layouts for others: a directory, or one archive that docker, podman, skopeo and umoci all read.

    blobs/sha256/…  index.json  oci-layout   the image layout (image-spec image-layout.md)
    manifest.json                            docker's list of the same blobs: [{"Config", "RepoTags", "Layers"}]

The archive is deterministic: sorted, no times, no owners. index.json names each image twice, as containerd does (full
name) and as the spec does (the tag alone).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from builder.errors import DigestMismatch, TransportError
from builder.filesystem.entry import Entry
from builder.filesystem.unfinished import replacing
from builder.image.image import is_index
from builder.layer.tar_encode import BLOCK, END, encode_header
from builder.oci import canonical
from builder.oci.descriptor import CONTAINERD_NAME, REF_NAME, Descriptor
from builder.oci.media_type import OCI_INDEX
from builder.oci.reference import Reference
from builder.store.checked import open_checked, open_regular
from builder.store.store import LAYOUT, Store
from builder.transport.destination import open_destination, shown
from builder.transport.output import ArchiveOutput, ImageOutput, Packing
from builder.transport.packing import PackedImage, pack_image
from builder.transport.source import check_layout

_BLOCK_BYTES = 1 << 20
_FILE_MODE = 0o444
_DIRECTORY_MODE = 0o755


def name_image(spec: ImageOutput, store: Store, image: Descriptor, names: Sequence[Reference]) -> str:
    """Give an image of the store names, and the annotations of the spec."""
    if spec.annotations:
        as_it_is = Packing(compression="uncompressed")
        image = pack_image(store, image, as_it_is, annotations=spec.annotations).top
    store.names.set_all((name, image) for name in names)
    return f"named {', '.join(name.familiar for name in names)}" if names else f"kept {image.digest} in the store"


def export_archive(
    spec: ArchiveOutput,
    store: Store,
    image: Descriptor,
    names: Sequence[Reference],
    epoch: int | None,
    stdout: int | None,
) -> str:
    """Pack an image and write the archive or directory; returns a line that says so."""
    if spec.for_docker and is_index(image):
        raise TransportError(
            "type=docker holds an image for one platform only", hint="Use type=oci, or build one platform at a time."
        )
    if spec.is_directory:
        packed = pack_image(store, image, spec.packing, annotations=spec.annotations, reproducible=epoch is not None)
        write_layout(store, packed, names, spec.dest)
        return f"wrote image layout {spec.dest}"
    with open_destination(spec.dest, stdout) as write:
        packed = pack_image(store, image, spec.packing, annotations=spec.annotations, reproducible=epoch is not None)
        write_archive(store, packed, names, write, for_docker=spec.for_docker)
    return f"wrote {'docker' if spec.for_docker else 'oci'} archive {shown(spec.dest)}"


def write_archive(
    store: Store, image: PackedImage, names: Sequence[Reference], write: Callable[[bytes], object], *, for_docker: bool
) -> None:
    """Write the archive through `write`. Raises StoreError when a blob cannot be read."""
    algorithms = sorted({blob.digest.algorithm for blob in image.blobs})
    for path in ("blobs", *(f"blobs/{algorithm}" for algorithm in algorithms)):
        write(encode_header(Entry(path, "directory", _DIRECTORY_MODE), 0))
    for blob in sorted(image.blobs, key=_blob_path):
        _copy_blob(store, blob, write)
    documents = {"index.json": index_document(image.top, names), "oci-layout": LAYOUT}
    if for_docker:
        documents["manifest.json"] = _docker_list(image, names)
    for name in sorted(documents):
        data = documents[name]
        write(encode_header(Entry(name, "file", _FILE_MODE, size=len(data)), 0) + data + bytes(-len(data) % BLOCK))
    write(END)


def write_layout(store: Store, image: PackedImage, names: Sequence[Reference], directory: str) -> None:
    """Write or extend the image layout in `directory`: other images there stay, names move. Raises TransportError."""
    try:
        os.makedirs(directory, exist_ok=True)
        entries = _present_entries(directory)
        for blob in image.blobs:
            _export_blob(store, blob, directory)
        _put(f"{directory}/oci-layout", LAYOUT)
        own = json.loads(index_document(image.top, names))["manifests"]
        taken = {(entry.get("annotations") or {}).get(REF_NAME) for entry in own} - {None}
        kept = [entry for entry in entries if not _superseded(entry, own, taken)]
        _put(f"{directory}/index.json", canonical.encode(_index([*kept, *own])))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TransportError(f"writing the image layout {directory}: {reason} ({error.filename or ''})") from error


def index_document(manifest: Descriptor, names: Sequence[Reference]) -> bytes:
    """Return index.json for one image under `names`."""
    entries = [
        manifest._replace(annotations={**manifest.annotations, CONTAINERD_NAME: str(name), REF_NAME: name.tag})
        for name in names
    ]
    return canonical.encode(_index([entry.to_json() for entry in entries or [manifest]]))


def _index(entries: list[Any]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}


def _docker_list(image: PackedImage, names: Sequence[Reference]) -> bytes:
    document = [
        {
            "Config": _blob_path(only.config),
            "RepoTags": [name.familiar for name in names] or None,
            "Layers": [_blob_path(layer) for layer in only.layers],
        }
        for only in image.images
    ]
    return canonical.encode(document)


def _blob_path(blob: Descriptor) -> str:
    return f"blobs/{blob.digest.algorithm}/{blob.digest.encoded}"


def _copy_blob(store: Store, blob: Descriptor, write: Callable[[bytes], object]) -> None:
    write(encode_header(Entry(_blob_path(blob), "file", _FILE_MODE, size=blob.size), 0))
    copied = 0
    with store.blobs.stream(blob.digest) as file:
        while block := file.read(_BLOCK_BYTES):
            write(block)
            copied += len(block)
    if copied != blob.size:
        raise TransportError(f"blob {blob.digest} is {copied} bytes long in the store, not {blob.size}")
    write(bytes(-blob.size % BLOCK))


def _export_blob(store: Store, blob: Descriptor, directory: str) -> None:
    target = f"{directory}/{_blob_path(blob)}"
    if _is_there(target, blob):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    # A copy and never a hard link: whoever edits the export must not edit the store.
    with replacing(target) as copy, store.blobs.stream(blob.digest) as source:
        os.fchmod(copy.fileno(), 0o644)
        while block := source.read(_BLOCK_BYTES):
            copy.write(block)


def _is_there(target: str, blob: Descriptor) -> bool:
    """Say whether an earlier export left the blob here, whole and as it should be."""
    try:
        with open_checked(target, blob.digest) as file:
            return os.fstat(file.fileno()).st_size == blob.size
    except (FileNotFoundError, DigestMismatch):
        return False


def _present_entries(directory: str) -> list[Any]:
    try:
        with open_regular(f"{directory}/index.json") as file:
            document = json.loads(file.read())
        check_layout(directory)
        return list(document.get("manifests") or [])
    except FileNotFoundError:
        if os.listdir(directory) and not os.path.exists(f"{directory}/oci-layout"):
            raise TransportError(
                f"{directory} is neither empty nor an image layout", hint="Name another directory with dest=."
            ) from None
        return []
    except (ValueError, AttributeError, TypeError) as error:
        raise TransportError(f"{directory}/index.json is not an image index: {error}") from error


def _superseded(entry: Any, own: list[Any], taken: set[str | None]) -> bool:
    if not isinstance(entry, dict):
        return True
    name = (entry.get("annotations") or {}).get(REF_NAME)
    return name in taken or (name is None and any(entry.get("digest") == new["digest"] for new in own))


def _put(path: str, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)
