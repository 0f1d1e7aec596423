"""History records: what `created_by` says of each instruction.

The texts are BuildKit's byte for byte, except that steps that own a layer end in `# pybuild` where BuildKit puts its
own name, and the comment is ours. Records of WORKDIR have no such ending, although they own a layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from builder.dockerfile.words import go_quote
from builder.oci.config import Healthcheck

COMMENT = "pybuild.dockerfile.v0"
LAYER_COMMENT = "pybuild.exporter.image.v0"
"""Of a layer that no instruction made: a build context that stands in for an image."""
# docs/decisions/0005.
_SUFFIX = " # pybuild"


def run(argv: Iterable[str], arguments: Mapping[str, str]) -> str:
    """`RUN |2 a=1 b=2 /bin/sh -c make # pybuild`; the arguments are those of the stage, each once."""
    shown = [f"|{len(arguments)}", *(f"{name}={value}" for name, value in arguments.items())] if arguments else []
    return "RUN " + " ".join([*shown, *argv]) + _SUFFIX


def transfer(keyword: str, flags: Iterable[str], sources: Iterable[str], destination: str) -> str:
    """`COPY --chown=1 a b /dest # pybuild`, paths as written after expansion."""
    return " ".join([keyword, *flags, *sources, destination]) + _SUFFIX


def workdir(path: str) -> str:
    return f"WORKDIR {path}"


def pairs(keyword: str, items: Iterable[tuple[str, str]]) -> str:
    """`ENV a=1 b=2`, `LABEL a=1`."""
    return " ".join([keyword, *(f"{key}={value}" for key, value in items)])


def arg(definitions: Iterable[tuple[str, str | None]]) -> str:
    """`ARG a=1 b`."""
    return " ".join(["ARG", *(name if value is None else f"{name}={value}" for name, value in definitions)])


def quoted(keyword: str, words: Iterable[str]) -> str:
    """`CMD ["a" "b"]`."""
    return f"{keyword} [{' '.join(map(go_quote, words))}]"


def listed(keyword: str, words: Iterable[str]) -> str:
    """`EXPOSE [80/tcp 90/udp]`."""
    return f"{keyword} [{' '.join(words)}]"


def healthcheck(check: Healthcheck) -> str:
    """`HEALTHCHECK {Test:[CMD-SHELL true] Interval:1s Timeout:0s … Retries:3}`."""
    durations = (
        ("Interval", check.interval), ("Timeout", check.timeout), ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    )  # fmt: skip
    shown = " ".join(f"{name}:{go_duration(value)}" for name, value in durations)
    return f"HEALTHCHECK {{Test:[{' '.join(check.test)}] {shown} Retries:{check.retries}}}"


def go_duration(nanoseconds: int) -> str:
    """Return a duration as Go prints it: 1m30s, 150ms, 2h0m0s, 0s."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    # Go goes over to seconds at the first whole one, and below that to the largest unit (time.Duration, String).
    for unit, size in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if rest < size * 1000:
            return f"{sign}{_decimal(rest, size)}{unit}"
    minutes, below = divmod(rest, 60 * 1_000_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(below, 1_000_000_000)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = f"{fraction:0{len(str(unit)) - 1}d}".rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)
