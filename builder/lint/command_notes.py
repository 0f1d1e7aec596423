"""Notes on ENTRYPOINT and CMD: what one does to the other, and what a JSON form takes literally."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Sequence

from builder.dockerfile.instructions import Cmd, Entrypoint, ExecForm, Run, Shell, ShellForm, Stage
from builder.lint import rules
from builder.lint.finding import Report
from builder.lint.inherited import Inherited, last_cmd, last_entrypoint

_INTERACTIVE = frozenset((
    "sh", "bash", "ash", "dash", "zsh", "ksh", "fish", "busybox", "python", "python2", "python3", "pypy", "pypy3",
    "node", "irb", "jshell", "php", "R", "julia", "ghci", "iex", "erl", "perl", "bun", "deno", "lua", "clojure",
    "clj", "scala", "groovysh", "swipl", "sbcl", "gradle", "mvn",
))  # fmt: skip
"""What images of languages and systems have as CMD for lack of anything else: nobody misses it."""
_SHELLS = frozenset((
    "sh", "bash", "ash", "dash", "zsh", "ksh", "fish", "csh", "tcsh", "busybox", "cmd", "cmd.exe", "powershell",
    "powershell.exe", "pwsh",
))  # fmt: skip
_READS_DOLLARS = frozenset((
    "make", "gmake", "envsubst", "awk", "gawk", "mawk", "sed", "perl", "jq", "expect", "tclsh", "env-cmd",
    "cross-env", "cross-env-shell", "dotenv", "eval", "concurrently", "supervisord", "s6-svscan", "runsvdir",
    "dockerize", "ssh", "su", "nix-shell", "script", "foreman", "honcho", "overmind", "npm-run-all",
))  # fmt: skip
"""Programs that give a dollar sign a meaning of their own, or hand their words to a shell."""
_SCRIPT = re.compile(
    r"\.(?:sh|bash|ksh|zsh|bat|cmd|ps1)$|entry-?point|^(?:start|run|init|boot|launch|docker-.*)$", re.I
)
_VARIABLE = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})")
_ARGUMENTS = re.compile(r"\$(?:[@*#0-9]|\{[@*#0-9])")
"""What a shell form reads its arguments by: `sh -c` gives them to it as $0, $1 and so on."""
_SINGLE_QUOTED = re.compile(r"\['[^']*'.*\]|\[\s*'[^']*'\s*(?:,\s*'[^']*'\s*)*\]", re.DOTALL)
"""A blank after the bracket makes it the command `[`, unless commas follow."""
_SHELL_WORDS = 3
"""Of `sh -c TEXT`."""
_Own = tuple[Entrypoint | None, Cmd | None]
"""ENTRYPOINT and CMD of a stage itself."""
_PRINTERS = frozenset(("echo", "printf"))


def check_commands(stage: Stage, below: Inherited, report: Report) -> None:
    """Check the commands of a stage on top of what is below it."""
    own = (last_entrypoint(stage), last_cmd(stage))
    _check_reset(stage, own, below, report)
    entrypoint = own[0] or below.entrypoint
    _check_shell_entrypoint(stage, own, below, report)
    for statement in stage.statements:
        # Of several only the last one counts, and that is a finding of its own.
        if not isinstance(statement, Run) and not any(statement is each for each in own):
            continue
        assert isinstance(statement, Cmd | Entrypoint | Run)
        if isinstance(statement.command, ShellForm):
            _check_single_quotes(statement, statement.command, report)
        elif not isinstance(statement, Cmd) or _takes_words(entrypoint):
            _check_variables(statement, statement.command, report, has_entrypoint=entrypoint is not None)


def _check_reset(stage: Stage, own: _Own, below: Inherited, report: Report) -> None:
    """A CMD of the same stage stays, wherever it stands; one from below does not (BuildKit's dispatchEntrypoint)."""
    entrypoint, cmd = own
    if entrypoint is None or cmd is not None or below.is_triggered or not _passes_words(entrypoint.command):
        return
    if below.cmd is not None:
        lost = below.cmd.command
    elif below.base is not None and below.entrypoint is None and below.base.cmd:
        # An ENTRYPOINT of a stage in between has emptied it already, and was told so.
        if _is_interactive(below.base.cmd) or _names(entrypoint.command, below.base.cmd[0]):
            return
        lost = ExecForm(below.base.cmd)
    else:
        return
    if lost != ExecForm(()):
        message = f"This ENTRYPOINT empties CMD {_shown(lost)}, which {stage.base.image.text} has"
        hint = f"Write CMD {_shown(lost)} again in this stage to keep it, or CMD [] to say that none is meant."
        report.add(rules.ENTRYPOINT_DROPS_CMD, message, entrypoint.syntax, hint=hint)


def _passes_words(command: ShellForm | ExecForm) -> bool:
    """Say whether a CMD could reach the program: through `sh -c` it does where $@ or $1 is read."""
    if isinstance(command, ShellForm):
        return False
    words = command.arguments
    is_shell = (
        bool(words) and posixpath.basename(words[0]) in _SHELLS and any(word.endswith("c") for word in words[1:2])
    )
    return not is_shell or len(words) < _SHELL_WORDS or _ARGUMENTS.search(words[-1]) is not None


def _names(command: ShellForm | ExecForm, program: str) -> bool:
    """Say whether an ENTRYPOINT runs the program of the lost CMD itself."""
    words = command.arguments if isinstance(command, ExecForm) else ()
    return posixpath.basename(program) in map(posixpath.basename, words)


def _is_interactive(cmd: Sequence[str]) -> bool:
    return posixpath.basename(cmd[0]) in _INTERACTIVE


def _check_shell_entrypoint(stage: Stage, own: _Own, below: Inherited, report: Report) -> None:
    entrypoint = own[0] or below.entrypoint
    cmd = own[1] or (None if own[0] else below.cmd)
    if entrypoint is None or cmd is None or own == (None, None):
        return
    command = entrypoint.command
    shells = [statement for statement in stage.statements if isinstance(statement, Shell)]
    if not isinstance(command, ShellForm) or _ARGUMENTS.search(command.command) or shells or not below.has_posix_shell:
        return
    if command.command.startswith("[") or not command.command or cmd.command == ExecForm(()):
        return  # no shell form was meant, or nothing is lost
    message = f"CMD {_shown(cmd.command)} never reaches this ENTRYPOINT, which is in shell form"
    if own[0] is None:
        message = f"This CMD never reaches the ENTRYPOINT of line {entrypoint.location.line}, which is in shell form"
    hint = 'Write ENTRYPOINT as JSON: ENTRYPOINT ["program", "argument"].'
    report.add(rules.SHELL_ENTRYPOINT_DROPS_CMD, message, (own[0] or cmd).syntax, hint=hint)


def _takes_words(entrypoint: Entrypoint | None) -> bool:
    """Say whether the words of CMD stay as they are: a script in front could do anything with them."""
    if entrypoint is None:
        return True
    command = entrypoint.command
    return isinstance(command, ExecForm) and not any(map(_is_free, command.arguments))


def _is_free(word: str) -> bool:
    name = posixpath.basename(word)
    return name in _SHELLS or name in _READS_DOLLARS or _SCRIPT.search(name) is not None


def _check_variables(
    statement: Cmd | Entrypoint | Run, command: ExecForm, report: Report, *, has_entrypoint: bool
) -> None:
    words = command.arguments
    if any(map(_is_free, words)):
        return
    prints = posixpath.basename(words[0]) in _PRINTERS if words else False
    for word in words:
        # A text with blanks is a program in some language, or for a shell further on.
        found = _VARIABLE.search(word) if prints or not re.search(r"\s", word) else None
        if found:
            message = f"{found[0]} stays as it is written: no shell expands it here"
            report.add(
                rules.VARIABLE_IN_JSON,
                message,
                statement.syntax,
                hint=_with_shell(statement, words, has_entrypoint),
            )
            return


def _with_shell(statement: Cmd | Entrypoint | Run, words: Sequence[str], has_entrypoint: bool) -> str:
    text = " ".join(words)
    if isinstance(statement, Run):
        return f"The shell form has a shell: RUN {text}."
    if isinstance(statement, Cmd) and has_entrypoint:
        return 'ENTRYPOINT has to start the shell: ENTRYPOINT ["sh", "-c", "exec program …"].'
    program = json.dumps(f"exec {text}", ensure_ascii=False)
    return f'With a shell: {statement.syntax.keyword} ["sh", "-c", {program}].'


def _check_single_quotes(statement: Cmd | Entrypoint | Run, command: ShellForm, report: Report) -> None:
    text = command.command.strip()
    if _SINGLE_QUOTED.fullmatch(text) and not (isinstance(statement, Run) and statement.heredocs):
        words = re.findall("['\"]([^'\"]*)['\"]", text)
        message = f"{text} is no JSON, so a shell takes it for a command"
        hint = f"With double quotes: {statement.syntax.keyword} {json.dumps(words, ensure_ascii=False)}."
        report.add(rules.SINGLE_QUOTES_IN_JSON, message, statement.syntax, hint=hint)


def _shown(command: ShellForm | ExecForm) -> str:
    if isinstance(command, ShellForm):
        return command.command
    return json.dumps(list(command.arguments), ensure_ascii=False)
