"""An image layout as one tar, written, which docker, podman, skopeo and umoci all read.

    blobs/sha256/…  index.json  oci-layout   the image layout (image-spec image-layout.md)
    manifest.json                            docker's list of the same blobs: [{"Config", "RepoTags", "Layers"}]

The archive is deterministic: sorted, no times, no owners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from builder.filesystem.entry import Entry
from builder.layer.tar_encode import BLOCK, END, encode_header
from builder.oci import canonical
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.manifest import Manifest, parse_manifest
from builder.oci.reference import Reference
from builder.store.store import LAYOUT
from builder.transport.destination import copy_blob
from builder.transport.places.layout import index_document, index_entries
from builder.transport.places.layout_source import blob_path
from builder.transport.source import Document, Source

_FILE_MODE = 0o444
_DIRECTORY_MODE = 0o755


@contextmanager
def open_archive_destination(
    location: str, write: Callable[[bytes], object], *, for_docker: bool, ref: str = ""
) -> Iterator[ArchiveDestination]:
    """Give a destination for any number of images, and end the archive after them. Raises what `write` raises.

    With `for_docker`, it has docker's list too. `ref` is what index.json calls the first image; by default its tag.
    """
    destination = ArchiveDestination(location, write, for_docker=for_docker, ref=ref)
    yield destination
    destination.end()


class ArchiveDestination:
    """A tar on its way through `write`; what names the images comes with its `end`."""

    parallel = 1
    documents_are_blobs = True

    def __init__(self, location: str, write: Callable[[bytes], object], *, for_docker: bool, ref: str = "") -> None:
        self.location = location
        self._write = write
        self._for_docker = for_docker
        self._written: set[Digest] = set()
        self._directories: set[str] = set()
        self._ref = ref
        self._images: list[Manifest] = []
        """Those of the copy that goes on."""
        self._index: list[dict[str, Any]] = []
        self._list: list[dict[str, Any]] = []

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Say whether the blob was written already."""
        return descriptor.digest in self._written

    def put_blob(self, descriptor: Descriptor, source: Source) -> None:
        """Append a blob. Raises DigestMismatch; the archive is worth nothing then."""
        for directory in ("blobs", f"blobs/{descriptor.digest.algorithm}"):
            if directory not in self._directories:
                self._directories.add(directory)
                self._write(encode_header(Entry(directory, "directory", _DIRECTORY_MODE), 0))
        self._written.add(descriptor.digest)
        self._write(encode_header(Entry(blob_path(descriptor.digest), "file", _FILE_MODE, size=descriptor.size), 0))
        copy_blob(source, descriptor, self._write)
        self._write(bytes(-descriptor.size % BLOCK))

    def put_manifest(self, document: Document) -> None:
        """Note an image for docker's list; it came as a blob."""
        parsed = parse_manifest(document.data, "", f"manifest {document.descriptor.digest}")
        if isinstance(parsed, Manifest):
            self._images.append(parsed)

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Note what names the image. Of an index docker's list has the first image: one name, one image there."""
        self.put_manifest(top)
        self._index += index_entries(top.descriptor, names, self._ref)
        self._list += [_docker_entry(image, names) for image in self._images[:1]]
        self._images, self._ref = [], ""

    def end(self) -> None:
        """Append what names the images, and the end of the tar."""
        documents = {"index.json": index_document(self._index), "oci-layout": LAYOUT}
        if self._for_docker:
            documents["manifest.json"] = canonical.encode(self._list)
        for name in sorted(documents):
            data = documents[name]
            self._write(encode_header(Entry(name, "file", _FILE_MODE, size=len(data)), 0))
            self._write(data + bytes(-len(data) % BLOCK))
        self._write(END)


def _docker_entry(image: Manifest, names: Sequence[Reference]) -> dict[str, Any]:
    return {
        "Config": blob_path(image.config.digest),
        "RepoTags": [name.familiar for name in names] or None,
        "Layers": [blob_path(layer.digest) for layer in image.layers],
    }
