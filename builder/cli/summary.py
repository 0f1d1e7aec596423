"""The last lines of a build: what was made, what it is called, how much of it was new."""

from __future__ import annotations

from collections.abc import Iterator

from builder.cli.text import short_digest, size_text
from builder.engine.result import BuildResult, ImageReport
from builder.oci.reference import parse_reference


def summary_lines(result: BuildResult) -> Iterator[str]:
    """Yield the lines; warnings about unused build arguments come first, since they are easily missed."""
    for image in result.images:
        unused = ", ".join(image.unused_build_args)
        if unused:
            yield f"warning: --build-arg {unused}: no ARG of the build uses it"
            break
    for image in result.images:
        yield _image_line(image, several=len(result.images) > 1)
    if len(result.images) > 1:
        yield f"index {result.descriptor.digest}"
    for name in result.names:
        yield f"tagged {parse_reference(name).familiar}"
    yield from result.outputs
    yield f"done in {result.seconds:.2f}s"


def _image_line(image: ImageReport, *, several: bool) -> str:
    solved = [step for step in image.steps if step.layer]
    cached = sum(step.cached for step in solved)
    platform = f" {image.platform}" if several else ""
    return (
        f"image {short_digest(image.image_id)}{platform}: {image.layers} layers, {size_text(image.size)}; "
        f"steps: {cached} cached, {len(solved) - cached} executed"
    )
