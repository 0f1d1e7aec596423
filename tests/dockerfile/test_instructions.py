"""What each instruction takes (L-*, F-*, J-*, E-*, S-1, O-*, P-*)."""

from __future__ import annotations

import pytest

from builder.dockerfile.instructions import ExecForm, Heredoc, ShellForm, Word
from builder.dockerfile.parser import parse_dockerfile
from tests.dockerfile.reading import errors, instruction, message, statement, statements, words


@pytest.mark.rule("L-1", "S-1")
def test_from_takes_an_image_a_name_and_a_platform() -> None:
    base = parse_dockerfile("from --platform=$P Image:1 aS NaMe\n").stages[0].base
    assert (base.image, base.alias, base.platform) == (Word("Image:1"), "name", Word("$P"))


@pytest.mark.rule("L-1", "X2")
@pytest.mark.parametrize("arguments", ["", "a b", "a AS", "a IS b", "a AS b c"])
def test_from_takes_one_word_or_three(arguments: str) -> None:
    (error,) = errors(f"FROM {arguments}\nRUN x\n")
    assert error.message == "FROM requires either one or three arguments"


@pytest.mark.rule("S-1")
@pytest.mark.parametrize("name", ["1a", "a/b", "-a", "_a", "ä", "a:b"])
def test_a_stage_name_begins_with_a_letter_and_has_no_symbols(name: str) -> None:
    (error,) = errors(f"FROM scratch AS {name}\n")
    assert "name can't start with a number or contain symbols" in error.message


@pytest.mark.rule("L-2")
def test_run_takes_a_shell_command_an_array_and_nothing() -> None:
    shell, array, nothing = statements('RUN a  "b"\nRUN ["a", "b c"]\nRUN\n')
    assert shell.command == ShellForm('a  "b"')
    assert array.command == ExecForm(("a", "b c"))
    assert nothing.command == ShellForm("")


@pytest.mark.rule("L-2", "R-1", "R-2", "R-3")
def test_run_takes_its_four_flags() -> None:
    run = statement(
        "RUN --mount=target=/a --mount=target=/b --network=none --security=insecure --device=x --device=y z"
    )
    assert [word.text for word in run.mounts] == ["target=/a", "target=/b"]
    assert (run.network, run.security) == ("none", "insecure")
    assert [word.text for word in run.devices] == ["x", "y"]


@pytest.mark.rule("L-3")
def test_copy_takes_its_six_flags() -> None:
    copy = statement("COPY --from=s --chown=u:g --chmod=755 --link --parents=false --exclude=a --exclude=b x y z")
    assert (copy.source_stage, copy.chown, copy.chmod) == (Word("s"), Word("u:g"), Word("755"))
    assert (copy.link, copy.parents, copy.exclude) == (True, False, (Word("a"), Word("b")))
    assert (copy.sources, copy.destination) == ((Word("x"), Word("y")), Word("z"))


@pytest.mark.rule("L-4")
def test_add_takes_its_seven_flags_and_neither_from_nor_parents() -> None:
    add = statement("ADD --chown=u --chmod=1 --link --keep-git-dir --checksum=c --unpack=false --exclude=e a b")
    assert (add.link, add.keep_git_dir, add.checksum, add.unpack) == (True, True, Word("c"), False)
    assert message("ADD --from=x a b") == "unknown flag: --from"
    assert message("ADD --parents a b") == "unknown flag: --parents"
    assert (statement("ADD a b").keep_git_dir, statement("ADD a b").unpack) == (None, None)


@pytest.mark.rule("L-5", "L-12", "L-15", "L-18")
@pytest.mark.parametrize("keyword", ["WORKDIR", "USER", "STOPSIGNAL", "MAINTAINER"])
def test_some_instructions_take_the_whole_rest_of_the_line(keyword: str) -> None:
    assert words(f'{keyword}  a  "b  c" \n') == ['a  "b  c"']
    assert message(keyword) == f"{keyword} requires exactly one argument"


@pytest.mark.rule("L-6", "L-8", "E-1", "E-3")
@pytest.mark.parametrize("keyword", ["ENV", "LABEL"])
def test_pairs_keep_their_quotes_and_legacy_pairs_the_rest_of_the_line(keyword: str) -> None:
    pairs = statement(f"""{keyword} a=1 b="x y" c='z' d=e\\ f g=h=i""")
    assert [(name.text, value.text) for name, value in pairs.pairs] == [
        ("a", "1"), ("b", '"x y"'), ("c", "'z'"), ("d", "e\\ f"), ("g", "h=i"),
    ]  # fmt: skip
    legacy = statement(f"{keyword} a b  c=d")
    assert legacy.legacy
    assert legacy.pairs == ((Word("a"), Word("b  c=d")),)


