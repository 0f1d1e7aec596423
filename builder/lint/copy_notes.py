"""Notes on COPY and ADD: sources that meet at one name, that lead out of the context, and secrets that are deleted."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from builder.dockerfile.instructions import Add, Copy, Run, Stage, Workdir
from builder.lint import rules
from builder.lint.finding import ContextFiles, LintInputs, Report
from builder.lint.inherited import Inherited, run_text
from builder.lint.secret_names import is_surely_secret

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|[A-Za-z0-9_-]+@[A-Za-z0-9.-]+:", re.IGNORECASE)
_WILDCARD = re.compile(r"[*?\[\\]")
_OFFICIAL = re.compile(r"(?:docker\.io/)?(?:library/)?[a-z0-9_-]+(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?")
_REPOSITORY = re.compile("[:@]")
_FOLDERS = frozenset((
    "bin", "boot", "certs", "cache", "conf", "config", "configs", "data", "db", "dev", "docker-entrypoint-initdb.d",
    "etc", "go", "home", "lib", "lib32", "lib64", "libx32", "logs", "media", "mnt", "opt", "out", "output", "proc",
    "root", "run", "sbin", "site", "srv", "sys", "system", "tmp", "usr", "var", "vault", "volume", "www",
))  # fmt: skip
"""Folders right below / that images bring: the Filesystem Hierarchy Standard's, and those of official images."""
_ARCHIVE = re.compile(r"\.(?:tar|tgz|tar\.\w+|tbz2?|txz|tzst)$", re.IGNORECASE)
_FILE = re.compile(r".+\.(?!d$)[A-Za-z][A-Za-z0-9]{0,4}")
_SEPARATOR = re.compile(r"[;&|\n]+")


def check_copies(stage: Stage, state: Inherited, inputs: LintInputs, report: Report) -> None:
    """Check what a stage copies; `state` is changed to what the stage ends with."""
    for statement in stage.statements:
        if isinstance(statement, Copy | Add):
            if not _is_from_elsewhere(statement):
                _check_parents(statement, inputs, report)
            _check_one_file(statement, state, inputs, report)
            if not _are_files(statement, inputs) and (path := state.absolute(statement.destination.text)):
                state.filled.add(path)
        state.take(statement)


def _is_from_elsewhere(statement: Copy | Add) -> bool:
    return isinstance(statement, Copy) and statement.source_stage is not None


def _check_parents(statement: Copy | Add, inputs: LintInputs, report: Report) -> None:
    """BuildKit cleans a source below the root of the context (path.Join("/", source))."""
    if inputs.context is None:
        return
    for word in statement.sources:
        text = word.text
        if "$" in text or _REMOTE.match(text) or _WILDCARD.search(text):
            continue
        wanted = posixpath.normpath(text)
        found = posixpath.normpath("/" + text).lstrip("/")
        if wanted.split("/")[0] != ".." or not inputs.context.kind(found):
            continue
        if posixpath.normpath(posixpath.join(inputs.dockerfile_folder, text)) == (found or "."):
            continue  # meant from where the Dockerfile lies, it is the very file
        what = f"{found} of the build context" if found else "the whole build context"
        message = f"{text} can't lead out of the build context: {what} is taken"
        hint = "Build with a folder above as the context, and -f; or lend one with --build-context."
        report.add(rules.PARENT_LANDS_ON_OTHER_FILE, message, statement.syntax, word.location, hint=hint)


def _check_one_file(statement: Copy | Add, state: Inherited, inputs: LintInputs, report: Report) -> None:
    destination = statement.destination.text
    names = [word.text for word in statement.sources] + [heredoc.name for heredoc in statement.heredocs]
    if len(names) < 2 or _keeps_names(statement) or posixpath.basename(destination.strip("\"'")) in ("", ".", ".."):
        return
    if not _are_files(statement, inputs):
        return
    path = state.absolute(destination)
    if path is None or not _is_new(path, state):
        return
    message = f"{destination} becomes one file: each source takes the place of the one before, and {names[-1]} stays"
    hint = f"With a slash at its end it is a folder: {destination}/."
    location = statement.destination.location
    report.add(rules.SOURCES_ON_ONE_FILE, message, statement.syntax, location, hint=hint)


