"""An OCI image layout in a directory, written or extended (image-spec image-layout.md); layout_source.py reads them.

oci-layout                                      {"imageLayoutVersion": "1.0.0"}
index.json                                      the images by name, as containerd and as the specification name them
blobs/<algorithm>/<encoded>                     exactly the bytes of that digest
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from builder.errors import DigestMismatch, TransportError
from builder.filesystem.unfinished import replacing
from builder.oci import canonical
from builder.oci.descriptor import CONTAINERD_NAME, REF_NAME, Descriptor
from builder.oci.media_type import OCI_INDEX
from builder.oci.reference import Reference
from builder.store.checked import open_checked, open_regular
from builder.store.store import LAYOUT
from builder.transport.destination import copy_to_file, writing
from builder.transport.places.layout_source import blob_path, check_layout
from builder.transport.source import Document, Source

_BLOB_MODE = 0o644


class LayoutDestination:
    """A layout to write or extend: other images there stay, names move. Raises TransportError."""

    parallel = 1
    documents_are_blobs = True

    def __init__(self, directory: str, ref: str = "") -> None:
        """`ref` is what index.json calls the image; without it, each name's tag."""
        self.location = self._directory = directory
        self._ref = ref
        with self._writing():
            os.makedirs(directory, exist_ok=True)
            _present_entries(directory)  # raises for what is something else

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Say whether an earlier export left the blob here, whole and as it should be."""
        with self._writing():
            try:
                with open_checked(self._path(descriptor), descriptor.digest) as file:
                    return os.fstat(file.fileno()).st_size == descriptor.size
            except (FileNotFoundError, DigestMismatch):
                return False

    def put_blob(self, descriptor: Descriptor, source: Source) -> None:
        """Write a blob: a copy and never a hard link, as whoever edits the layout must not edit where it came from."""
        with self._writing():
            target = self._path(descriptor)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with replacing(target) as file:
                os.fchmod(file.fileno(), _BLOB_MODE)
                copy_to_file(source, descriptor, file)

    def put_manifest(self, document: Document) -> None:
        """Do nothing: it came as a blob."""

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Name the image in index.json, beside those that are there."""
        with self._writing(), _locked(self._directory):
            _put(f"{self._directory}/oci-layout", LAYOUT)
            own = index_entries(top.descriptor, names, self._ref)
            # Read again: others may have named images of theirs since we began.
            _put(f"{self._directory}/index.json", merged_index(_present_entries(self._directory), own))

    def _path(self, descriptor: Descriptor) -> str:
        return f"{self._directory}/{blob_path(descriptor.digest)}"

    def _writing(self) -> AbstractContextManager[None]:
        return writing(f"the image layout {self._directory}")


def index_entries(top: Descriptor, names: Sequence[Reference], ref: str = "") -> list[dict[str, Any]]:
    """Return the entries of index.json for one image: each name as containerd writes it, and its tag alone.

    `ref` takes the place of the first tag.
    """
    annotations = [{CONTAINERD_NAME: str(name), REF_NAME: name.tag} for name in names]
    if ref:
        annotations[:1] = [{**(annotations[0] if annotations else {}), REF_NAME: ref}]
    return [top._replace(annotations={**top.annotations, **added}).to_json() for added in annotations or [{}]]


def merged_index(present: Sequence[Any], own: list[dict[str, Any]]) -> bytes:
    """Return index.json of the entries that are there and `own`, which take the names they have."""
    taken = {(entry.get("annotations") or {}).get(REF_NAME) for entry in own} - {None}
    return index_document([*(entry for entry in present if not _superseded(entry, own, taken)), *own])


def index_document(entries: Sequence[Any]) -> bytes:
    """Return index.json of these entries."""
    return canonical.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)})


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


def _superseded(entry: Any, own: list[dict[str, Any]], taken: set[str | None]) -> bool:
    if not isinstance(entry, dict):
        return True
    name = (entry.get("annotations") or {}).get(REF_NAME)
    return name in taken or (name is None and any(entry.get("digest") == new["digest"] for new in own))


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Hold the lock of a layout while its index.json is changed: on the directory, as nothing else of it lasts."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks: there two writers may undo each other
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _put(path: str, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)
