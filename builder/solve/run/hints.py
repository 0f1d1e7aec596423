"""What to try after a RUN that failed: read from its exit code, from what it last said, and from its own text.

A shell says "not found" of a word of bash as it does of a program that is missing; only the word tells them apart.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from builder.dockerfile.arrays import array_fault, is_meant_as_array
from builder.plan.step import RunOp

_NOT_EXECUTABLE, _NOT_FOUND, _KILLED = 126, 127, 137
_LAST_LINES = 5
_KNOW_MORE = frozenset({"bash", "zsh", "ksh", "mksh", "pwsh", "powershell"})
"""Shells of which words of bash are not to be told."""
_SAYS = re.compile(r"(?P<who>\S+?): (?:(?:line )?\d+: )?(?P<what>.*)")
_MISSING = re.compile(r"(?P<word>\S+): (?:command )?not found")
_INSTEAD = {"source": "`.`", "[[": "[ … ]", "typeset": "local, or nothing", "declare": "local, or nothing",
            "let": "$((…))", "function": "NAME()", "time": "nothing", "builtin": "nothing"}  # fmt: skip
_WORDS = frozenset(_INSTEAD) | {
    "pushd", "popd", "dirs", "shopt", "mapfile", "readarray", "disown", "coproc", "select", "enable", "caller",
    "compgen", "complete", "compopt", "suspend", "logout", "((", "bind", "help", "history",
}  # fmt: skip
"""Words of bash that dash and busybox don't know."""
_SAYINGS: tuple[tuple[re.Pattern[str], re.Pattern[str], str], ...] = tuple(
    (re.compile(said), re.compile(written), what)
    for said, written, what in (
        (r"export: .*[Ii]llegal option -f", r"", "`export -f`"),
        (r"set: .*[Ii]llegal option -o", r"", "`set -o pipefail`"),
        (r"(?:read|ulimit|type): .*[Ii]llegal option", r"", "this option"),
        (r"trap: \w+: bad trap", r"", "`trap … ERR`"),
        (r"printf: %q: |%q: invalid", r"", "`printf %q`"),
        (r"\[: .*unexpected operator", r"==", "`==` between [ and ], where sh has `=`,"),
        (r"[Ss]yntax error", r"\w+\+?=\(", "an array"),
        (r"[Ss]yntax error", r"[<>]\(", "`<(…)`"),
        (r"[Ss]yntax error", r"<<<", "`<<<`"),
        (r"[Ss]yntax error", r"\bfunction\s+\w", "`function`"),
        (r"[Ss]yntax error", r"\bselect\s+\w+\s+in\b", "`select`"),
        (r"[Ss]yntax error", r"\bfor\s*\(\(", "`for ((…))`"),
        (r"[Bb]ad substitution", r"\$\{", "this form of ${…}"),
    )
)
"""(what a shell says, what stands in the command, what that is): more than sh has."""
_CANNOT_EXECUTE = (
    ("argument list too long",
     "The command and its variables are more than the kernel takes (128 KiB for one, 2 MiB for all):"
     " put a long script into a file, as RUN of a heredoc with a #! line does."),
    ("permission denied", "A file is there but can't be executed: its mode has no x, or USER may not reach it."),
    ("exec format error", "A file is no program of this machine: of another architecture, or without a #! line."),
    ("text file busy", "A file is still open for writing: a program that an earlier command began has not ended."),
)  # fmt: skip


def hint_for(op: RunOp, code: int, tail: Sequence[str]) -> str:
    """Return what to try after `op` ended with `code` and these last lines; "" when nothing can be said."""
    command = op.argv[-1] if op.argv else ""
    # First: a shell that is given an array says anything about it, from "not found" to a syntax error.
    if is_meant_as_array(command) and (fault := array_fault(command)):
        return f"This is no JSON array, so it went to a shell: {fault}."
    last = tail[-1] if tail else ""
    if code == _NOT_FOUND and last.startswith("exec: "):
        shell = shlex.quote(op.argv[0]) if op.argv else "the program"
        return f'The image has no {shell}; with SHELL or RUN ["program", …] another program can be named.'
    if hint := _of_bash(op, command, tail[-_LAST_LINES:]):
        return hint
    if code == _NOT_FOUND:
        return "A command was not found: install it in an earlier step of this stage, or look at its PATH."
    if code == _NOT_EXECUTABLE:
        return _not_executable(tail[-_LAST_LINES:])
    if code == _KILLED:
        return "It was killed, as happens when the machine runs out of memory."
    return ""


def _not_executable(tail: Sequence[str]) -> str:
    for line in reversed(tail):
        for said, hint in _CANNOT_EXECUTE:
            if said in line.lower():
                return hint
    return "A command is there but can't be executed: its mode, its #! line or its architecture is wrong."


def _of_bash(op: RunOp, command: str, tail: Sequence[str]) -> str:
    """Return the hint for a word or a form that bash knows and the shell that ran does not."""
    shell = op.argv[0] if op.argv else ""
    if _base_name(shell) in _KNOW_MORE:
        return ""
    text = op.script or command
    for line in reversed(tail):
        said = _SAYS.fullmatch(line)
        if said is None:
            continue
        who = said["who"]
        other = who if _base_name(who) != _base_name(shell) and who != op.script_path else ""
        if (missing := _MISSING.fullmatch(said["what"])) and missing["word"] in _WORDS:
            word = missing["word"]
            return _advice(f"`{word}` is a word of bash", _INSTEAD.get(word, ""), other)
        for heard, written, what in () if other else _SAYINGS:
            if heard.search(line) and written.search(text):
                return _advice(f"{what} is bash's", "", other)
    return ""


def _advice(what: str, instead: str, script: str) -> str:
    either = f"write {instead}, or " if instead else ""
    if script:
        return f"{what}, and {script} is run by sh: {either}begin it with #!/bin/bash."
    return f'{what}, and this shell is not: {either}put SHELL ["/bin/bash", "-c"] above, with bash in the image.'


def _base_name(path: str) -> str:
    return path.rpartition("/")[2]
