"""One platform's image as a build has made it, and the report of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from builder.engine.result import ImageReport, StepReport

if TYPE_CHECKING:
    from builder.image.image import Image
    from builder.oci.platform import Platform
    from builder.plan.plan import Plan
    from builder.plan.step import Op, Step
    from builder.solve.results import Results


class BuiltImage(NamedTuple):
    """One platform's image."""

    platform: Platform
    plan: Plan
    results: Results
    image: Image
    last: tuple[str, str]
    """(key of a document, document) with the keys of the steps, for the next build (solve/reason/last_build.py)."""

    def report(self) -> ImageReport:
        """Return what displays and the build record show of the image."""
        layers = self.results.stack(self.plan.image.result).layers
        return ImageReport(
            str(self.platform),
            str(self.image.id),
            len(layers),
            sum({layer.diff_id: layer.bytes for layer in layers}.values()),
            tuple(_step_report(step, self.results) for step in self.plan.steps),
            self.plan.unused_build_args,
        )


def _step_report(step: Step[Op], results: Results) -> StepReport:
    solved = results.steps[step.id]
    layer = solved.layer
    return StepReport(
        step=step.id,
        title=step.title,
        stage=step.label.stage,
        cached=solved.cached,
        key=solved.key,
        layer=str(layer.diff_id) if layer else "",
        size=layer.bytes if layer else 0,
        reason=solved.reason,
        seconds=solved.seconds,
    )
