"""Notes on values that look like more than text: commands in ENV, ARG and LABEL, and ~ where no shell reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builder.dockerfile.instructions import Add, Arg, Copy, Env, Label, Stage, StageStatement, Word, Workdir
from builder.lint import rules
from builder.lint.finding import Report

_COMMAND = re.compile(r"(?<!\\)\$\((?!\()[^()]*\)|(?<!\\)`[^`]+`")
_BACKTICK = "`"
_WHOLE = re.compile(r"\"?(?:\$\((?!\()[^()]*\)|`[^`]+`)\"?")
_READ_BY_A_SHELL = re.compile(
    r"(?:^|_)(?:PS[0-4]|PROMPT|CMD|COMMANDS?|SCRIPT|HOOK|EXEC|RUN|USAGE|HELP|ALIAS|EVAL|TRAP|FORMAT|TEMPLATE)(?:_|$)",
    re.IGNORECASE,
)
"""Names of values that something runs later, or that are meant to be read by people."""
_HOME = re.compile(r"~(?:/.*)?")


def check_values(stage: Stage, escape: str, report: Report) -> None:
    """Check the values and paths of a stage."""
    for statement in stage.statements:
        _check_commands(statement, escape, report)
        for word in _paths(statement):
            if _HOME.fullmatch(word.text.strip("\"'")):
                message = f"{word.text} is a folder named ~ here, not the home of a user"
                hint = "Write the whole path, as /root or /home/NAME, or a variable that ENV or ARG has set."
                report.add(rules.TILDE_IN_PATH, message, statement.syntax, word.location, hint=hint)


def _check_commands(statement: StageStatement, escape: str, report: Report) -> None:
    for name, value in _values(statement):
        text = value.text
        if text.startswith("'") or _READ_BY_A_SHELL.search(name):
            continue  # in single quotes it is text on purpose
        # A label is prose: `--help` in it is no command, and $(pwd) is for whoever reads it.
        found = _WHOLE.fullmatch(text) if isinstance(statement, Label) else _COMMAND.search(text)
        if found and not (escape == _BACKTICK and _BACKTICK in found[0]):
            message = f"{found[0]} is text in the value of {name}: no command is run here"
            hint = f"Give the value from outside: ARG {name}, and --build-arg; or compute it in the RUN that needs it."
            if isinstance(statement, Label):
                hint = f'Give the value from outside: --label "{name}=…".'
            report.add(rules.COMMAND_IN_ENV, message, statement.syntax, value.location, hint=hint)


def _values(statement: StageStatement) -> Iterator[tuple[str, Word]]:
    if isinstance(statement, Env | Label):
        for name, value in statement.pairs:
            yield name.text.strip("\"'"), value
    elif isinstance(statement, Arg):
        for definition in statement.definitions:
            if definition.default is not None:
                yield definition.name, definition.default


def _paths(statement: StageStatement) -> Iterator[Word]:
    if isinstance(statement, Workdir):
        yield statement.path
    elif isinstance(statement, Copy | Add):
        yield from statement.sources
        yield statement.destination
