"""The main job in every place where people stand. Each cell of the table is one job: all of job.py's script.

Rows are who builds, columns how RUN is isolated. A cell that says WORKS must give the same image as everywhere else,
whatever the load, on a terminal and in a pipe; any other must say that text and end with exit code 1. Umask and
surroundings go round from cell to cell, so that each meets each. The program's own choice, which is one of the others,
and people who differ from others in one thing alone have the quiet load only; PLACES=all asks for every combination.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.builds.base_image import BaseImage
from tests.places.job import LOADS, MADE, Circumstances, Outcome, do_job
from tests.places.people import Person

WORKS = ""
ONE_ID = "isolation chroot does not work here: cannot become user 0:0: Operation not permitted"
NO_MOUNTS = "root may not make a mount namespace here: Operation not permitted"

TABLE = {
    # who              automatic       native            oci               chroot
    "root":           (WORKS,          WORKS,            WORKS,            WORKS),
    "ranges":         (WORKS,          WORKS,            WORKS,            WORKS),
    "single":         (WORKS,          WORKS,            WORKS,            ONE_ID),   
    "unnamed":        (WORKS,          WORKS,            WORKS,            ONE_ID),   
    "entered":        (WORKS,          WORKS,            WORKS,            WORKS),
    "entered single": (WORKS,          WORKS,            WORKS,            ONE_ID),   
    "contained":      (WORKS,          NO_MOUNTS,        NO_MOUNTS,        WORKS),
}  # fmt: skip
ISOLATIONS = ("", "native", "oci", "chroot")

BUSY = ("root", "ranges", "contained")
"""Who meets every load in every isolation."""

UMASKS = ("022", "077")
SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "usual": {"LC_ALL": "C.UTF-8"},
    "odd": {
        "HOME": "/nonexistent", "LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
        "TZ": "Pacific/Apia", "XDG_DATA_HOME": "", "TMPDIR": None,
    },
}  # fmt: skip


def cells() -> Iterator[tuple[str, str, str, bool, str, str]]:
    """Yield who, isolation, load, terminal, umask, surroundings."""
    everything = os.environ.get("PLACES") == "all"
    for number, (kind, column) in enumerate(itertools.product(TABLE, range(len(ISOLATIONS)))):
        is_busy = everything or (ISOLATIONS[column] != "" and kind in BUSY)
        loads = LOADS if is_busy and TABLE[kind][column] == WORKS else ("one",)
        whole = itertools.product(UMASKS, SURROUNDINGS)
        turn = itertools.cycle([*whole][number % 4 :] + [*itertools.product(UMASKS, SURROUNDINGS)][: number % 4])
        places = itertools.product(loads, (False, True))
        for load, terminal in places if everything else _in_turn(places, column):
            chosen = itertools.product(UMASKS, SURROUNDINGS) if everything else [next(turn)]
            for umask, surroundings in chosen:
                yield kind, ISOLATIONS[column], load, terminal, umask, surroundings


def _in_turn(places: Iterable[tuple[str, bool]], column: int) -> Iterator[tuple[str, bool]]:
    """Yield one build on a terminal and in a pipe; of several at once, one of the two, each in its turn."""
    for load, terminal in places:
        if load == "one" or terminal == (list(LOADS).index(load) + column) % 2:
            yield load, terminal


def name(cell: tuple[str, str, str, bool, str, str]) -> str:
    kind, isolation, load, terminal, umask, surroundings = cell
    return "-".join((kind, isolation or "auto", load, "tty" if terminal else "pipe", umask, surroundings)).replace(
        " ", "_"
    )


@pytest.mark.parametrize("cell", [pytest.param(cell, id=name(cell)) for cell in cells()])
def test_the_main_job(
    cell: tuple[str, str, str, bool, str, str],
    base: BaseImage,
    find_person: Callable[[str], Person],
    reference: str,
) -> None:
    kind, isolation, load, terminal, umask, surroundings = cell
    how = Circumstances(
        person=find_person(kind), isolation=isolation, load=load, terminal=terminal, umask=umask,
        surroundings=SURROUNDINGS[surroundings],
    )  # fmt: skip
    outcome = do_job(how, base.layout)
    expected = TABLE[kind][ISOLATIONS.index(isolation)]
    if expected == WORKS:
        assert_done(outcome, how, reference)
    else:
        assert outcome.code == 1, outcome.said
        assert expected in " ".join(outcome.said.split()), outcome.said
    assert "Traceback" not in outcome.said, outcome.said
    assert "internal error" not in outcome.said, outcome.said
    assert outcome.left == ()


def assert_done(outcome: Outcome, how: Circumstances, reference: str) -> None:
    assert outcome.code == 0, outcome.said
    assert "the job is done" in outcome.said
    assert "0 executed" in outcome.said, "the second build was not cached"
    assert outcome.made == MADE
    assert outcome.image_id == reference
    asked_for_less = how.isolation == "chroot" or how.person.kind == "contained"
    assert asked_for_less or "NOT isolated" not in outcome.said, outcome.said
