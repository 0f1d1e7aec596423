"""An image layout as one tar, read: `oci-archive:FILE` (image-spec image-layout.md).

The tar may be compressed, and its members come in any order. Writing it is archive.py.
"""

from __future__ import annotations

from dataclasses import replace

from builder.oci.descriptor import CONTAINERD_NAME, REF_NAME, Descriptor
from builder.oci.digest import Digest
from builder.oci.media_type import INDEX_TYPES, MANIFEST_TYPES
from builder.oci.reference import Reference, reference_or_none
from builder.transport.places.archived_image import ArchivedImage
from builder.transport.places.layout_source import LayoutFileSource


class OciArchiveSource(LayoutFileSource):
    """The images of an archive. Raises TransportError for what is none."""

    def images(self) -> tuple[ArchivedImage, ...]:
        """Return what is in the archive, with the names it gives. Raises TransportError."""
        found: dict[Digest, ArchivedImage] = {}
        for number, entry in enumerate(self.positions()):
            if entry is None or entry.media_type not in INDEX_TYPES | MANIFEST_TYPES:
                continue  # image-layout.md: what nobody here knows is no error
            name = entry_name(entry)
            image = found.setdefault(entry.digest, ArchivedImage(f"@{number}"))
            if name is not None and name not in image.names:
                found[entry.digest] = replace(image, names=(*image.names, name))
        return tuple(found.values())


def entry_name(entry: Descriptor) -> Reference | None:
    """Return the whole name that an entry gives: containerd's, or podman's, who puts it in the place of the tag."""
    whole = entry.annotations.get(CONTAINERD_NAME, "")
    ref = entry.annotations.get(REF_NAME, "")
    return reference_or_none(whole or (ref if "/" in ref or ":" in ref else ""))
