"""docker's ignore rules as a pattern class of pathspec: equal to BuildKit's answers, and to what a build decides."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pathspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.context.docker_ignore import DockerIgnorePattern, DockerIgnoreSpec
from builder.context.ignore import parse_ignore
from builder.errors import SourceError
from tests.context.test_ignore import EVIL, LONG

TABLE = json.loads((Path(__file__).parent / "ignore_cases.json").read_text())
DOCUMENT = Path(__file__).parents[2] / "docs" / "ignore.md"

LINE = st.text(alphabet="ab*/?[]!-.\\", min_size=1, max_size=8)
PATH = st.lists(st.text(alphabet="ab-", min_size=1, max_size=2), min_size=1, max_size=4).map("/".join)


def spec_of(rules: str) -> DockerIgnoreSpec:
    spec = DockerIgnoreSpec.from_lines("dockerignore", rules.removeprefix("\ufeff").split("\n"))
    assert isinstance(spec, DockerIgnoreSpec)
    return spec


@pytest.mark.parametrize("case", [case for case in TABLE["cases"] if "seen" in case], ids=lambda case: case["rules"])
def test_a_spec_ignores_what_buildkit_hides(case: dict[str, object]) -> None:
    spec = spec_of(str(case["rules"]))
    seen = case["seen"]
    assert isinstance(seen, list)
    assert list(spec.match_files(TABLE["files"], negate=True)) == [file for file in TABLE["files"] if file in seen]


@given(st.lists(LINE, min_size=1, max_size=6), st.lists(PATH, min_size=1, max_size=6))
def test_a_build_and_a_spec_decide_alike_and_by_the_same_line(lines: list[str], paths: list[str]) -> None:
    try:
        ignore = parse_ignore("\n".join(lines), ".dockerignore")
    except SourceError:
        with pytest.raises(SourceError):
            spec_of("\n".join(lines))
        return
    spec = DockerIgnoreSpec.of(ignore)
    for path in paths:
        decision, result = ignore.decide(path), spec.check_file(path)
        assert bool(result.include) is decision.excluded is ignore.state_of(path).excluded, path
        assert (None if result.index is None else ignore.rules[result.index]) is decision.rule, path


def test_a_plain_path_spec_asks_each_line_on_its_own() -> None:
    lines = ["a/b", "!a"]
    plain = pathspec.PathSpec.from_lines("dockerignore", lines)
    assert not plain.match_file("a/b"), "the last line that matches a/b or what is above it is the exception"
    assert DockerIgnoreSpec.from_lines("dockerignore", lines).match_file("a/b"), "nothing had ignored `a`"


def test_comments_and_blank_lines_are_patterns_that_do_nothing() -> None:
    patterns = [DockerIgnorePattern(line) for line in ("# a", "", "  ", "/", ".")]
    assert [pattern.include for pattern in patterns] == [None] * 5
    assert not DockerIgnoreSpec(patterns).match_file("a")


def test_the_line_that_decided_is_told_by_its_index() -> None:
    spec = spec_of("# comment\ndocs\n!docs/keep\n")
    assert [(r.include, r.index) for r in spec.check_files(["docs/x", "docs/keep/x", "src", ""])] == [
        (True, 1), (False, 2), (None, None), (None, None),
    ]  # fmt: skip


def test_specs_add_up_as_their_files_would() -> None:
    spec = spec_of("*.log")
    assert spec.match_file("keep.log")
    spec += spec_of("!keep.log")
    assert not spec.match_file("keep.log")
    assert spec == spec_of("*.log") + spec_of("!keep.log")


def test_a_tree_is_walked_by_pathspec(tmp_path: Path) -> None:
    for name in ("a.pyc", "src/a.py", "src/b.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    spec = spec_of("**/*.pyc")
    assert sorted(spec.match_tree_files(tmp_path)) == ["a.pyc", "src/b.pyc"]
    assert sorted(entry.path for entry in spec.match_tree_entries(tmp_path, negate=True) if entry.is_file()) == [
        "src/a.py"
    ]


@pytest.mark.parametrize("line", ["[", "a\\", "!"])
def test_a_line_that_docker_refuses_is_an_error(line: str) -> None:
    with pytest.raises(SourceError):
        DockerIgnorePattern(line)


@pytest.mark.parametrize("line", EVIL)
def test_attack_lines_that_make_backtracking_explode_take_linear_time(line: str) -> None:
    spec = spec_of(line)
    started = time.process_time()
    for path in LONG:
        spec.patterns[0].matches(path)
    assert time.process_time() - started < 2


def test_the_examples_of_the_document_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = DOCUMENT.read_text()
    examples = [block.partition("```")[0] for block in text.split("```python\n")[1:]]
    assert len(examples) == 3
    monkeypatch.chdir(tmp_path)
    for name in (".dockerignore", "src/app.py", "src/app.pyc", "logs/today.log", "logs/keep.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".dockerignore").write_text("**/*.pyc\nlogs\n!logs/keep.log\n")
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, str(DOCUMENT), "exec"), names)
