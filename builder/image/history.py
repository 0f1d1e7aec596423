"""Histories: one record per instruction, aligned with layers, every record with a time.

A record that is not `empty_layer` stands for one layer, in order (image-spec config.md#properties). Images found in the
wild break that; a build on top of one repairs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from builder.image.timestamp import format_timestamp, parse_timestamp
from builder.oci.config import History
from builder.plan.plan import PlannedHistory
from builder.plan.step import StepID

PADDING_COMMENT = "pybuild.exporter.image.v0"
_NANOSECONDS = 1_000_000_000


def aligned(history: Sequence[History], layers: int, created: str) -> tuple[History, ...]:
    """Return a base's history with exactly `layers` records of layers.

    Missing records are appended, with the time `created`; of too many, the last become `empty_layer`.
    """
    result: list[History] = []
    found = 0
    for record in history:
        if not record.empty_layer:
            found += 1
        result.append(replace(record, empty_layer=True) if found > layers else record)
    missing = max(0, layers - found)
    return (*result, *[History(created=created, comment=PADDING_COMMENT)] * missing)


def extended(
    base: Sequence[History],
    planned: Sequence[PlannedHistory],
    created: Mapping[StepID, str],
    *,
    author: str = "",
    epoch: int | None = None,
    now: str = "",
) -> tuple[History, ...]:
    """Return the history of an image: the base's, then what this build adds, with a time for every record.

    Layers have the time they were made (`created`); metadata takes that of the first new layer, then that of the
    record before it. With `epoch` (seconds since 1970) all new records get that time and later ones of the base are
    brought down to it.
    """
    added = [
        History(
            created=created.get(record.step, now) if record.step is not None else "",
            created_by=record.created_by,
            comment=record.comment,
            author=author,
            empty_layer=record.step is None,
        )
        for record in planned
    ]
    history = _stamped([*base, *added], now)
    return tuple(history) if epoch is None else tuple(_clamped(record, epoch) for record in history)


def _stamped(history: list[History], now: str) -> list[History]:
    gaps = [number for number, record in enumerate(history) if not record.created]
    if not gaps:
        return history
    after = [record.created for record in history[gaps[0] :] if record.created]
    before = [record.created for record in history[: gaps[0]] if record.created]
    # What comes before the first new layer has that one's time, and not the base's, which may be years older.
    current = after[0] if after else (before[-1] if before else now)
    result: list[History] = []
    for number, record in enumerate(history):
        if record.created and number > gaps[0]:
            current = record.created
        result.append(record if record.created else replace(record, created=current))
    return result


def _clamped(record: History, epoch: int) -> History:
    timestamp = parse_timestamp(record.created)
    # What is no time cannot be said to be early enough.
    if timestamp is None or timestamp > epoch * _NANOSECONDS:
        return replace(record, created=format_timestamp(epoch * _NANOSECONDS))
    return record