def _keeps_names(statement: Copy | Add) -> bool:
    return isinstance(statement, Copy) and statement.parents


def _are_files(statement: Copy | Add, inputs: LintInputs) -> bool:
    """Say whether each source is certainly one file, and stays one: ADD unpacks archives."""
    if isinstance(statement, Add) and any(_ARCHIVE.search(word.text) for word in statement.sources):
        return False
    context = None if _is_from_elsewhere(statement) else inputs.context
    return all(_is_file(word.text, context) for word in statement.sources)


def _is_file(source: str, context: ContextFiles | None) -> bool:
    if "$" in source or _REMOTE.match(source) or _WILDCARD.search(source) or source.endswith("/"):
        return False
    if context is not None:
        return context.kind(posixpath.normpath("/" + source).lstrip("/")) == "file"
    return _FILE.fullmatch(posixpath.basename(source)) is not None


def _is_new(path: str, state: Inherited) -> bool:
    """Say whether nothing can have made a folder of this name before: neither the image nor a step."""
    name = posixpath.basename(path)
    if state.is_unsure or path in state.made or name in state.words:
        return False
    # What was copied into a folder above could be a whole tree, with a folder of this name in it.
    above = path
    while above != "/":
        above = posixpath.dirname(above)
        if above in state.filled:
            return False
    if state.image == "scratch":
        return True
    first, _, rest = path.lstrip("/").partition("/")
    if not _OFFICIAL.fullmatch(state.image) or first == _REPOSITORY.split(state.image.rpartition("/")[2])[0]:
        return False
    return not rest and (first not in _FOLDERS or _FILE.fullmatch(name) is not None)


def check_secrets(stage: Stage, report: Report) -> None:
    """Check for secrets that one layer adds and a later one hides."""
    added: dict[str, Copy | Add] = {}
    folder = ""
    for statement in stage.statements:
        if isinstance(statement, Workdir):
            folder = posixpath.join(folder, statement.path.text)
        elif isinstance(statement, Copy | Add):
            for path in _secret_paths(statement):
                added[posixpath.normpath(posixpath.join(folder, path))] = statement
        elif isinstance(statement, Run) and added:
            _check_deletions(statement, folder, added, report)


def _secret_paths(statement: Copy | Add) -> Iterator[str]:
    """Yield where the sources whose names look secret come to lie."""
    destination = statement.destination.text
    is_folder = (
        destination.endswith("/") or posixpath.basename(destination) in (".", "..") or len(statement.sources) > 1
    )
    for word in statement.sources:
        if is_surely_secret(word.text) and not _WILDCARD.search(word.text):
            name = posixpath.basename(word.text.rstrip("/"))
            yield posixpath.join(destination, name) if is_folder else destination
            if not is_folder:
                yield posixpath.join(destination, name)  # the destination may be a folder all the same
        elif is_surely_secret(destination) and len(statement.sources) == 1:
            yield destination


def _check_deletions(run: Run, folder: str, added: dict[str, Copy | Add], report: Report) -> None:
    for command in _SEPARATOR.split(run_text(run)):
        words = command.split()
        if words[:1] == ["sudo"]:
            words = words[1:]
        if words[:1] not in (["rm"], ["shred"], ["unlink"]):
            continue
        for word in words[1:]:
            path = posixpath.normpath(posixpath.join(folder, word.strip("\"'")))
            if path in added:
                source = added.pop(path)
                message = f"{path} is hidden here, and can be read in the layer of {source.syntax.keyword}"
                hint = "RUN --mount=type=secret lends a secret to one step, and no layer holds it."
                report.add(rules.SECRET_REMOVED_LATER, message, run.syntax, hint=hint)
