"""The worst inputs are read in a time that grows with their size, not with its square.

Each input is read at two sizes, one four times the other. Quadratic work would take sixteen times as long; the bound is
half of that, because the machine has other things to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from builder.dockerfile.parser import parse_partially
from builder.errors import DockerfileSyntaxError
from builder.lint.finding import LintInputs
from builder.lint.linter import lint

pytestmark = pytest.mark.alone

SMALL = 1 << 16
LARGE = 1 << 18
TOLERANCE = 8
FLOOR_SECONDS = 0.03
ROUNDS = 4

HEAD = "FROM scratch\n"
INPUTS: dict[str, Callable[[int], str]] = {
    "short instructions": lambda n: HEAD + "RUN x\n" * (n // 6),
    "one long continuation": lambda n: HEAD + "RUN a" + "\\\nb" * (n // 3),
    "words over many lines": lambda n: HEAD + "EXPOSE a" + "\\\n b" * (n // 4),
    "many words": lambda n: HEAD + "EXPOSE " + "1 " * (n // 2),
    "many pairs": lambda n: HEAD + "ENV " + "a=b " * (n // 4),
    "empty quotes": lambda n: HEAD + "ENV a=" + "''" * (n // 2),
    "unclosed quotes": lambda n: HEAD + "ENV a=" + '"' * (n - 1),
    "escapes": lambda n: HEAD + "ENV a=" + "\\" * n,
    "escapes in quotes": lambda n: HEAD + 'ENV a="' + "\\" * (n + 1),
    "open brackets": lambda n: HEAD + "CMD " + "[" * n,
    "nested brackets": lambda n: HEAD + "CMD " + "[" * (n // 2) + "]" * (n // 2),
    "a long array": lambda n: HEAD + "CMD [" + '"a",' * (n // 4) + '"a"]',
    "an array without end": lambda n: HEAD + "CMD [" + '"a",' * (n // 4) + '"a"',
    "heredoc markers": lambda n: HEAD + "RUN " + "<<A " * (n // 4),
    "heredocs that end": lambda n: HEAD + "RUN " + "<<A " * (n // 8) + "\n" + "A\n" * (n // 8),
    "heredocs that never end": lambda n: HEAD + "RUN <<A\n" * (n // 8),
    "shifts that look like heredocs": lambda n: HEAD + "RUN x << A\n" * (n // 11),
    "a heredoc of quotes": lambda n: HEAD + "RUN <<" + '"a' * (n // 2),
    "a heredoc body of tabs": lambda n: HEAD + "RUN <<-A\n" + "\tx\n" * (n // 3) + "\tA\n",
    "comments": lambda n: "# x\n" * (n // 4) + HEAD,
    "blank lines": lambda n: "\n" * n + HEAD,
    "blanks": lambda n: HEAD + " " * n + "RUN" + " " * n + "x" + " " * n,
    "blanks before escapes": lambda n: HEAD + "RUN x" + (" " * 100 + "\\\n") * (n // 100),
    "comments in a continuation": lambda n: HEAD + "RUN \\\n" + "# a \\\n" * (n // 6) + "x",
    "blank lines in a continuation": lambda n: HEAD + "RUN x\\\n\n\ny\n" * (n // 11),
    "flags": lambda n: HEAD + "RUN " + "--mount=target=/a " * (n // 18) + "x",
    "unknown flags": lambda n: HEAD + "RUN " + "--a " * (n // 4) + "x",
    "quotes in a flag": lambda n: HEAD + "RUN --mount=" + '""' * (n // 2) + " x",
    "fields of a mount": lambda n: HEAD + "RUN --mount=target=/a" + ",ro" * (n // 3) + " x",
    "types of a mount": lambda n: HEAD + "RUN --mount=" + "type=ssh," * (n // 9) + "id=x x",
    "no instructions at all": lambda n: "a\n" * (n // 2),
    "no stage": lambda n: "RUN x\n" * (n // 6),
    "faulty instructions": lambda n: HEAD + "COPY\n" * (n // 5),
    "faulty stages": lambda n: "FROM\n" * (n // 5),
    "stages": lambda n: HEAD * (n // 13),
    "NUL bytes": lambda n: "\0" * n,
    "carriage returns": lambda n: HEAD + "RUN " + "\r" * n,
    "a long keyword": lambda n: HEAD + "x" * n,
    "a long duration": lambda n: HEAD + "HEALTHCHECK --interval=" + "1s" * (n // 2) + " CMD x",
    "chained triggers": lambda n: HEAD + "ONBUILD " * (n // 8),
    "a directive of blanks": lambda n: "# escape=" + " " * n + "x" + " " * n + "y\n" + HEAD,
    "escape characters alone": lambda n: "\\\n" * (n // 2),
    "package managers": lambda n: HEAD + "COPY . .\nRUN " + "apt -apt pip " * (n // 13),
    "deletions": lambda n: HEAD + "COPY a /b\nRUN rm " + "/b " * (n // 3),
}


def seconds(text: str) -> float:
    start = time.process_time()
    try:
        dockerfile, _ = parse_partially(text)
        lint(dockerfile, LintInputs(enable=frozenset({"all", "advice"})))
    except DockerfileSyntaxError:
        pass
    return time.process_time() - start


@pytest.mark.parametrize("write", INPUTS.values(), ids=INPUTS.keys())
def test_time_grows_with_the_size(write: Callable[[int], str]) -> None:
    seconds(HEAD)
    small = large = float("inf")
    for _ in range(ROUNDS):  # what disturbs a machine for a moment only adds to a measurement
        small = min(small, max(FLOOR_SECONDS, seconds(write(SMALL))))
        large = min(large, seconds(write(LARGE)))
        if large < TOLERANCE * small:
            return
    pytest.fail(f"{SMALL} bytes took {small:.3f} s, {LARGE} bytes {large:.3f} s")
