"""What the planner asks of images: a name in, what it stands for today out. builder.transport.resolver answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from builder.oci.config import ImageConfig
from builder.oci.digest import Digest
from builder.oci.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """What an image name stands for today."""

    reference: str
    manifest_digest: Digest
    config: ImageConfig


class ImageResolver(Protocol):
    """Finds images for the planner: in the store, a registry, or a layout."""

    def resolve(self, reference: str, platform: Platform) -> ResolvedImage:
        """Return what `reference` (a normalised name, or a place: oci/image_place.py) is for `platform`.

        Raises PybuildError subclasses when it can't be found.
        """
        ...
