"""An ImageResolver that holds its images in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from builder.errors import RegistryError
from builder.oci.config import History, ImageConfig, RuntimeConfig
from builder.oci.digest import DiffID, Digest, digest_of
from builder.oci.platform import Platform
from builder.oci.reference import parse_reference
from builder.plan.image_resolver import ResolvedImage

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def image_config(
    *,
    platform: Platform = AMD64,
    layers: int = 1,
    runtime: RuntimeConfig | None = None,
    history: tuple[History, ...] | None = None,
) -> ImageConfig:
    """Return the config of an image with `layers` layers."""
    return ImageConfig(
        platform=platform,
        created="2020-01-01T00:00:00Z",
        runtime=runtime or RuntimeConfig(env=("PATH=/usr/bin:/bin",), cmd=("sh",)),
        diff_ids=tuple(DiffID(digest_of(b"layer %d" % number)) for number in range(layers)),
        history=history or tuple(History(created_by=f"layer {number}") for number in range(layers)),
    )


@dataclass
class FakeResolver:
    """Images by name; `asked` records what was looked up."""

    images: dict[str, ImageConfig] = field(default_factory=dict)
    anything: bool = False
    """Every name is an image of one layer."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def resolve(self, reference: str, platform: Platform) -> ResolvedImage:
        self.asked.append((reference, str(platform)))
        for name, config in self.images.items():
            if reference == name or ("://" not in name and reference == str(parse_reference(name))):
                return ResolvedImage(reference=reference, manifest_digest=self._digest(reference), config=config)
        if self.anything:
            config = image_config(platform=platform)
            return ResolvedImage(reference=reference, manifest_digest=self._digest(reference), config=config)
        raise RegistryError(f"failed to resolve source metadata for {reference}: not found", hint="Is it pushed?")

    def _digest(self, reference: str) -> Digest:
        return digest_of(reference.encode())
