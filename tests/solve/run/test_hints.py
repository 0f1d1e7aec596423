"""What a failed RUN suggests, for what shells say in images of Debian (dash) and of busybox."""

from __future__ import annotations

import pytest

from builder.oci.platform import host_platform
from builder.plan.step import RunOp
from builder.solve.run.hints import hint_for

SHELL = 'SHELL ["/bin/bash", "-c"]'


def hint(command: str, code: int, *tail: str, shell: str = "/bin/sh") -> str:
    op = RunOp(argv=(shell, "-c", command), env=(), platform=host_platform())
    return hint_for(op, code, tail)


@pytest.mark.parametrize(
    ("command", "code", "last", "fragments"),
    [
        ("source /x", 127, "/bin/sh: 1: source: not found", ["`source` is a word of bash", "write `.`", SHELL]),
        ("[[ a = b ]]", 127, "/bin/sh: 1: [[: not found", ["`[[` is a word of bash", "write [ … ]", SHELL]),
        ("pushd /", 127, "/bin/sh: pushd: not found", ["`pushd` is a word of bash", SHELL]),
        ("declare -A x", 127, "/bin/sh: declare: not found", ["`declare` is a word of bash", SHELL]),
        ("shopt -s x", 127, "/bin/sh: 1: shopt: not found", ["`shopt` is a word of bash", SHELL]),
        ("mapfile x", 127, "/bin/sh: line 3: mapfile: not found", ["`mapfile` is a word of bash", SHELL]),
        ("mapfile x", 127, "sh: mapfile: command not found", ["`mapfile` is a word of bash", SHELL]),
        ("export -f x", 2, "/bin/sh: 1: export: Illegal option -f", ["`export -f` is bash's", SHELL]),
        ("export -f x", 2, "/bin/sh: export: line 0: illegal option -f", ["`export -f` is bash's", SHELL]),
        ("set -o pipefail", 2, "/bin/sh: 1: set: Illegal option -o pipefail", ["`set -o pipefail` is bash's", SHELL]),
        ("a=(1 2)", 2, '/bin/sh: 1: Syntax error: "(" unexpected', ["an array is bash's", SHELL]),
        ("a=(1 2)", 2, '/bin/sh: syntax error: unexpected "("', ["an array is bash's", SHELL]),
        ("cat <(echo)", 2, '/bin/sh: 1: Syntax error: "(" unexpected', ["`<(…)` is bash's", SHELL]),
        ("cat <<< hi", 2, "/bin/sh: 1: Syntax error: redirection unexpected", ["`<<<` is bash's", SHELL]),
        ("function f { :; }", 2, '/bin/sh: 1: Syntax error: "}" unexpected', ["`function` is bash's", SHELL]),
        ("for ((i=0;i<2;i++)); do :; done", 2, "/bin/sh: 1: Syntax error: Bad for loop variable", ["`for ((…))`"]),
        ("echo ${x^^}", 2, "/bin/sh: 1: Bad substitution", ["this form of ${…} is bash's", SHELL]),
        ("echo ${x^^}", 2, "/bin/sh: syntax error: bad substitution", ["this form of ${…} is bash's", SHELL]),
        ("[ a == b ]", 2, "/bin/sh: 1: [: a: unexpected operator", ["where sh has `=`", SHELL]),
        ("trap x ERR", 1, "/bin/sh: 1: trap: ERR: bad trap", ["`trap … ERR` is bash's", SHELL]),
        ("./build.sh", 127, "./build.sh: 3: source: not found", ["`source`", "./build.sh is run by sh", "#!/bin/bash"]),
    ],
)
def test_words_and_forms_of_bash_are_told_from_missing_programs(
    command: str, code: int, last: str, fragments: list[str]
) -> None:
    found = hint(command, code, "earlier", last)
    for fragment in fragments:
        assert fragment in found
    assert "install it" not in found


@pytest.mark.parametrize(
    ("command", "code", "last", "fragment"),
    [
        ("make", 127, "/bin/sh: 1: make: not found", "A command was not found: install it"),
        ("sourcery", 127, "/bin/sh: 1: sourcery: not found", "A command was not found: install it"),
        ("if true", 2, '/bin/sh: 1: Syntax error: end of file unexpected (expecting "then")', ""),
        ("x", 2, "/bin/sh: 1: export: x: bad variable name", ""),
        ("x", 1, "source: not found", ""),
        ("x", 137, "", "It was killed"),
    ],
)
def test_other_failures_are_not_called_bash_s(command: str, code: int, last: str, fragment: str) -> None:
    found = hint(command, code, last)
    assert "bash" not in found
    assert found.startswith(fragment)
    assert bool(found) == bool(fragment)


def test_bash_itself_is_not_advised_to_be_bash() -> None:
    assert "SHELL" not in hint("complete", 127, "/bin/bash: line 1: complete: command not found", shell="/bin/bash")


@pytest.mark.parametrize(
    ("last", "fragment"),
    [
        ('exec: "/bin/sh": argument list too long', "128 KiB for one"),
        ("/bin/sh: 1: /bin/true: Argument list too long", "128 KiB for one"),
        ("/bin/sh: 1: /x: Permission denied", "its mode has no x"),
        ('exec: "/x": exec format error (a script needs a #! line; …)', "of another architecture"),
        ("/bin/sh: 1: /x: Text file busy", "still open for writing"),
        ("something else", "its mode, its #! line or its architecture"),
    ],
)
def test_what_cannot_be_executed_says_which_of_the_reasons_it_is(last: str, fragment: str) -> None:
    assert fragment in hint("x", 126, last)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ('["a" "b"]', 'a comma is missing before "b"'),
        ('["a", "b"] # why', "a comment stands behind it"),
        ("['a', 'b']", "'a' is not in double quotes"),
        ('["a", "b",]', "a comma stands before its last bracket"),
    ],
)
def test_a_command_that_was_meant_as_an_array_says_so(command: str, said: str) -> None:
    found = hint(command, 127, "/bin/sh: 1: [a: not found")
    assert found.startswith(f"This is no JSON array, so it went to a shell: {said}")
