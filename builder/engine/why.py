"""Why the steps of a build ran, exactly as it was then: read from the build's record (`explain --why`)."""

from __future__ import annotations

from typing import NamedTuple

from builder.engine.build_record import BuildRecord
from builder.engine.step_graph import StepNode, graph_of_record
from builder.oci.canonical import JsonObject
from builder.solve.difference import Difference
from builder.solve.event_json import difference_to_json, event_from_json
from builder.solve.events import StepStarted

_NOTHING_SAID = StepStarted(0, "")


class StepWhy(NamedTuple):
    """A step of a build that was done."""

    node: StepNode
    cached: bool
    seconds: float
    reason: str
    """The one line that displays showed."""
    differences: tuple[Difference, ...]
    unsaid: int
    """How many more differences there were than are kept."""

    def to_json(self) -> JsonObject:
        """Return what `explain --why --format json` says of the step."""
        node = self.node
        return {
            "platform": node.platform, "stage": node.stage, "number": node.number, "title": node.title,
            "line": node.line, "cached": self.cached, "seconds": round(self.seconds, 3), "reason": self.reason,
            "differences": [difference_to_json(each) for each in self.differences], "unsaid": self.unsaid,
        }  # fmt: skip


def why(record: BuildRecord) -> tuple[StepWhy, ...]:
    """Return for each step of a build why it ran, platform by platform."""
    started: dict[tuple[str, int], StepStarted] = {}
    for _, document in record.events:
        if document["event"] == "step-started":
            event = event_from_json(document)
            assert isinstance(event, StepStarted)
            started[event.platform, event.step] = event
    reports = {(image.platform, step.step): step for image in record.images for step in image.steps}
    found = []
    for node in graph_of_record(record):
        report = reports[node.platform, node.step]
        # In a build for one platform events do not name it.
        said = started.get((node.platform if len(record.images) > 1 else "", node.step), _NOTHING_SAID)
        found.append(StepWhy(node, report.cached, report.seconds, report.reason, said.differences, said.unsaid))
    return tuple(found)
