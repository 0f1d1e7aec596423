"""What is asked of the engine and what comes back: values only.

`BuildRequest` is the command line with its words parsed, `BuildResult` what a build made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builder.oci.digest import Digest
from builder.oci.platform import Platform
from builder.plan.plan import Plan
from builder.solve.solution import Solution

if TYPE_CHECKING:
    from builder.oci.descriptor import Descriptor
    from builder.plan.step import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Everything a user can ask of a build, as they said it."""

    root: str
    context: str
    dockerfile: str | None = None
    tags: tuple[str, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    build_contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    timestamp: str | None = None
    """Seconds since 1970, `git` for the commit time of the context, None for real times."""
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    jobs: int = 0
    network: Network = "default"
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int | None = None
    ulimits: tuple[tuple[str, int, int], ...] = ()
    allow: frozenset[str] = frozenset()
    isolation: str | None = None
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """One platform's image."""

    platform: Platform
    plan: Plan
    solution: Solution
    manifest: Descriptor
    image_id: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What a build made. `descriptor` names the manifest, or the index when there are several platforms."""

    images: tuple[BuiltImage, ...]
    descriptor: Descriptor
    names: tuple[str, ...]
    outputs: tuple[str, ...]
    seconds: float

    @property
    def image_id(self) -> str:
        """The digest of the config; of the index when there are several platforms."""
        return str(self.images[0].image_id if len(self.images) == 1 else self.descriptor.digest)

    def metadata(self) -> dict[str, Any]:
        """Return what `--metadata-file` holds: buildx's keys, and every step with its key and how it was come by."""
        document: dict[str, Any] = {
            "containerimage.digest": str(self.descriptor.digest),
            "containerimage.descriptor": self.descriptor.to_json(),
            "image.name": ",".join(self.names),
            "pybuild.seconds": round(self.seconds, 3),
            "pybuild.steps": [step for image in self.images for step in _steps_to_json(image)],
        }
        if len(self.images) == 1:
            document["containerimage.config.digest"] = self.image_id
        return document


def _steps_to_json(image: BuiltImage) -> list[dict[str, Any]]:
    result = []
    for step in image.plan.steps:
        solved = image.solution.steps.get(step.id)
        if solved is None:
            continue
        entry: dict[str, Any] = {"title": step.title, "stage": step.stage, "cached": solved.cached}
        if solved.key:
            entry["key"] = solved.key
        if solved.layer is not None:
            entry |= {"diff_id": str(solved.layer.diff_id), "size": solved.layer.descriptor.size}
        if solved.reason:
            entry["reason"] = solved.reason
        if not solved.cached:
            entry["seconds"] = round(solved.seconds, 3)
        result.append(entry)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequest:
    """What `pybuild run` asks for. `entrypoint` and `user` None leave the image's own; an empty entrypoint clears it."""

    root: str
    image: str
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    user: str | None = None
    network: Network = "default"
    hostname: str = ""
    hosts: tuple[tuple[str, str], ...] = ()
    isolation: str | None = None
    platform: str = ""
