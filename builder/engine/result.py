"""What a build comes back with: plain values, small enough to be kept and shown again.

NamedTuples, since a build that changes nothing makes these classes and hardly any others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from builder.oci.canonical import JsonObject

if TYPE_CHECKING:
    from builder.oci.descriptor import Descriptor


class StepReport(NamedTuple):
    """One step: from the cache, or why it ran and how long. `layer` is a diff ID; empty when an image was loaded."""

    step: int
    title: str
    stage: str
    cached: bool
    key: str = ""
    layer: str = ""
    size: int = 0
    """Bytes of the files in its layer."""
    reason: str = ""
    """Why the cache did not help."""
    seconds: float = 0.0

    def to_json(self) -> JsonObject:
        """Return what the metadata file says of the step."""
        document: JsonObject = {"title": self.title, "stage": self.stage, "cached": self.cached}
        if self.key:
            document["key"] = self.key
        if self.layer:
            document |= {"diff_id": self.layer, "size": self.size}
        if self.reason:
            document["reason"] = self.reason
        # A step from the cache took no time of this build.
        if not self.cached:
            document["seconds"] = round(self.seconds, 3)
        return document


class ImageReport(NamedTuple):
    """One platform's image. `layers` and `size` (bytes of the files in them) are the whole image's, base included."""

    platform: str
    image_id: str
    layers: int
    size: int
    steps: tuple[StepReport, ...]
    unused_build_args: tuple[str, ...] = ()

    def all_cached(self) -> ImageReport:
        """Return the report of a build that makes the same image again, every step of it from the cache."""
        return self._replace(steps=tuple(step._replace(cached=True, reason="", seconds=0.0) for step in self.steps))


class BuildResult(NamedTuple):
    """What a build made. `descriptor` names the manifest, or the index when there are several platforms."""

    images: tuple[ImageReport, ...]
    descriptor: Descriptor
    names: tuple[str, ...]
    outputs: tuple[str, ...]
    """A line for each place the image was written to."""
    seconds: float

    @property
    def image_id(self) -> str:
        """The digest of the config; of the index when there are several platforms."""
        return self.images[0].image_id if len(self.images) == 1 else str(self.descriptor.digest)

    def metadata(self) -> JsonObject:
        """Return the document of `--metadata-file`: buildx's keys, and every step with its cache key or reason."""
        document: JsonObject = {
            "containerimage.digest": str(self.descriptor.digest),
            "containerimage.descriptor": self.descriptor.to_json(),
            "image.name": ",".join(self.names),
            "pybuild.seconds": round(self.seconds, 3),
            "pybuild.steps": [step.to_json() for image in self.images for step in image.steps],
        }
        if len(self.images) == 1:
            document["containerimage.config.digest"] = self.image_id
        return document
