"""--change of a commit: instructions of a Dockerfile that say something of the image and make no layer."""

from __future__ import annotations

from collections.abc import Iterable

from builder.dockerfile.instructions import Add, Copy, Run, StageStatement, Workdir
from builder.dockerfile.parser import parse_dockerfile
from builder.errors import DockerfileSyntaxError, PlanError, UsageError
from builder.oci.config import ImageConfig
from builder.plan.configure import configure
from builder.plan.paths import working_directory
from builder.plan.scope import Expander, Scope
from builder.plan.state import StageState

_FILE = "--change"


def changed_config(config: ImageConfig, changes: Iterable[str]) -> ImageConfig:
    """Return the config as these instructions leave it. Raises UsageError for what is none of them."""
    state = StageState(name="", config=config, platform=config.platform)
    state.begin()
    expander = Expander()
    for text in changes:
        for statement in _statements(text):
            try:
                _carry_out(statement, state, expander, text)
            except PlanError as error:
                raise UsageError(f"--change {text!r}: {error.message}", hint=error.hint) from error
    return state.image().config


def _statements(text: str) -> tuple[StageStatement, ...]:
    try:
        stages = parse_dockerfile(f"FROM scratch\n{text}\n", _FILE).stages
    except DockerfileSyntaxError as error:
        raise UsageError(f"--change {text!r}: {error.message}", hint=error.hint) from error
    if len(stages) != 1 or not stages[0].statements:
        raise _none(text)
    return tuple(stages[0].statements)


def _carry_out(statement: StageStatement, state: StageState, expander: Expander, text: str) -> None:
    match statement:
        case Workdir():
            path = working_directory(state.directory, expander.word(statement.path, state.scope))
            state.config = state.config.with_runtime(working_dir=path)
        case Add() | Copy() | Run():
            raise _none(text)
        case _:
            configure(statement, state, expander, Scope(), {})


def _none(text: str) -> UsageError:
    return UsageError(
        f"--change {text!r} is no instruction that only describes an image",
        hint="CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR.",
    )
