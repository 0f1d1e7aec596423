"""Single values of instructions as Go reads them: the durations of HEALTHCHECK, the signals of STOPSIGNAL.

The messages are those of Go's time.ParseDuration and of docker's signal package, which users know.
"""

from __future__ import annotations

import re

from builder.errors import Location, PlanError

NANOSECONDS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}  # fmt: skip
_LARGEST = (1 << 63) - 1
_DURATION_PART = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>[^.0-9]*)", re.ASCII)

_SIGNALS = frozenset({
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "UNUSED", "URG",
    "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
} | {f"RTMIN+{n}" for n in range(1, 16)} | {f"RTMAX-{n}" for n in range(1, 15)})  # fmt: skip


def parse_duration(text: str) -> int:
    """Return a Go duration ("1h30m", "1.5s", "300ms") in nanoseconds, exactly. Raises ValueError with Go's wording."""
    negative = text.startswith("-")
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = 0
    position = 0
    while position < len(rest):
        match = _DURATION_PART.match(rest, position)
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


def check_stop_signal(text: str, location: Location | None = None) -> str:
    """Return `text` when it names a signal: `SIGTERM`, `term`, `RTMIN+3`, `9`. Raises PlanError."""
    is_number = re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII) and int(text) != 0
    if is_number or text.upper().removeprefix("SIG") in _SIGNALS:
        return text
    raise PlanError(f"invalid signal: {text}", location, hint="Use a name such as SIGTERM, or a number.")
