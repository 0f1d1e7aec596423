"""ONBUILD: the triggers of a base, read when they fire (O-*)."""

from __future__ import annotations

from collections.abc import Iterable

from builder.dockerfile.instructions import StageStatement
from builder.dockerfile.parser import parse_trigger
from builder.errors import DockerfileSyntaxError, Location, PlanError


def read_triggers(triggers: Iterable[str], location: Location) -> list[StageStatement]:
    """Read the triggers of a base; errors point at the FROM that fires them. Raises PlanError."""
    found: list[StageStatement] = []
    for text in triggers:
        try:
            found.append(parse_trigger(text, location))
        except DockerfileSyntaxError as error:
            # The file has no line of its own for it: the FROM is shown, and the text of the trigger with it.
            hint = f"It is a trigger of the base: ONBUILD {text.partition(chr(10))[0]}"
            raise PlanError(error.message, location, hint=hint) from error
    return found
