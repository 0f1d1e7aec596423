"""Heredocs (H-*)."""

from __future__ import annotations

import pytest

from builder.dockerfile.instructions import Word
from builder.dockerfile.syntax import read_dockerfile
from tests.dockerfile.reading import errors, instruction, message, statement


@pytest.mark.rule("H-1")
@pytest.mark.parametrize("head", ["RUN cat <<A", "COPY <<A /x", "ADD <<A /x", "ONBUILD RUN <<A", "ONBUILD COPY <<A /x"])
def test_run_copy_and_add_take_heredocs_also_in_triggers(head: str) -> None:
    (heredoc,) = instruction(f"{head}\nbody\nA\n").heredocs
    assert (heredoc.name, heredoc.content) == ("A", "body\n")


@pytest.mark.rule("H-1")
@pytest.mark.parametrize(
    "text", ['COPY ["<<A", "/x"]', 'RUN ["cat", "<<A"]', "CMD <<A", "ENV a=<<A", "ONBUILD CMD <<A"]
)
def test_arrays_and_other_instructions_take_none(text: str) -> None:
    assert instruction(text).heredocs == ()


@pytest.mark.rule("H-2")
@pytest.mark.parametrize(
    ("marker", "name", "expand", "chomp", "descriptor"),
    [
        ("<<A", "A", True, False, 0),
        ("<<-A", "A", True, True, 0),
        ("3<<A", "A", True, False, 3),
        ("12<<-A", "A", True, True, 12),
        ("<<'A'", "A", False, False, 0),
        ('<<"A B"', "A B", False, False, 0),
        ("<<A'B'C", "ABC", False, False, 0),
        ("<< A", "A", True, False, 0),
        ("<<- A", "A", True, True, 0),
        ("<<\tA", "A", True, False, 0),
        ("<<$A", "$A", True, False, 0),
        ("<<${A}", "${A}", True, False, 0),
    ],
)
def test_a_marker_says_name_expansion_chomping_and_descriptor(
    marker: str, name: str, expand: bool, chomp: bool, descriptor: int
) -> None:
    (heredoc,) = instruction(f"RUN cat {marker}\nx\n{name}\n").heredocs
    assert (heredoc.name, heredoc.expand, heredoc.chomp, heredoc.file_descriptor) == (name, expand, chomp, descriptor)


@pytest.mark.rule("H-2")
@pytest.mark.parametrize(
    "command",
    [
        "cat<<A",
        "cat <<<A",
        "cat '<<A'",
        'cat "x <<A"',
        "cat \\<<A",
        "it's <<A",
        'say " <<A',
        "cat <<",
        "x=<<A",
        "a<<-A",
    ],
)
def test_what_a_shell_would_not_take_for_a_marker_is_none(command: str) -> None:
    assert instruction(f"RUN {command}\n").heredocs == ()


@pytest.mark.rule("H-2")
def test_a_shift_is_no_heredoc_as_long_as_no_line_ends_it() -> None:
    assert instruction("RUN echo $((1 << 4))\n").heredocs == ()


@pytest.mark.rule("H-3")
def test_a_dash_strips_tabs_from_the_body_and_the_terminator() -> None:
    (heredoc,) = instruction("RUN <<-A\n\tone\n\t\ttwo\n  three\n\tA\n").heredocs
    assert heredoc.content == "one\ntwo\n  three\n"
    assert heredoc.written == "\tone\n\t\ttwo\n  three\n"


@pytest.mark.rule("H-4", "Z-10")
def test_several_heredocs_follow_each_other_also_under_one_name() -> None:
    heredocs = instruction("COPY <<A <<B <<A /x/\n1\nA\n2\nB\n3\nA\n").heredocs
    assert [(heredoc.name, heredoc.content) for heredoc in heredocs] == [("A", "1\n"), ("B", "2\n"), ("A", "3\n")]


@pytest.mark.rule("H-5")
@pytest.mark.parametrize("body", ["x\n A\n", "x\nA \n", "xA\n", "", "x\n\tA\n"])
def test_a_heredoc_without_its_terminator_is_refused(body: str) -> None:
    (error,) = errors(f"FROM scratch\nRUN <<A\n{body}")
    assert error.message == "unterminated heredoc"
    assert error.location is not None
    assert error.location[1:] == (2, 5, 2, 8)


@pytest.mark.rule("H-5")
def test_a_terminator_may_have_a_carriage_return_or_end_the_file() -> None:
    assert instruction("RUN <<A\r\nx\r\nA\r\n").heredocs[0].content == "x\r\n"
    assert instruction("RUN <<A\nx\nA").heredocs[0].content == "x\n"


@pytest.mark.rule("H-6", "H-8")
def test_a_heredoc_of_copy_is_a_file_named_as_the_delimiter() -> None:
    copy = statement("COPY a <<app.conf b /etc/\nx=1\napp.conf\n")
    assert copy.sources == (Word("a"), Word("b"))
    assert [heredoc.name for heredoc in copy.heredocs] == ["app.conf"]
    assert copy.destination == Word("/etc/")


def test_a_delimiter_with_blanks_is_one_source() -> None:
    copy = statement('COPY <<"my file" << other /x/\n1\nmy file\n2\nother\n')
    assert (copy.sources, [heredoc.name for heredoc in copy.heredocs]) == ((), ["my file", "other"])


@pytest.mark.rule("H-7", "Z-9")
def test_words_around_a_marker_follow_the_escape_directive() -> None:
    parsed = read_dockerfile("# escape=`\nFROM scratch\nCOPY c:\\ <<A /x/\ntext\nA\n")
    assert parsed.instructions[1].heredocs[0].content == "text\n"


@pytest.mark.rule("H-10")
def test_a_heredoc_cannot_be_the_destination() -> None:
    assert message("COPY a <<A\nx\nA\n") == "COPY cannot accept a heredoc as a destination"
    assert message("ADD <<A\nx\nA\n").startswith("ADD requires at least two arguments")


@pytest.mark.rule("H-12")
@pytest.mark.parametrize(
    ("head", "script"), [("<<A", True), ("<< A", True), ("<<A cat", False), ("cat <<A", False), ("<<A <<B", False)]
)
def test_a_run_is_a_script_when_the_command_is_one_marker(head: str, script: bool) -> None:
    assert statement(f"RUN {head}\nx\nA\ny\nB\n" if "B" in head else f"RUN {head}\nx\nA\n").is_script is script


@pytest.mark.rule("H-13")
def test_other_commands_get_their_bodies_back_for_the_shell() -> None:
    run = statement("RUN cat <<-A | sort <<'B'\n\tone\n\tA\ntwo\nB\n")
    assert run.shell_text == "cat <<-A | sort <<'B'\n\tone\nA\ntwo\nB"


def test_the_lines_of_a_body_are_no_instructions() -> None:
    parsed = read_dockerfile("RUN <<A\nFROM x\n# comment\nRUN \\\nA\nUSER x\n")
    assert [i.keyword for i in parsed.instructions] == ["RUN", "USER"]
    assert parsed.instructions[0].heredocs[0].content == "FROM x\n# comment\nRUN \\\n"
