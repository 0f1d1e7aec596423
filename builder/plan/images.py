"""Base images as the planner sees them: resolved once each, with the parts of their config that a build inherits."""

from __future__ import annotations

from dataclasses import replace

from builder.errors import Cancelled, Location, PlanError, PybuildError
from builder.oci.config import ImageConfig
from builder.oci.image_place import is_place
from builder.oci.platform import Platform
from builder.plan.image_resolver import ImageResolver, ResolvedImage
from builder.plan.inputs import ImageInput
from builder.plan.stages import StageGraph


class BaseImages:
    """Asks the resolver, once for each image and platform; `inputs` is what it answered."""

    def __init__(self, resolver: ImageResolver, graph: StageGraph) -> None:
        self._resolver, self._graph = resolver, graph
        self._found: dict[tuple[str, Platform], ResolvedImage] = {}

    @property
    def inputs(self) -> tuple[tuple[str, str, str], ...]:
        return tuple(
            (reference, str(platform), image.manifest_digest) for (reference, platform), image in self._found.items()
        )

    def get(self, tree: ImageInput, platform: Platform, location: Location) -> ResolvedImage:
        """Return what the name stands for. Raises PlanError, with the resolver's reason."""
        key = (tree.reference, platform)
        if key not in self._found:
            try:
                self._found[key] = self._resolver.resolve(tree.reference, platform)
            except Cancelled:  # no line of the Dockerfile is at fault
                raise
            except PybuildError as error:
                raise PlanError(f"{tree.written}: {error.message}", location, hint=self._hint(tree, error)) from error
        return self._found[key]

    def _hint(self, tree: ImageInput, error: PybuildError) -> str:
        stage = "" if is_place(tree.reference) else self._graph.suggestion(tree.written)
        return f"Did you mean the stage {stage}?" if stage else error.hint


def inherited_config(config: ImageConfig) -> ImageConfig:
    """Return the config a build begins with: the base's, without its date and what only concerned its own making."""
    # The base's triggers fire in this stage, and not in those that are FROM it (O-3).
    return replace(config.inherited(), created="").with_runtime(on_build=())
