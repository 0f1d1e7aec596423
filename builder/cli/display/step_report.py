"""What is shown of a step at which a build stops: its layer, what that changed, the cache key and why it was no hit.

step 3 of 5: [stage-2 2/3] COPY app /app
  Dockerfile:8
  key    74ec1a52a3b9  miss: not built here before
  layer  2cfc0acde452  1 added, 1 changed, 1 deleted, 31B
  A /app/tool                          5B
  C /etc/passwd                       26B  content
  D /app/old                          31B  stays in the layers below
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence

from builder.cli.display.text import age_text, clean, clipped, size_text
from builder.errors import counted
from builder.filesystem.entry import DIRECTORY, FILE
from builder.layer.changes import LayerChange
from builder.oci.digest import short_digest
from builder.plan.step import ImageOp
from builder.solve.difference import FIRST_BUILD
from builder.solve.pause import PausedStep

_LETTERS = {"added": "A", "changed": "C", "deleted": "D"}
"""docker diff's, as for containers."""
_SHOWN_CHANGES = 12
_SIZE_COLUMNS = 8


def report_lines(step: PausedStep, changes: Sequence[LayerChange], width: int) -> Iterator[str]:
    """Yield what is to be known of a step at a glance, in lines of `width` columns."""
    title = clipped(clean(step.step.title), width, len(f"step {step.number} of {len(step.plan.steps)}: "))
    yield f"step {step.number} of {len(step.plan.steps)}: {title}"
    location = step.step.label.location
    if location is not None and location.line:
        yield f"  {clean(location.file)}:{location.line}"
    yield from _origin(step)
    if step.result.layer is None:
        return
    yield f"  layer  {short_digest(str(step.result.layer.diff_id))}  {_counts(step, changes)}"
    yield from change_lines(changes[:_SHOWN_CHANGES], width)
    if len(changes) > _SHOWN_CHANGES:
        yield f"  … and {len(changes) - _SHOWN_CHANGES} more"


def change_lines(changes: Sequence[LayerChange], width: int) -> Iterator[str]:
    """Yield a line for each change: what happened, the path, bytes, and what else there is to say."""
    names = [clean(f"/{change.path}{'/' if change.what == DIRECTORY and change.path else ''}") for change in changes]
    column = min(max(map(len, names), default=0), max(20, width - 40))
    for change, name in zip(changes, names):
        has_size = change.what == FILE or (change.what == DIRECTORY and change.kind == "deleted")
        size = size_text(change.size) if has_size else ""
        words = "stays in the layers below" if change.kind == "deleted" else clean(", ".join(change.words))
        yield f"  {_LETTERS[change.kind]} {name.ljust(column)} {size.rjust(_SIZE_COLUMNS)}  {words}".rstrip()


def key_lines(step: PausedStep) -> Iterator[str]:
    """Yield the whole cache key of a step, and what it is the digest of."""
    preimage = step.preimage()
    if preimage is None:
        yield "  this step has no cache key: its layers are those that the image's digest names"
        return
    yield f"  {step.result.key} is the sha256 of this as canonical JSON ({len(preimage)} bytes):"
    text = json.dumps(json.loads(preimage), indent=2, ensure_ascii=False)
    yield from (f"  {clean(line)}" for line in text.split("\n"))


def _origin(step: PausedStep) -> Iterator[str]:
    result = step.result
    if isinstance(step.step.op, ImageOp):
        layers = result.stack.layers
        how = "was here already" if result.cached else "was fetched"
        count = counted(len(layers), "layer")
        size = size_text(sum(layer.bytes for layer in layers))
        yield f"  image  {short_digest(str(step.step.op.manifest_digest))}  {how}: {count}, {size}"
        return
    if result.cached:
        why = f"hit: the same was made {age_text(time.time() - result.created / 1e9)}"
    else:
        why = f"miss: {result.reason or FIRST_BUILD}, made in {result.seconds:.1f}s"
    yield f"  key    {short_digest(result.key)}  {clean(why)}"


def _counts(step: PausedStep, changes: Sequence[LayerChange]) -> str:
    counted = [(kind, sum(change.kind == kind for change in changes)) for kind in _LETTERS]
    said = ", ".join(f"{count} {kind}" for kind, count in counted if count) or "nothing changed"
    return f"{said}, {size_text(step.result.layer.bytes if step.result.layer else 0)}"
