"""What machines read: the documents of docs/parse.md and docs/errors.md, made by the program."""

from __future__ import annotations

import json
import os
import select
import time
from threading import Thread
from typing import Any

import pytest

from builder.cli.verbs.parse import read_dockerfile
from builder.dockerfile.words import WordError
from builder.errors import PybuildError
from builder.solve.event_json import NAMES
from tests.cli.program import CHECKOUT, Program

PLACE = {"file": "Dockerfile", "line": 1, "column": 1, "end_line": 1, "end_column": 5}


def metadata(program: Program) -> Any:
    return json.loads((program.folder / "m.json").read_text())


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_a_syntax_tree_has_the_members_that_are_promised(pybuild: Program) -> None:
    text = '# escape=`\nFROM --platform=linux/amd64 x AS y\nENV a=1 b="2 3"\nRUN <<A\necho\nA\nCMD ["x", "y"]\n'
    (pybuild.folder / "f").write_text(text)
    outcome = pybuild("parse", "f").succeeded()
    assert json.loads(outcome.out) == {
        "file": "f",
        "directives": {"escape": "`"},
        "instructions": [
            instruction("FROM", ["x", "AS", "y"], 2, flags=["--platform=linux/amd64"]),
            instruction("ENV", ["a", "1", "b", '"2 3"'], 3),
            instruction("RUN", ["<<A"], 4, 6, heredocs=[{"name": "A", "content": "echo\n"}]),
            instruction("CMD", ["x", "y"], 7, json=True),
        ],
    }


def instruction(keyword: str, args: list[str], start: int, end: int = 0, **members: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"keyword": keyword, "flags": [], "args": args, "json": False, "heredocs": []}
    return plain | members | {"start_line": start, "end_line": end or start}


def test_each_file_is_one_line_and_one_in_error_makes_the_code_1(pybuild: Program) -> None:
    (pybuild.folder / "good").write_text("FROM scratch\n")
    (pybuild.folder / "bad").write_text("FRUM scratch\n")
    outcome = pybuild("parse", "good", "bad", "absent")
    assert outcome.code == 1
    good, bad, absent = map(json.loads, outcome.out.splitlines())
    assert list(good) == ["file", "directives", "instructions"]
    message = "unknown instruction: FRUM (did you mean FROM?)"
    assert bad == {"file": "bad", "error": {"message": message, "line": 1, "column": 1}}
    assert (absent["error"]["line"], absent["error"]["column"]) == (0, 0)


def test_a_pipe_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"FROM ")
    found: list[bytes] = []
    reader = Thread(target=lambda: found.append(read_dockerfile(f"/dev/fd/{reading}")), daemon=True)
    reader.start()
    deadline = time.monotonic() + 10
    while select.select([reading], [], [], 0)[0] and time.monotonic() < deadline:
        time.sleep(0.001)  # until the first half is read: whoever doesn't wait takes it for the whole
    assert reader.is_alive(), "it did not wait for whoever writes to the pipe"
    os.write(writing, b"scratch\n")
    os.close(writing)
    reader.join(10)
    os.close(reading)
    assert found == [b"FROM scratch\n"]


def test_errors_are_data_in_events_and_in_the_metadata(pybuild: Program) -> None:
    outcome = pybuild.build("FRUM x\nCOPY a\n", "--progress=rawjson", "--metadata-file=m.json")
    assert outcome.code == 1
    error = metadata(pybuild)["error"]
    assert error["kind"] == "DockerfileSyntaxError"
    assert error["location"] == PLACE
    assert [other["location"]["line"] for other in error["others"]] == [2]
    failed = [event for event in events(outcome.err) if event["event"] == "build-failed"]
    assert [event["error"] for event in failed] == [error]


def test_a_failed_command_is_data_with_its_code_and_last_lines(runs: Program) -> None:
    text = "FROM base\nRUN echo one; exit 7\n"
    outcome = runs.build(text, "--progress=rawjson", "--metadata-file=m.json")
    assert outcome.code == 1
    error = metadata(runs)["error"]
    assert (error["kind"], error["command_exit_code"], error["tail"]) == ("StepFailed", 7, ["one"])
    assert error["location"]["line"] == 2
    assert "step-failed" in {event["event"] for event in events(outcome.err)}


def test_warnings_are_data_in_events_and_in_the_metadata(pybuild: Program) -> None:
    outcome = pybuild.build("FROM scratch\nCMD x\n", "--progress=rawjson", "--metadata-file=m.json").succeeded()
    (warning,) = metadata(pybuild)["pybuild.warnings"]
    assert (warning["rule"], warning["location"]["line"]) == ("JSONArgsRecommended", 2)
    (event,) = [event for event in events(outcome.err) if event["event"] == "warning"]
    assert {name: event[name] for name in warning} == warning


@pytest.mark.rule("Z-18", "C-10")
def test_a_wildcard_that_matches_nothing_is_said_once_and_again_from_the_cache(pybuild: Program) -> None:
    (pybuild.folder / "a").write_text("a")
    text = "FROM scratch\nCOPY a none* /d/\n"
    for content in ("a", "a", "b"):
        (pybuild.folder / "a").write_text(content)
        outcome = pybuild.build(text).succeeded()
        assert outcome.err.count("none* matches nothing, so nothing is copied (line 2)") == 1
    assert "matches nothing" not in pybuild.build("FROM scratch\nCOPY a* /d/\n").succeeded().err


@pytest.mark.rule("A-9", "Z-16")
def test_a_build_argument_that_nothing_declares_is_named(pybuild: Program) -> None:
    outcome = pybuild.build("FROM scratch\nENV a=b\n", "--build-arg", "nobody=1").succeeded()
    assert "warning: --build-arg nobody: no ARG of the build uses it" in outcome.err


@pytest.mark.rule("Z-20", "I-2")
@pytest.mark.parametrize("words", [("--check",), ()])
def test_a_malformed_ignore_file_stops_a_check_as_it_stops_a_build(pybuild: Program, words: tuple[str, ...]) -> None:
    (pybuild.folder / ".dockerignore").write_text("a\n[\n")
    outcome = pybuild.build("FROM scratch\nCOPY . /d\n", *words)
    assert outcome.code == 1
    assert ".dockerignore" in outcome.out + outcome.err
    assert "syntax error in pattern" in outcome.out + outcome.err
    assert "no warnings found" not in outcome.out


def test_the_page_of_errors_names_every_kind_and_every_event() -> None:
    page = (CHECKOUT / "docs" / "errors.md").read_text("utf-8")
    kinds: set[type[PybuildError]] = {PybuildError, WordError}
    while more := {sub for kind in kinds for sub in kind.__subclasses__()} - kinds:
        kinds |= more
    ours = {kind.__name__ for kind in kinds - {PybuildError} if kind.__module__.startswith("builder.")}
    assert {name for name in ours if f"`{name}`" not in page} == set()
    assert {name for name in NAMES.values() if f"| `{name}` |" not in page} == set()
