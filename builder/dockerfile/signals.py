"""Signal names and numbers, as STOPSIGNAL takes them: `SIGTERM`, `term`, `RTMIN+3`, `9`."""

from __future__ import annotations

import re

from builder.errors import Location, PlanError

_NAMES = frozenset({
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "UNUSED", "URG",
    "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
} | {f"RTMIN+{n}" for n in range(1, 16)} | {f"RTMAX-{n}" for n in range(1, 15)})  # fmt: skip


def check_stop_signal(text: str, location: Location | None = None) -> str:
    """Return `text` when it names a signal. Raises PlanError."""
    is_number = re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII) and int(text) != 0
    if is_number or text.upper().removeprefix("SIG") in _NAMES:
        return text
    raise PlanError(f"invalid signal: {text}", location, hint="use a name such as SIGTERM or a number")