@pytest.mark.rule("E-1", "X2", "X3")
@pytest.mark.parametrize("keyword", ["ENV", "LABEL"])
def test_pairs_that_are_none_are_refused(keyword: str) -> None:
    assert message(keyword) == f"{keyword} requires at least one argument"
    assert message(f"{keyword} a") == f"{keyword} must have two arguments"
    assert message(f"{keyword} a=b c") == 'Syntax error - can\'t find = in "c". Must be of the form: name=value'
    assert message(f"{keyword} =b") == f"{keyword} names can not be blank"
    for value, hint in (("$(date +%s)", "No command is run here: "), ("b c", "Quote values that contain blanks.")):
        (error,) = errors(f"FROM scratch\n{keyword} a={value}\n")
        assert error.hint.startswith(hint)


@pytest.mark.rule("L-7", "F-7")
def test_arg_takes_names_with_and_without_defaults_and_ignores_flags() -> None:
    arg = statement('ARG --flag a b= c="d e" f=g=h')
    assert [(d.name, d.default) for d in arg.definitions] == [
        ("a", None), ("b", Word("")), ("c", Word('"d e"')), ("f", Word("g=h")),
    ]  # fmt: skip
    assert message("ARG") == "ARG requires at least one argument"
    assert message("ARG =x") == "ARG names can not be blank"


@pytest.mark.rule("L-9", "L-10", "J-2")
def test_cmd_and_entrypoint_take_commands_arrays_and_empty_arrays() -> None:
    commands = [s.command for s in statements('CMD a b\nENTRYPOINT ["a"]\nCMD []\nENTRYPOINT []\nENTRYPOINT []x\n')]
    assert commands == [ShellForm("a b"), ExecForm(("a",)), ExecForm(()), ExecForm(()), ShellForm("[]x")]


@pytest.mark.rule("L-11", "J-1")
def test_shell_takes_an_array_that_is_not_empty() -> None:
    assert statement('SHELL ["/bin/bash", "-c"]').arguments == ("/bin/bash", "-c")
    assert message("SHELL /bin/bash -c") == "SHELL requires the arguments to be in JSON form"
    assert message("SHELL []") == "SHELL requires at least one argument"


@pytest.mark.rule("L-13")
def test_expose_takes_words() -> None:
    assert [word.text for word in statement("EXPOSE 80 443/tcp $p").ports] == ["80", "443/tcp", "$p"]
    assert message("EXPOSE") == "EXPOSE requires at least one argument"


@pytest.mark.rule("L-14", "P-2")
def test_volume_takes_words_or_an_array_and_no_empty_path() -> None:
    assert [word.text for word in statement("VOLUME /a /b").paths] == ["/a", "/b"]
    assert [word.text for word in statement('VOLUME ["/a b"]').paths] == ["/a b"]
    assert message('VOLUME [""]') == "VOLUME specified can not be an empty string"
    assert message("VOLUME []") == "VOLUME requires at least one argument"


@pytest.mark.rule("L-16", "P-4")
def test_healthcheck_takes_none_or_a_command_with_durations() -> None:
    flags = "--interval=5m --timeout=1.5s --start-period=1m30s --start-interval=500ms --retries=3"
    check = statement(f"HEALTHCHECK {flags} CMD curl x")
    assert check.command == ShellForm("curl x")
    assert (check.interval, check.timeout) == (300_000_000_000, 1_500_000_000)
    assert (check.start_period, check.start_interval, check.retries) == (90_000_000_000, 500_000_000, 3)
    assert statement("HEALTHCHECK none").command is None
    assert statement('HEALTHCHECK cmd ["a"]').command == ExecForm(("a",))


@pytest.mark.rule("P-4")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK CMD []", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK curl x", 'Unknown type "CURL" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK --interval=5 CMD x", 'time: missing unit in duration "5"'),
        ("HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK --retries=x CMD x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
def test_a_healthcheck_that_means_nothing_is_refused(text: str, expected: str) -> None:
    assert message(text) == expected


@pytest.mark.rule("L-17", "O-1", "O-2")
def test_onbuild_keeps_its_instruction_as_text() -> None:
    assert statement("ONBUILD  RUN a \\\n  b\n").trigger == "RUN a   b"
    assert statement("onbuild COPY <<A /x\none\nA\n").trigger == "COPY <<A /x\none\nA"
    assert statement("ONBUILD FOO bar").trigger == "FOO bar"


@pytest.mark.rule("O-1")
def test_onbuild_refuses_the_three_instructions_that_cannot_be_triggers() -> None:
    assert message("ONBUILD ONBUILD RUN x") == "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"
    assert message("ONBUILD from x") == "FROM isn't allowed as an ONBUILD trigger"
    assert message("ONBUILD MAINTAINER x") == "MAINTAINER isn't allowed as an ONBUILD trigger"
    assert message("ONBUILD") == "ONBUILD requires at least one argument"


@pytest.mark.rule("F-1")
def test_flags_are_the_leading_words_with_two_dashes() -> None:
    assert [flag.text for flag in instruction("COPY --a --b=c d --e f").flags] == ["--a", "--b=c"]
    assert words("COPY --a -- --b c") == ["--b", "c"]
    assert words("RUN -x --y") == ["-x --y"]


@pytest.mark.rule("F-2")
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('--x="a b"', "a b"),
        ("--x='a b'", "a b"),
        ("--x=a\\ b", "a b"),
        ('--x="a\\"b"', 'a"b'),
        ("--x=a'b'\"c\"", "abc"),
    ],
)
def test_quotes_and_backslashes_in_flags_are_processed(written: str, value: str) -> None:
    (flag,) = instruction(f"COPY {written} c d").flags
    assert (flag.name, flag.value, flag.text) == ("x", value, written)


