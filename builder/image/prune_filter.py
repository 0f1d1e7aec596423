"""What `--filter` of docker's `prune` lets go: what was made before a time, what has labels or has them not.

until=24h                    made so long ago or longer; of the cache, used last
until=2026-01-31T12:00       by that time, in the zone of this machine where it names none; 1767225600: since 1970
label=K, label=K=V           all of these
label!=K, label!=K=V         none of these
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from builder.dockerfile.values import parse_duration
from builder.errors import UsageError
from builder.image.timestamp import parse_timestamp

PRUNE_KEYS = ("until", "label", "label!")
CACHE_KEYS = ("until",)
"""A cached step has no labels."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt](\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_SINCE_1970 = re.compile(r"(\d{1,11})(?:\.\d{1,9})?", re.ASCII)
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PruneFilter:
    """What may go of what nothing uses."""

    until: int | None = None
    """Nanoseconds since 1970."""
    labels: tuple[tuple[str, str | None], ...] = ()
    """Keys, each with its value or None for any."""
    kept_labels: tuple[tuple[str, str | None], ...] = ()
    """What has one of these stays."""

    def takes(self, made: int | None, labels: Iterable[tuple[str, str]]) -> bool:
        """Say whether something may go that was `made` then (nanoseconds since 1970; None: nobody knows)."""
        if self.until is not None and (made is None or made > self.until):
            return False
        found = dict(labels)
        return all(_has(found, one) for one in self.labels) and not any(_has(found, one) for one in self.kept_labels)

    @property
    def takes_cache(self) -> bool:
        """Whether a cached step, which has no labels, may go at all."""
        return not self.labels

    def unused_for(self) -> float:
        """Return for how many seconds a cached step that may go was not used."""
        return 0.0 if self.until is None else time.time() - self.until / _NS


EVERYTHING = PruneFilter()


def parse_prune_filters(words: Sequence[str], keys: Sequence[str] = PRUNE_KEYS) -> PruneFilter:
    """Parse words of --filter, of which these keys are known. Raises UsageError."""
    times: list[int] = []
    labels: dict[str, list[tuple[str, str | None]]] = {"label": [], "label!": []}
    for word in words:
        key, equals, value = word.partition("=")
        key, value = key.strip().lower(), value.strip()
        if key not in keys or not equals or not value:
            hint = f"KEY=VALUE, where KEY is {', '.join(keys)}: until=24h"
            raise UsageError(
                f"--filter {word!r} is not known", hint=f"{hint}, label!=keep." if "label" in keys else hint
            )
        if key == "until":
            times.append(_parse_until(value, time.time_ns()))
        else:
            name, equals, text = value.partition("=")
            labels[key].append((name, text if equals else None))
    if len(times) > 1:
        raise UsageError("more than one until filter specified")
    return PruneFilter(times[0] if times else None, tuple(labels["label"]), tuple(labels["label!"]))


def _parse_until(text: str, now: int) -> int:
    """Return a time as docker reads it (moby, api/types/time/timestamp.go), in nanoseconds since 1970."""
    with suppress(ValueError):
        if text != "0":  # docker: that is a time, not a length of it
            return now - parse_duration(text)
    if match := _SINCE_1970.fullmatch(text):
        return int(match[1]) * _NS
    match = _TIME.fullmatch(text)
    day, hour, minute, second, zone = match.groups() if match else ("", None, None, None, None)
    found = parse_timestamp(f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone or 'Z'}")
    if found is None:
        raise UsageError(
            f"--filter until={text} is no time", hint="Write how long ago (24h, 10m), or a date (2026-01-31T12:00)."
        )
    return found if zone else _as_local(found)


def _as_local(nanoseconds: int) -> int:
    """Return the moment at which the clocks of this machine show what those of UTC do at `nanoseconds`."""
    seconds, fraction = divmod(nanoseconds, _NS)
    shown = time.gmtime(seconds)
    return int(time.mktime((*shown[:8], -1))) * _NS + fraction


def _has(labels: Mapping[str, str], wanted: tuple[str, str | None]) -> bool:
    key, value = wanted
    return key in labels and (value is None or labels[key] == value)
