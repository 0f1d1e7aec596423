"""Notes on stages: variables that stay outside of them, and stages that nothing leads to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from builder.dockerfile import instructions as ast
from builder.dockerfile.instructions import Dockerfile, Run, ShellForm, Stage, StageStatement
from builder.dockerfile.words import WordError, expand
from builder.lint import rules
from builder.lint.finding import Report
from builder.lint.inherited import Inherited
from builder.lint.shell_text import read_variables

_GIVEN = frozenset((
    "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH",
    "HOME", "HOSTNAME", "PATH", "PWD", "OLDPWD", "UID", "EUID", "PPID", "SHLVL", "IFS", "RANDOM", "SECONDS", "LINENO",
))  # fmt: skip
"""With --build-arg these are there without an ARG (Dockerfile reference, predefined ARGs), or a shell sets them."""
_FROM_OPTION = re.compile(r"(?:^|,)\s*from=([^,]*)")
_VARIABLE = re.compile(r"\$(?:\w+|\{[^}]*\})")
_FEEDS_OTHERS = re.compile(
    r"(?:^|[-_.])(?:build(?:er)?|compiler?|deps|dependenc(?:y|ies)|install(?:er)?|unused|old|te?mp|intermediate)(?:$|[-_.\d])"
)
"""Names of stages that exist for others. A stage called test or dev is there to be asked for with --target."""
_ASKED_FOR = re.compile(r"test|dev|debug|lint|check|ci(?:$|[-_.])|export|artifact|release")


def check_global_args(dockerfile: Dockerfile, stage: Stage, state: Inherited, report: Report) -> None:
    """Check a stage for names that only an ARG before the first FROM has; `state` learns the names that it sets."""
    outside = {definition.name for arg in dockerfile.global_args for definition in arg.definitions}
    outside = {name for name in outside if name.upper() not in _GIVEN} if state.knows_variables else set()
    said: set[str] = set()
    for statement in stage.statements:
        if outside and (state.has_posix_shell or not isinstance(statement, Run)):
            for name in dict.fromkeys(_used(statement, dockerfile.escape)):
                if name in outside and name not in state.names and name not in said:
                    said.add(name)
                    message = f"${name} is empty here: its ARG stands before FROM, and this stage has none"
                    hint = f"Add ARG {name} to this stage; it takes the value from above."
                    report.add(rules.ARG_OUTSIDE_STAGE, message, statement.syntax, hint=hint)
        state.names.update(_defined(statement))


def _defined(statement: StageStatement) -> Iterator[str]:
    if isinstance(statement, ast.Arg):
        yield from (definition.name for definition in statement.definitions)
    elif isinstance(statement, ast.Env):
        yield from (name.text for name, _ in statement.pairs)


def _used(statement: StageStatement, escape: str) -> Iterable[str]:
    if isinstance(statement, Run):
        if isinstance(statement.command, ShellForm):
            bodies = (item.content for item in statement.heredocs if item.expand and not item.content.startswith("#!"))
            yield from read_variables("\n".join((statement.command.command, *bodies)))
        return
    for word in _words(statement):
        try:
            # With nothing set, what has a fall-back is in `unset`, and what has none in `missing`.
            yield from expand(word.text, lambda _: None, escape=escape).missing
        except WordError:
            continue


def _words(statement: StageStatement) -> Iterator[ast.Word]:
    match statement:
        case ast.Copy() | ast.Add():
            yield from (*statement.sources, statement.destination)
            yield from filter(None, (statement.chown, statement.chmod))
        case ast.Env() | ast.Label():
            yield from (value for _, value in statement.pairs)
        case ast.Arg():
            yield from filter(None, (definition.default for definition in statement.definitions))
        case ast.Workdir():
            yield statement.path
        case ast.User():
            yield statement.user
        case ast.Expose():
            yield from statement.ports
        case ast.Volume():
            yield from statement.paths


def check_stages_not_needed(dockerfile: Dockerfile, report: Report) -> None:
    """Check for stages that nothing reads from and that were hardly meant as a target."""
    stages = dockerfile.stages
    names: dict[str, int] = {}
    used: set[int] = set()
    for stage in stages:
        found = set(_uses(stage, names))
        if None in found:
            return  # a name that is only known in the build could be any of them
        used |= {index for index in found if index is not None}
        names[str(stage.index)] = stage.index
        if stage.name:
            names[stage.name] = stage.index
    speaks_of_targets = "--target" in dockerfile.text or "target:" in dockerfile.text
    for stage in stages[:-1]:
        if stage.index in used or not _is_forgotten(stage, stages[-1].name, speaks_of_targets=speaks_of_targets):
            continue
        title = f"The stage {stage.name}" if stage.name else "This stage, which has no name,"
        message = f"{title} is not built: nothing leads from it to the last stage"
        hint = "COPY --from or FROM makes it needed; a stage that is wanted for itself is built with --target."
        report.add(rules.STAGE_NOT_NEEDED, message, stage.base.syntax, hint=hint)


def _is_forgotten(stage: Stage, last_name: str, *, speaks_of_targets: bool) -> bool:
    if not stage.name:
        return True
    if speaks_of_targets or last_name or _ASKED_FOR.search(stage.name):
        return False
    return _FEEDS_OTHERS.search(stage.name) is not None


def _uses(stage: Stage, names: Mapping[str, int]) -> Iterator[int | None]:
    """Yield the stages that `stage` reads from; None where with other arguments it could be another one."""
    base = stage.base.image.text
    if "$" in base:
        # Only both ends are looked at: a pattern of many variables could cost any time.
        parts = _VARIABLE.split(base.lower())
        if any(name.startswith(parts[0]) and name.endswith(parts[-1]) for name in names if not name.isdigit()):
            yield None
    elif not base.isdigit() and (index := names.get(base.lower())) is not None:
        yield index
    for statement in stage.statements:
        for text in _origins(statement):
            if "$" in text:
                yield None
            elif (index := names.get(text.lower())) is not None:
                yield index


def _origins(statement: StageStatement) -> Iterator[str]:
    if isinstance(statement, ast.Copy) and statement.source_stage is not None:
        yield statement.source_stage.text
    elif isinstance(statement, Run):
        for mount in statement.mounts:
            yield from (found.strip("\"' ") for found in _FROM_OPTION.findall(mount.text))
    elif isinstance(statement, ast.OnBuild) and "from=" in statement.trigger:
        yield "$"  # it fires wherever the stage is a base, and may name any stage then
