"""Go durations ("1h30m", "1.5s", "300ms") as nanoseconds: the values of HEALTHCHECK's options.

Exact integer arithmetic; the messages are those of Go's time.ParseDuration, which users know.
"""

from __future__ import annotations

import re

NANOSECONDS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}  # fmt: skip
_LARGEST = (1 << 63) - 1
_PART = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>[^.0-9]*)", re.ASCII)


def parse_duration(text: str) -> int:
    """Return nanoseconds. Raises ValueError with Go's wording."""
    negative = text.startswith("-")
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = 0
    position = 0
    while position < len(rest):
        match = _PART.match(rest, position)
        if match is None or not (match["whole"] or match["fraction"]):
            raise ValueError(f'time: invalid duration "{text}"')
        total += _part(match, text)
        if total > _LARGEST:
            raise ValueError(f'time: invalid duration "{text}"')
        position = match.end()
    return -total if negative else total


def _part(match: re.Match[str], text: str) -> int:
    whole, fraction, unit = match["whole"], match["fraction"] or "", match["unit"]
    if not unit:
        raise ValueError(f'time: missing unit in duration "{text}"')
    if unit not in NANOSECONDS:
        raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
    if len(whole) > 19:  # more digits than 2**63 has
        raise ValueError(f'time: invalid duration "{text}"')
    fraction = fraction[:18]
    scale = NANOSECONDS[unit]
    return int(whole or "0") * scale + int(fraction or "0") * scale // int(10 ** len(fraction))
