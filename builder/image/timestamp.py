"""Times in images: RFC 3339 text in UTC, as configs and histories hold them (image-spec config.md, `created`)."""

from __future__ import annotations

import re
import time

_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_NANOSECONDS = 1_000_000_000


def format_timestamp(nanoseconds: int) -> str:
    """Return nanoseconds since 1970 as RFC 3339 text; without a fraction when there is none."""
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{fraction:09d}Z" if fraction else f"{text}Z"


def now() -> str:
    """Return the present moment, always with nine digits, so that such texts sort by time."""
    nanoseconds = time.time_ns()
    return format_timestamp(nanoseconds if nanoseconds % _NANOSECONDS else nanoseconds + 1)


def parse_timestamp(text: str) -> int | None:
    """Return RFC 3339 text as nanoseconds since 1970; None for anything else: images hold all sorts of things."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    *numbers, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = (int(number) for number in numbers)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    days = _days_since_1970(year, month, day)
    offset = 0 if sign is None else (int(hours) * 60 + int(minutes)) * (60 if sign == "+" else -60)
    whole = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    return whole * _NANOSECONDS + int((fraction or "").ljust(9, "0"))


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Count days in the proleptic Gregorian calendar (calendar.timegm without importing calendar and datetime)."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
