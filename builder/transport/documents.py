"""The manifests and indexes of an image, read from a source from the name down, each checked.

In: a source and what it calls an image. Out: its documents, which name the blobs that it is made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from builder.errors import ImageError
from builder.image.image import check_size, choose_platform
from builder.oci.descriptor import Descriptor
from builder.oci.manifest import Index, Manifest, parse_manifest
from builder.oci.media_type import INDEX_TYPES, MANIFEST_TYPES
from builder.oci.platform import Platform
from builder.transport.source import Document, Source

_MAX_NESTING = 4


@dataclass(frozen=True, slots=True)
class Documents:
    """What leads to the blobs of an image: the manifests and indexes, those of an index before it."""

    all: tuple[Document, ...]
    manifests: tuple[tuple[Descriptor, Manifest], ...]
    """The images among them, in the order of the index."""
    left_out: tuple[str, ...] = ()
    """What else an index names, in words: nobody here knows what it leads to, or can check it."""

    @property
    def top(self) -> Document:
        """What the name itself stands for."""
        return self.all[-1]

    def without_indexes(self) -> Documents:
        """Return the first image alone."""
        image = self.manifests[0]
        return Documents(tuple(one for one in self.all if one.descriptor.digest == image[0].digest), (image,))

    def blobs(self) -> Iterator[Descriptor]:
        """Yield the configs and layers of all images."""
        for _, manifest in self.manifests:
            yield from (manifest.config, *manifest.layers)


def read_documents(source: Source, image: str | Descriptor, platform: Platform | None = None) -> Documents:
    """Read manifests and indexes from `image` down: what the source calls it, or the descriptor that it must fit.

    With a `platform`, only those on the way to its image are read. Raises ImageError, and what the source raises.
    """
    all_: dict[str, Document] = {}
    manifests: list[tuple[Descriptor, Manifest]] = []
    left_out: list[str] = []

    def read(wanted: str | Descriptor, depth: int) -> None:
        if depth == _MAX_NESTING:
            name = image.digest if isinstance(image, Descriptor) else image
            raise ImageError(f"index {name} is nested more than {_MAX_NESTING} deep")
        document, parsed = _read_document(source, wanted)
        if isinstance(parsed, Manifest):
            manifests.append((document.descriptor, parsed))
        elif platform is not None:
            read(choose_platform(parsed, platform, f"manifest {document.descriptor.digest}"), depth + 1)
        else:
            left_out.extend(f"{digest}, a digest that cannot be checked here" for digest in parsed.foreign)
            for child in parsed.manifests:
                if child.media_type not in INDEX_TYPES | MANIFEST_TYPES:
                    left_out.append(f"{child.digest}, of the unknown type {child.media_type!r:.100}")
                elif child.digest not in all_:
                    read(child, depth + 1)
        all_[document.descriptor.digest] = document

    read(image, 0)
    return Documents(tuple(all_.values()), tuple(manifests), tuple(dict.fromkeys(left_out)))


def _read_document(source: Source, wanted: str | Descriptor) -> tuple[Document, Manifest | Index]:
    """Read one document, whose descriptor comes back with the media type that it turned out to have."""
    came = source.manifest(wanted.digest if isinstance(wanted, Descriptor) else wanted)
    what = f"manifest {came.descriptor.digest}"
    parsed = parse_manifest(came.data, came.descriptor.media_type, what)
    descriptor = came.descriptor
    if isinstance(wanted, Descriptor):
        check_size(wanted, len(came.data), what)
        # Also as what the index calls it: a document that reads as manifest and as index would be one image to us and
        # another to others (CVE-2021-41190).
        parse_manifest(came.data, wanted.media_type, what)
        descriptor = wanted
    return Document(descriptor._replace(media_type=parsed.media_type), came.data), parsed
