"""The door of the room: all errors of a file, triggers, partial results, the JSON of `pybuild parse`, the grammar."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.dockerfile.grammar import grammar_text, load_dockerfile_grammar
from builder.dockerfile.instructions import ExecForm, Run
from builder.dockerfile.lexer import FLAG_TOKENS
from builder.dockerfile.parser import parse_dockerfile, parse_partially, parse_trigger
from builder.dockerfile.reader import KEYWORDS, MAX_FAULTS
from builder.dockerfile.syntax import read_dockerfile, to_json
from builder.errors import DockerfileSyntaxError, Location
from tests.dockerfile.reading import errors

TOO_FEW = "requires at least two arguments, but only one was provided. Destination could not be determined"
PLACE = Location("Dockerfile", 7, 1, 7, 5)


@pytest.mark.rule("X1")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('FNTRYPOINT ["x"]', "unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)"),
        ("coppy a b", "unknown instruction: coppy (did you mean copy?)"),
        ("INSTALL curl", "unknown instruction: INSTALL"),
    ],
)
def test_an_unknown_instruction_gets_the_nearest_known_one(line: str, expected: str) -> None:
    (error,) = errors(f"FROM scratch\n{line}\n")
    assert error.message == expected


@pytest.mark.rule("X2")
@pytest.mark.parametrize("keyword", ["COPY", "ADD"])
@pytest.mark.parametrize("rest", ["", " a", ' ["a"]', " []"])
def test_copy_needs_a_source_and_a_destination(keyword: str, rest: str) -> None:
    (error,) = errors(f"FROM scratch\n{keyword}{rest}\n")
    assert error.message == f"{keyword} {TOO_FEW}"


@pytest.mark.rule("X6", "S-12")
def test_only_arg_may_stand_before_the_first_from() -> None:
    assert [error.message for error in errors("ARG a\nRUN x\nRUN y\nFROM scratch\n")] == [
        "no build stage in current context"
    ]
    assert [error.message for error in errors("ARG a\n")] == ["dockerfile contains no stages to build"]


def test_one_run_reports_every_error_of_the_file() -> None:
    text = "FORM scratch\nRUN --mout=a x\nCOPY a\nHEALTHCHECK --interval=5 CMD x\nENV a\nCMD [1]\nRUN <<A\n"
    found = errors(text)
    assert [error.location.line for error in found if error.location] == [1, 2, 3, 4, 5, 6, 7]
    assert found[0].message == "unknown instruction: FORM (did you mean FROM?)"


def test_errors_of_a_broken_stage_do_not_hide_those_of_the_next() -> None:
    found = errors("FROM a b\nRUN x\nCOPY y\nFROM scratch AS 1\nENV\n")
    assert [error.location.line for error in found if error.location] == [1, 3, 4, 5]


def test_a_file_that_is_no_dockerfile_has_a_bounded_number_of_errors() -> None:
    assert len(errors("nonsense\n" * 10_000)) == MAX_FAULTS
    assert len(errors("FROM scratch\n" + "COPY\n" * 10_000)) == MAX_FAULTS


def test_a_message_is_short_and_fit_for_a_terminal_whatever_the_word() -> None:
    (error,) = errors("FROM scratch\n\x1b[31m" + "x" * 100_000 + "\n")
    assert len(error.message) <= 1000
    assert error.message.isprintable()
    assert str(error) == error.message


def test_what_could_be_parsed_of_a_faulty_file_is_there_for_the_checks() -> None:
    dockerfile, faults = parse_partially("FROM scratch AS Big\nMAINTAINER x\nBADCMD\n")
    assert [fault.message for fault in faults] == ["unknown instruction: BADCMD"]
    assert [instruction.keyword for instruction in dockerfile.instructions] == ["FROM", "MAINTAINER"]
    assert len(dockerfile.stages[0].statements) == 1


@pytest.mark.rule("O-3", "O-5")
def test_a_trigger_is_one_statement_with_flags_and_heredocs() -> None:
    trigger = parse_trigger('RUN --mount=type=cache,target=/x ["a"]', PLACE)
    assert isinstance(trigger, Run)
    assert trigger.command == ExecForm(("a",))
    assert trigger.location.line == 7
    script = parse_trigger("RUN <<A\nx\nA", PLACE)
    assert isinstance(script, Run)
    assert script.is_script


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a\nRUN b", "an ONBUILD trigger must be a single instruction"),
        ("", "an ONBUILD trigger must be a single instruction"),
        ("FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("FOO x", "unknown instruction: FOO (did you mean FROM?)"),
        ("COPY --chwon=1 a b", "unknown flag: --chwon (did you mean chmod?)"),
        (
            "COPY a",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("RUN --network=x y", 'invalid network mode "x"'),
    ],
)
def test_a_bad_trigger_is_refused_where_its_onbuild_stands(text: str, expected: str) -> None:
    with pytest.raises(DockerfileSyntaxError) as caught:
        parse_trigger(text, PLACE)
    assert caught.value.message == expected
    assert caught.value.location == PLACE


def test_parse_prints_the_syntax_of_each_instruction() -> None:
    text = '# escape=`\n# syntax=x\nfrom scratch AS a\nENV a="b c" d=e\nCOPY --chown="u v" --link <<-F /x\n\thi\n\tF\n'
    text += 'CMD ["x"]\n'
    assert to_json(read_dockerfile(text, "some/Dockerfile")) == {
        "file": "some/Dockerfile",
        "directives": {"escape": "`", "syntax": "x"},
        "instructions": [
            {"keyword": "FROM", "flags": [], "args": ["scratch", "AS", "a"], "json": False, "heredocs": [],
             "start_line": 3, "end_line": 3},
            {"keyword": "ENV", "flags": [], "args": ["a", '"b c"', "d", "e"], "json": False, "heredocs": [],
             "start_line": 4, "end_line": 4},
            {"keyword": "COPY", "flags": ["--chown=u v", "--link"], "args": ["<<-F", "/x"], "json": False,
             "heredocs": [{"name": "F", "content": "\thi\n"}], "start_line": 5, "end_line": 7},
            {"keyword": "CMD", "flags": [], "args": ["x"], "json": True, "heredocs": [],
             "start_line": 8, "end_line": 8},
        ],
    }  # fmt: skip


def test_reading_the_syntax_needs_neither_a_stage_nor_known_flags_nor_arity() -> None:
    text = 'CMD --doit [ "a" ]\nCOPY --user=me foo\nHEALTHCHECK CONNECT TCP 7000\nONBUILD RUN x\nHEALTHCHECK\n'
    assert [instruction["args"] for instruction in to_json(read_dockerfile(text))["instructions"]] == [
        ["a"], ["foo"], ["CONNECT", "TCP 7000"], ["RUN", "x"], [],
    ]  # fmt: skip


def test_the_grammar_names_every_keyword_and_every_flag() -> None:
    terminals = {symbol.name for rule in load_dockerfile_grammar().rules for symbol in rule.expansion}
    assert set(KEYWORDS) <= terminals
    assert set(FLAG_TOKENS.values()) <= terminals


def test_the_grammar_reads_from_the_file_down_to_the_tokens() -> None:
    lines = grammar_text("dockerfile").splitlines()
    assert max(map(len, lines)) <= 120
    first_rule, first_token = (
        next(number for number, line in enumerate(lines) if line.startswith(start))
        for start in ("dockerfile:", "%declare")
    )
    rules = [number for number, line in enumerate(lines) if line[:1].isalpha() and ":" in line]
    assert min(rules) == first_rule
    assert max(rules) < first_token


def test_parsing_leaves_no_tables_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    load_dockerfile_grammar.cache_clear()
    parse_dockerfile("FROM scratch\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.rule("D-5")
@pytest.mark.parametrize("text", ["# syntax=acme/x:1\nFROM scratch\nINCLUDE y\n", "//syntax=acme/x:1\nbuild: y\n"])
def test_an_error_in_a_file_for_another_frontend_says_so(text: str) -> None:
    with pytest.raises(DockerfileSyntaxError) as caught:
        parse_dockerfile(text)
    assert caught.value.hint.endswith("The file asks for the frontend acme/x:1, which is not run.")
