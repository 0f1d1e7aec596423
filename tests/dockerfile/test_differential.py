"""Our reading of a Dockerfile against those of BuildKit's parser and of dockerfile-parse."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from builder.dockerfile.lines import decode
from builder.dockerfile.syntax import read_dockerfile
from builder.errors import DockerfileSyntaxError
from tests.dockerfile.oracle import Reading, differs_as_a_whole, read_by_peer, readings, settle

FIXTURES = Path(__file__).parents[2] / "fixtures"
DOCKERFILES = sorted(path for path in FIXTURES.rglob("*Dockerfile*") if path.is_file())
OURS_ALONE = re.compile(r"unknown instruction: |the Dockerfile cannot be empty$")
"""What we refuse as soon as we read it, and BuildKit's parser only later."""


def ours(text: str) -> list[Reading] | str:
    try:
        return readings(read_dockerfile(text))
    except DockerfileSyntaxError as error:
        return error.message


def assert_same(text: str) -> None:
    """Compare the readings of one text, instruction by instruction."""
    theirs, mine = read_by_peer(text), ours(text)
    if theirs is None or differs_as_a_whole(text) or (isinstance(mine, str) and OURS_ALONE.match(mine)):
        return
    if isinstance(mine, str) or isinstance(theirs, str):
        assert mine == theirs
        return
    assert len(mine) == len(theirs)
    for reading, other in zip(mine, theirs, strict=True):
        assert reading == settle(reading, other)


def case_id(path: Path) -> str:
    return str(path.relative_to(FIXTURES))


@pytest.mark.parametrize("path", DOCKERFILES, ids=case_id)
def test_buildkits_parser_reads_the_same(path: Path) -> None:
    assert_same(decode(path.read_bytes()))


@pytest.mark.parametrize(
    "text",
    [
        "FROM  \xa0 --x\n",
        "FROM \xa0--platform=a x\n",
        "RUN \u2003 --mount=x y\n",
        "COPY --chown=a \xa0 --x a b\n",
        "FROM \t --x y\n",
    ],
)
def test_flags_stand_behind_ascii_blanks_only(text: str) -> None:
    theirs = read_by_peer(text)
    assert theirs is not None
    assert ours(text) == theirs


def test_the_oracle_judges_most_of_the_fixtures() -> None:
    judged = [
        path
        for path in DOCKERFILES
        if not differs_as_a_whole(decode(path.read_bytes())) and isinstance(ours(decode(path.read_bytes())), list)
    ]
    assert len(judged) >= 150


PLAIN = [path for path in DOCKERFILES if path.parent.parent.name == "valid"]
NOT_ITS_LANGUAGE = re.compile(
    r"<<|escape|\r|[\v\f\x85\u2000-\u202f\xa0]|\\[ \t]+$|\\\\$|\\\n\s*(?:#|\n|\Z)|\\\Z|^\w{0,2}\\$", re.MULTILINE
)
"""dockerfile-parse knows no heredocs and no directives, fewer blanks, and only plain continuations."""


@pytest.mark.parametrize("path", PLAIN, ids=case_id)
def test_dockerfile_parse_sees_the_same_instructions(path: Path) -> None:
    from dockerfile_parse import DockerfileParser

    text = decode(path.read_bytes())
    if NOT_ITS_LANGUAGE.search(text) or "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        return
    structure = DockerfileParser(fileobj=io.BytesIO(text.encode())).structure
    theirs = [(line["instruction"], line["startline"] + 1) for line in structure if line["instruction"] != "COMMENT"]
    mine = [(reading.keyword.upper(), reading.start_line) for reading in ours(text) if isinstance(reading, Reading)]
    assert mine == theirs
