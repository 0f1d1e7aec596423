"""Times in layers: what a step left is what the next one sees, in every isolation, cached or not."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.program import Program

ISOLATIONS = ("native", "oci", "chroot")
STEPS = """\
FROM base
RUN mkdir -p /d/e /f /g /h && echo a >/d/x && touch -d '2001-01-01 00:00:00' /d/e /d /f /g /h
RUN touch -d '2010-01-01 00:00:00' /d/e; touch /f; echo new >/g/new; touch -d '2011-01-01 00:00:00' /g
RUN touch /h/t; rm /h/t
RUN stat -c '%n %Y' /d /d/e /f /g >/first
RUN touch /d/x; stat -c '%n %Y' /d /d/e /f /g >/second
"""


def times(text: str) -> dict[str, int]:
    return {name: int(seconds) for name, seconds in (line.split() for line in text.splitlines())}


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_next_step_sees_the_times_that_a_step_set(runs: Program, isolation: str) -> None:
    (runs.folder / "out").mkdir()
    for attempt in ("fresh", "cached"):
        shutil.rmtree(runs.store / "snapshots", ignore_errors=True)  # unpacked from the tars the second time
        text = f"{STEPS}RUN stat -c '%n %Y' /d /d/e /f /g >/third-{attempt}\n"
        runs.build(text, "--isolation", isolation, "-o", str(runs.folder / "out")).succeeded()
        seen = [times((runs.folder / "out" / name).read_text()) for name in ("first", "second", f"third-{attempt}")]
        assert seen[0] == seen[1] == seen[2]
        assert (seen[0]["/d"], seen[0]["/d/e"], seen[0]["/g"]) == (978_307_200, 1_262_304_000, 1_293_840_000)
        assert seen[0]["/f"] > 1_700_000_000


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_step_that_does_nothing_leaves_nothing(runs: Program, isolation: str) -> None:
    """Nor do the places that the builder mounts on: not in an image that lacks them, nor in one with all of them."""
    text = (
        "FROM base\nRUN true\nRUN --mount=type=cache,target=/srv/cache true\nRUN --mount=type=tmpfs,target=/t/u true\n"
    )
    runs.build(text, "--isolation", isolation, "-t", "x").succeeded()
    listing = runs("history", "x").succeeded().out
    steps = [line.split()[-4:-2] for line in listing.splitlines() if "RUN" in line]
    assert steps == [["2", "0"], ["3", "0"], ["4", "0"]], listing
