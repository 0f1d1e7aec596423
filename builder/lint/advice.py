"""Our own checks: habits that make images larger, builds slower or secrets public. Off until they are asked for."""

from __future__ import annotations

import posixpath
import re

from builder.dockerfile.instructions import Add, Copy, Dockerfile, From, Run, ShellForm, Stage
from builder.lint import rules
from builder.lint.finding import Report
from builder.lint.secret_names import looks_secret

# Flags are bounded so that a hostile line costs linear time.
_APT = r"\bapt(?:-get)?(?:\s+-\S+){0,16}\s+"
_APT_INSTALL = re.compile(_APT + r"install\b")
_APT_UPDATE = re.compile(_APT + r"update\b")
_LISTS = "/var/lib/apt/lists"
_SEPARATOR = re.compile(r"[;&|\n]+")
_INSTALLER = re.compile(
    r"\b(?:pip3?|pipenv|poetry|uv|npm|yarn|pnpm|bundle|composer|apt|apt-get|apk|dnf|yum|go|cargo)\b"
)
_INSTALLS = re.compile(r"\b(?:install|ci|sync|add|download|fetch)\b")


def check_advice(dockerfile: Dockerfile, report: Report) -> None:
    """Run our own checks over every stage."""
    names: set[str] = set()
    for stage in dockerfile.stages:
        _check_pin(stage.base, names, report)
        names.add(stage.name)
        _check_runs(stage, report)
        _check_copies(stage, report)
        _check_order(stage, report)


def _check_pin(base: From, names: set[str], report: Report) -> None:
    image = base.image.text
    if image in names or image == "scratch" or "@sha256:" in image or "$" in image:
        return
    message = f"{image} is not pinned to a digest"
    report.add(rules.UNPINNED_FROM, message, base.syntax, base.image.location)


def _text(run: Run) -> str:
    if isinstance(run.command, ShellForm):
        return run.shell_text
    return " ".join(run.command.arguments)


def _check_runs(stage: Stage, report: Report) -> None:
    for statement in stage.statements:
        if not isinstance(statement, Run):
            continue
        text = _text(statement)
        if not _APT_INSTALL.search(text):
            continue
        if not _APT_UPDATE.search(text):
            message = "apt-get install without apt-get update in the same RUN installs from an old list, or none"
            report.add(rules.APT_INSTALL_WITHOUT_UPDATE, message, statement.syntax)
        mounted = any("/var/lib/apt" in mount.text or "/var/cache/apt" in mount.text for mount in statement.mounts)
        if _LISTS not in text and not mounted and _APT_UPDATE.search(text):
            message = f"the package lists stay in the layer: end with rm -rf {_LISTS}/*, or use a cache mount"
            report.add(rules.APT_LISTS_LEFT, message, statement.syntax)


def _check_copies(stage: Stage, report: Report) -> None:
    added: dict[str, str] = {}
    for statement in stage.statements:
        if isinstance(statement, Copy | Add):
            _check_secret_files(statement, report)
            if len(statement.sources) == 1 and not statement.destination.text.endswith("/"):
                added[posixpath.normpath(statement.destination.text)] = statement.syntax.keyword
        elif isinstance(statement, Run):
            _check_deletions(statement, added, report)


def _check_deletions(run: Run, added: dict[str, str], report: Report) -> None:
    for command in _SEPARATOR.split(_text(run)) if added else ():
        program, *arguments = command.split() or [""]
        for path in map(posixpath.normpath, arguments if program == "rm" else ()):
            if path in added:
                message = f"{path} is deleted here, but the layer of {added[path]} keeps it"
                report.add(rules.DELETED_IN_LATER_LAYER, message, run.syntax)


def _check_secret_files(statement: Copy | Add, report: Report) -> None:
    if isinstance(statement, Copy) and statement.source_stage is not None:
        return
    for word in statement.sources:
        if looks_secret(word.text):
            message = f"{word.text} looks like a secret: use RUN --mount=type=secret"
            report.add(rules.SECRET_FILE_COPIED, message, statement.syntax, word.location)


def _check_order(stage: Stage, report: Report) -> None:
    whole: Copy | None = None
    for statement in stage.statements:
        if isinstance(statement, Copy) and statement.source_stage is None:
            if any(word.text in (".", "./", "/") for word in statement.sources):
                whole = whole or statement
        elif isinstance(statement, Run) and whole is not None and _installs(_text(statement)):
            message = "the whole context is copied before dependencies are installed: any edit installs them again"
            report.add(rules.COPY_BEFORE_INSTALL, message, whole.syntax)
            return


def _installs(text: str) -> bool:
    for command in _SEPARATOR.split(text):
        installer = _INSTALLER.search(command)
        if installer and _INSTALLS.search(command, installer.end()):
            return True
    return False
