"""`explain` of builds with several stages: every instruction that was built has its line, its stage and its layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builder.cli.display.explained import explanation_lines
from builder.cli.main import main
from builder.engine.build import build
from builder.engine.explaining import open_explained
from builder.engine.request import BuildRequest

BASE = "FROM scratch\nCOPY a /base\nCOPY b /base-b\n"
TRIGGERS = f"{BASE}ONBUILD COPY a /triggered\nONBUILD ENV T=1\n"
STAGES = """\
FROM base AS one
COPY a /a
COPY b /b
FROM base AS two
copy  a /a
WORKDIR /w
FROM two AS three
COPY --from=one /b /c
LABEL x=y
FROM three AS four
ENV Q=1
FROM scratch AS five
COPY --from=three /c /
COPY --from=base /base /d
"""
ALIASES = "FROM base AS b\nFROM b AS c\nFROM c\nUSER 3\n"
ONBUILD = "FROM triggers AS one\nCOPY b /b\nFROM triggers\nCOPY a /c\nCOPY --from=one /b /\n"
# The second stage does nothing of its own: all it does the first has done.
PREFIX = (
    "FROM base AS target\nworkdir /a\nCOPY b /b\nFROM base AS prefix\nWORKDIR /a\n"
    "FROM target\nCOPY --from=prefix /base /x\n"
)
ALIEN = "FROM base AS it\nCOPY --from=triggers /triggered* /base /t/\n"

Rows = list[tuple[str, int, int, str, list[str]]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with an image of each Dockerfile above."""
    context, store = tmp_path_factory.mktemp("context"), str(tmp_path_factory.mktemp("store"))
    (context / "a").write_text("a")
    (context / "b").write_text("bb")
    for tag, text, target in (
        ("base", BASE, ""), ("triggers", TRIGGERS, ""), ("five", STAGES, ""), ("four", STAGES, "four"),
        ("aliases", ALIASES, ""), ("onbuild", ONBUILD, ""), ("prefix", PREFIX, ""), ("alien", ALIEN, ""),
        ("nothing", "FROM scratch\n", ""), ("same", BASE, ""),
    ):  # fmt: skip
        (context / "Dockerfile").write_text(text)
        build(BuildRequest(root=store, context=str(context), tags=(tag,), target=target))
    return store


def rows_of(capsys: pytest.CaptureFixture[str], root: str, image: str) -> Rows:
    """Return (stage, number, line, cache or config, layers) of each step; layers of other stages are `-`."""
    found = as_json(capsys, root, image)
    names = [f"L{layer['number']}" if layer["in_image"] else "-" for layer in found["layers"]]
    return [
        (step["stage"], step["number"], step["line"], step["cache"], [names[at] for at in step["layers"]])
        for step in found["steps"]
    ]


