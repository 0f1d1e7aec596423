"""What an image may not exceed, for CI: `explain --max-waste SIZE|N%`, `--max-layer SIZE`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import NamedTuple

from builder.cli.display.text import clean, size_text
from builder.cli.options import parse_disk_size
from builder.errors import UsageError
from builder.explain.model import Explanation

_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")


class Limits(NamedTuple):
    """None for what is not limited."""

    waste: int | None = None
    """Bytes that may be hidden."""
    percent: float | None = None
    """Of all bytes stored, how many may be hidden."""
    layer: int | None = None
    """Bytes that a layer of a step, but not of the base, may have."""

    def exceeded(self, explanation: Explanation) -> Iterator[str]:
        """Yield a line for each limit that an image exceeds, or of which nobody can say."""
        if self == Limits():
            return
        for each in explanation.unknown:
            yield f"L{each.number} cannot be looked into, so no limit holds for it: {clean(each.missing)}"
        hidden, stored = explanation.hidden, explanation.stored
        share = 100 * hidden / stored if stored else 0.0
        if (self.waste is not None and hidden > self.waste) or (self.percent is not None and share > self.percent):
            most = size_text(self.waste) if self.waste is not None else f"{self.percent:g}%"
            yield f"{size_text(hidden)} of {size_text(stored)} are hidden; --max-waste allows {most}"
        for each in explanation.own:
            size = each.size or 0
            if self.layer is not None and size > self.layer and explanation.steps[each.step].instruction != "FROM":
                yield f"L{each.number} has {size_text(size)}; --max-layer allows {size_text(self.layer)}"


def limits_of(arguments: argparse.Namespace) -> Limits:
    """Return the limits that were given. Raises UsageError."""
    limits = Limits()
    if arguments.max_waste is not None:
        percent = _PERCENT.fullmatch(arguments.max_waste.strip())
        if percent is not None:
            limits = limits._replace(percent=float(percent[1]))
        else:
            limits = limits._replace(waste=parse_disk_size(arguments.max_waste, "--max-waste"))
    if arguments.max_layer is not None:
        if arguments.max_layer.strip().endswith("%"):
            raise UsageError(f"--max-layer {arguments.max_layer}: a layer has a size", hint="For example 100MB.")
        limits = limits._replace(layer=parse_disk_size(arguments.max_layer, "--max-layer"))
    return limits
