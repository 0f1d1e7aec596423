"""The steps of a build and what each needs: of a record, and in the form that plans have as well."""

from __future__ import annotations

import re
from typing import NamedTuple

from builder.engine.build_record import BuildRecord

_NUMBERED = re.compile(r"\[(?:.* )?(\d+)/\d+\] (.*)", re.DOTALL)


class StepNode(NamedTuple):
    platform: str
    step: int
    title: str
    """As displays show it: `[build 2/5] RUN make`."""
    stage: str
    key: str
    """The cache key; "" for an image, and for a step that has none yet."""
    parent: int | None
    reads: tuple[int, ...]
    is_image: bool
    line: int = 0

    @property
    def number(self) -> int:
        """As displays count, from 1 within its stage; 0 for an image that is only copied from."""
        found = _NUMBERED.fullmatch(self.title)
        return int(found[1]) if found else 0

    @property
    def text(self) -> str:
        """The title without its number."""
        found = _NUMBERED.fullmatch(self.title)
        return found[2] if found else self.title

    def needs(self) -> tuple[int, ...]:
        """Return the steps that it stands on or reads from."""
        own = () if self.parent is None else (self.parent,)
        return tuple(dict.fromkeys((*own, *self.reads)))

    def name(self, seen_from: str = "") -> str:
        """Return what it is called in a sentence, by a step of the stage `seen_from`."""
        number = f"step {self.number}" if self.number else "the image"
        stage = f" of {self.stage}" if self.number and self.stage != seen_from else ""
        text = " ".join(self.text.split())
        return f"{number}{stage} ({text if len(text) <= 40 else text[:40] + '…'})"


def graph_of_record(record: BuildRecord) -> tuple[StepNode, ...]:
    """Return the steps of a build that was done, platform by platform."""
    places = {(step.platform, step.step): step for step in record.steps}
    found = []
    for image in record.images:
        for step in image.steps:
            place = places[image.platform, step.step]
            found.append(
                StepNode(
                    *(image.platform, step.step, step.title, step.stage, step.key),
                    *(place.parent, place.reads, not step.key, place.line),
                )
            )
    return tuple(found)