@pytest.mark.rule("F-3")
def test_boolean_flags_take_true_and_false_in_any_case() -> None:
    switches = [s.link for s in statements("COPY --link a b\nCOPY --link=TRUE a b\nCOPY --link=False a b\nCOPY a b\n")]
    assert switches == [True, True, False, False]
    assert message("COPY --link=1 a b") == "expecting boolean value for flag --link, not: 1"
    assert message("COPY --link= a b") == "missing a value on flag: --link"


@pytest.mark.rule("F-4")
def test_other_flags_need_their_value_in_the_same_word() -> None:
    assert message("COPY --from stage a b") == "missing a value on flag: --from"
    assert statement("COPY --from= a b").source_stage is None


@pytest.mark.rule("F-5")
def test_only_some_flags_may_be_repeated() -> None:
    assert message("COPY --from=a --from=b c d") == "duplicate flag specified: --from"
    assert len(statement("COPY --exclude=a --exclude=b c d").exclude) == 2


@pytest.mark.rule("F-6", "X4")
def test_an_unknown_flag_gets_the_nearest_known_one() -> None:
    (error,) = errors("FROM scratch\nRUN --mont=type=cache,target=/x true\n")
    assert error.message == "unknown flag: --mont (did you mean mount?)"
    assert error.hint == "RUN takes --device, --mount, --network, --security."
    assert error.location is not None
    assert error.location[1:] == (2, 5, 2, 32)


@pytest.mark.rule("F-7")
@pytest.mark.parametrize(
    "text", ["CMD --x a", "ENV --x a=b", "LABEL --x a=b", "USER --x a", "VOLUME --x /a", "EXPOSE --x 1"]
)
def test_instructions_without_flags_refuse_every_flag(text: str) -> None:
    assert message(text) == "unknown flag: --x"


@pytest.mark.rule("F-7", "Z-7")
def test_three_instructions_ignore_flags() -> None:
    assert len(statements("ARG --x a\nSTOPSIGNAL --x 9\nHEALTHCHECK --x NONE\n")) == 3


@pytest.mark.rule("J-1")
@pytest.mark.parametrize(
    "rest", ["['a']", '["a"] b', '["a"', '["a",]', '["a" "b"]', "[ -f x ]", '["\ta"]', "[NaN", "[a]"]
)
def test_what_looks_like_json_and_is_not_is_a_shell_command(rest: str) -> None:
    assert statement(f"RUN {rest}").command == ShellForm(rest)


@pytest.mark.rule("J-1")
def test_what_looks_like_json_and_is_not_is_words_for_copy() -> None:
    assert words('COPY ["a", "b" c') == ['["a",', '"b"', "c"]


@pytest.mark.rule("J-1")
@pytest.mark.parametrize("array", ["[1]", '["a", null]', "[[]]", "[{}]", "[true]", "[1e999]", "[" + "9" * 5000 + "]"])
def test_an_array_of_other_things_than_strings_is_refused(array: str) -> None:
    assert message(f"CMD {array}") == "when using JSON array syntax, arrays must be comprised of strings only"


@pytest.mark.rule("J-3")
def test_an_array_may_be_written_over_several_lines() -> None:
    assert words('CMD [ "a", \\\n # c\n "b" ]') == ["a", "b"]


def test_lone_surrogates_in_json_become_replacement_characters() -> None:
    assert words('CMD ["\\ud83d\\ude00", "\\ud800"]') == ["😀", "\ufffd"]


def test_a_command_of_one_heredoc_is_a_script() -> None:
    run = statement("RUN <<-EOF\n\techo\n\tEOF\n")
    assert run.is_script
    assert run.heredocs == (Heredoc(name="EOF", content="echo\n", written="\techo\n", chomp=True),)
