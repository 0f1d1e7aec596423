"""Two explained images: how far they are the same, at which step they part, and why.

In: two images that are open. Out: values. Why is exact where both have records of their builds: then the two steps'
preimages are compared, as for a miss.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from builder.engine.explaining import Explained
from builder.explain.compare import PathDifference, differing_paths
from builder.explain.model import ExplainedStep
from builder.oci.canonical import JsonObject
from builder.solve.reason.compare import Sources, differences, read_look


class Comparison(NamedTuple):
    """What two images have in common, and where they differ."""

    same_layers: int
    """How many layers, from the base on, are the same ones."""
    parts_at: tuple[ExplainedStep | None, ExplainedStep | None]
    """The steps that made the first layers that differ; None where an image has none there any more."""
    reasons: tuple[str, ...]
    """Why these two steps differ, as far as their records tell."""
    config: tuple[tuple[str, str, str], ...]
    """Member of the config, and what the first and the second have."""
    files: tuple[PathDifference, ...]

    def to_json(self) -> JsonObject:
        """Return what `explain A B --format json` prints."""
        steps = [step and {"step": step.number, "stage": step.stage, "text": step.text} for step in self.parts_at]
        return {
            "same_layers": self.same_layers,
            "parts_at": steps,
            "reasons": list(self.reasons),
            "config": [dict(zip(("member", "first", "second"), row)) for row in self.config],
            "files": [{"path": file.path, "change": file.kind, "bytes": file.growth} for file in self.files],
        }


def compare_images(first: Explained, second: Explained) -> Comparison:
    """Compare two images. Raises LayerError for a damaged table of contents."""
    ids = [[layer.diff_id for layer in each.explanation.own] for each in (first, second)]
    same = next((at for at, (one, other) in enumerate(zip(*ids)) if one != other), min(map(len, ids)))
    steps = (_maker(first, same), _maker(second, same))
    return Comparison(
        same_layers=same,
        parts_at=steps,
        reasons=tuple(_reasons(first, second, *steps)),
        config=tuple(_config(first, second)),
        files=tuple(differing_paths(first.stories(), second.stories())) if ids[0] != ids[1] else (),
    )


def _maker(explained: Explained, layer: int) -> ExplainedStep | None:
    own = explained.explanation.own
    return explained.explanation.steps[own[layer].step] if layer < len(own) else None


def _reasons(
    first: Explained, second: Explained, one: ExplainedStep | None, other: ExplainedStep | None
) -> Iterator[str]:
    if one is None or other is None:
        return
    if one.instruction == other.instruction == "FROM":
        yield "the base images differ"
        return
    was, now = first.preimage(one), second.preimage(other)
    if was is None or now is None:
        if one.text != other.text:
            yield "the instructions differ"
        return
    looks = read_look(was, first.facts(one)), read_look(now, second.facts(other))
    # What lies below is the same: these are the first layers that differ.
    found = differences(*looks, Sources(lambda: iter(()), lambda seen: seen.lines, _nothing, _nothing))
    yield from [each.words for each in found] or [
        "the same step gave other bytes: what it does hangs on more than its inputs"
    ]


def _nothing(*_: object) -> str:
    return ""


def _config(first: Explained, second: Explained) -> Iterator[tuple[str, str, str]]:
    was, now = (each.image.config.runtime.to_json() for each in (first, second))
    for member in sorted(was.keys() | now.keys()):
        if was.get(member) == now.get(member):
            continue
        if isinstance(was.get(member), list) and isinstance(now.get(member), list) and member == "Env":
            before, after = (dict(text.partition("=")[::2] for text in each[member]) for each in (was, now))
            for name in sorted(before.keys() | after.keys()):
                if before.get(name) != after.get(name):
                    yield f"Env {name}", _shown(before.get(name)), _shown(after.get(name))
        else:
            yield member, _shown(was.get(member)), _shown(now.get(member))


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
