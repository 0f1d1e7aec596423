"""Notes on RUN: what a step does to its own process alone, which ends with it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from builder.dockerfile.instructions import Run, ShellForm, Stage
from builder.lint import rules
from builder.lint.finding import Report

_SEPARATOR = re.compile(r"&&|;|\n")
_DOES_MORE = re.compile(r"\|\||[|<>`(){}]|\$\(|(?<!&)&(?!&)")
"""What lets a line leave files, or be a test of something: substitution, redirection, a pipe, `||`."""
_KEEPS_NOTHING = frozenset(("cd", "export", "set", "unset", "alias", "umask", "ulimit", "pushd", "popd", "shopt"))
_ACTIVATES = re.compile(r"(?:\.|source)\s+\S*/bin/activate|(?:conda|mamba|micromamba)\s+activate(?:\s+\S+)?")
_PROFILES = re.compile(
    r"(?:\.|source)\s+(?:\S*/\.(?:bash_?rc|profile|bash_profile|zshrc)|/etc/(?:profile|bash\.bashrc))"
)
_INSTEAD = {
    "cd": "WORKDIR sets the folder for what follows.",
    "pushd": "WORKDIR sets the folder for what follows.",
    "export": "ENV sets a variable for what follows.",
    "unset": "What ENV has set stays; a variable is left out of one RUN only, with what needs that.",
    "alias": "A file that the shell reads at its start, or a script in the PATH, stays.",
    "a profile": "ENV sets a variable for what follows.",
    "activate": "ENV PATH, with the environment's bin folder in front, does it for what follows.",
}
_STARTS = (
    re.compile(r"(?:sudo\s+)?(?:/usr/sbin/)?service\s+(?P<name>[\w.@+-]+)\s+(?:re)?start"),
    re.compile(r"(?:sudo\s+)?/etc/init\.d/(?P<name>[\w.@+-]+)\s+(?:re)?start"),
    re.compile(r"(?:sudo\s+)?systemctl\s+(?:re)?start\s+(?P<name>[\w.@+-]+)"),
    re.compile(r"(?:sudo\s+)?rc-service\s+(?P<name>[\w.@+-]+)\s+(?:re)?start"),
)
_ENDS = re.compile(r"&&|\|\||[;|\n]|(?<![>&])&(?!>)")


def check_runs(stage: Stage, report: Report) -> None:
    """Check each RUN in shell form. A heredoc is a script of its own, and is not judged."""
    for statement in stage.statements:
        if isinstance(statement, Run) and isinstance(statement.command, ShellForm) and not statement.heredocs:
            text = statement.command.command.strip()
            _check_keeps_nothing(statement, text, report)
            _check_service(statement, text, report)


def _check_keeps_nothing(run: Run, text: str, report: Report) -> None:
    commands = [command.strip() for command in _SEPARATOR.split(text)]
    commands = [command for command in commands if command]
    if not commands or _DOES_MORE.search(text) or not all(map(_name, commands)):
        return
    names = list(dict.fromkeys(map(_name, commands)))
    if set(names) <= {"set", "shopt"} and len(commands) == 1:
        what = names[0]
    else:
        what = " and ".join(name for name in names if name not in ("set", "shopt")) or "set"
    verb = "are" if " and " in what else "is"
    message = f"Nothing stays of this RUN: {what} {verb} for the shell of this step alone"
    hint = next((_INSTEAD[name] for name in names if name in _INSTEAD), "Put it into the RUN that needs it.")
    report.add(rules.RUN_OF_CD_OR_EXPORT, message, run.syntax, hint=hint)


def _name(command: str) -> str:
    """Return what a command that leaves nothing is called, or ""."""
    if _ACTIVATES.fullmatch(command):
        return "activate"
    if _PROFILES.fullmatch(command):
        return "a profile"
    word = command.split()[0]
    return word if word in _KEEPS_NOTHING else ""


def _check_service(run: Run, text: str, report: Report) -> None:
    found = _started(text)
    if found:
        message = f"{found} ends with this RUN: only the files that it wrote stay"
        hint = "Start it in the RUN that needs it, or with CMD or ENTRYPOINT when the container runs."
        report.add(rules.RUN_IN_BACKGROUND, message, run.syntax, hint=hint)


def _started(text: str) -> str:
    """Return what the end of a RUN leaves running, in words; "" for nothing."""
    if text.endswith("&") and not text.endswith(("&&", "\\&")):
        return _first_words(_ENDS.split(text[:-1])[-1])
    last = _SEPARATOR.split(text.rstrip("; \t\n"))[-1].strip()
    last = re.sub(r"\s*\|\|\s*(?:true|:|exit 0)$", "", last)
    return next((f"the service {found['name']}" for found in _matches(last)), "")


def _matches(command: str) -> Sequence[re.Match[str]]:
    return [found for pattern in _STARTS if (found := pattern.fullmatch(command))]


def _first_words(command: str) -> str:
    words = command.strip().split()
    return f"`{' '.join(words[:3])}{' …' if words[3:] else ''}`"