def as_json(capsys: pytest.CaptureFixture[str], root: str, *words: str) -> Any:
    assert main(["explain", "--root", root, *words, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


OF_FOUR: Rows = [
    ("one", 1, 1, "base", ["L1", "L2"]), ("one", 2, 2, "", ["L3"]), ("one", 3, 3, "hit", ["-"]),
    ("two", 1, 4, "base", ["L1", "L2"]), ("two", 2, 5, "hit", ["L3"]), ("two", 3, 6, "hit", ["L4"]),
    ("three", 0, 7, "", []), ("three", 1, 8, "hit", ["L5"]), ("three", 0, 9, "", []),
    ("four", 0, 10, "", []), ("four", 0, 11, "", []),
]  # fmt: skip
OF_FIVE: Rows = [
    ("one", 1, 1, "base", []), ("one", 2, 2, "", ["-"]), ("one", 3, 3, "ran", ["-"]),
    ("two", 1, 4, "base", []), ("two", 2, 5, "ran", ["-"]), ("two", 3, 6, "ran", ["-"]),
    ("three", 0, 7, "", []), ("three", 1, 8, "ran", ["-"]), ("three", 0, 9, "", []),
    ("five", 0, 12, "", []), ("five", 1, 13, "ran", ["L1"]), ("five", 2, 14, "ran", ["L2"]),
]  # fmt: skip
OF_ONBUILD: Rows = [
    ("one", 1, 1, "base", ["L1", "L2"]), ("one", 3, 2, "ran", ["-"]),
    ("stage-1", 1, 3, "base", ["L1", "L2"]), ("stage-1", 2, 3, "ran", ["L3"]), ("stage-1", 3, 4, "ran", ["L4"]),
    ("stage-1", 4, 5, "ran", ["L5"]),
]  # fmt: skip
OF_PREFIX: Rows = [
    ("target", 1, 1, "base", ["L1", "L2"]), ("target", 2, 2, "ran", ["L3"]), ("target", 3, 3, "ran", ["L4"]),
    ("prefix", 1, 4, "base", ["L1", "L2"]), ("prefix", 2, 5, "", ["L3"]),
    ("stage-2", 0, 6, "", []), ("stage-2", 1, 7, "ran", ["L5"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("five", OF_FIVE),
        ("four", OF_FOUR),
        ("aliases", [("b", 1, 1, "base", ["L1", "L2"]), ("c", 0, 2, "", []), ("stage-2", 0, 3, "", []),
                     ("stage-2", 0, 4, "", [])]),
        ("onbuild", OF_ONBUILD),
        ("prefix", OF_PREFIX),
        ("alien", [("it", 1, 1, "base", ["L1", "L2"]), ("it", 0, 2, "base", []), ("it", 2, 2, "ran", ["L3"])]),
        ("nothing", [("stage-0", 0, 1, "", [])]),
    ],
)  # fmt: skip
def test_each_instruction_has_its_stage_its_line_and_its_layers(
    capsys: pytest.CaptureFixture[str], root: str, image: str, expected: Rows
) -> None:
    assert rows_of(capsys, root, image) == expected


def test_a_step_that_two_stages_share_shows_its_files_in_both(capsys: pytest.CaptureFixture[str], root: str) -> None:
    for image in ("four", "five"):
        both = [as_json(capsys, root, image, step) for step in ("one:2", "two:2")]
        assert both[0] == both[1]
        assert [row["path"] for row in both[0]] == ["a"]
    assert main(["explain", "--root", root, "five", "one:3"]) == 0
    assert "a layer that is not in the image: 1 added" in capsys.readouterr().out
    assert main(["explain", "--root", root, "five", "one:1"]) == 0
    assert "its layers are no part of this image" in capsys.readouterr().out


def test_an_image_is_called_what_it_was_asked_for_by(capsys: pytest.CaptureFixture[str], root: str) -> None:
    assert [as_json(capsys, root, name)["name"] for name in ("base", "same")] == ["base:latest", "same:latest"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_fits_a_terminal_of_any_width(root: str, width: int) -> None:
    with open_explained(root, "onbuild", notify=print) as explained:
        table = [*explanation_lines(explained.explanation, width=width)][3:-2]
    assert max(map(len, table)) <= max(width, 42)  # of an instruction and its reason at least 20 characters are shown
    assert all(("LINE" in line) == (width > 40) for line in table if "LAYER" in line)


def test_a_number_that_no_step_has_names_those_there_are(capsys: pytest.CaptureFixture[str], root: str) -> None:
    for image, known in (("base", "stage-0:1, stage-0:2, L1 to L2"), ("nothing", "none")):
        assert main(["explain", "--root", root, image, "L9"]) == 1
        assert f"There are: {known}." in capsys.readouterr().err


def test_reasons_cut_the_digests_of_images(capsys: pytest.CaptureFixture[str], root: str, tmp_path: Path) -> None:
    assert main(["explain", "--root", root, "four", "--why"]) == 0
    assert "FROM docker.io/library/base:latest@sha256:" in (text := capsys.readouterr().out)
    assert max(map(len, text.splitlines())) < 100
