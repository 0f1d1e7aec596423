"""Metadata instructions: what each does to the config and which history record it leaves. None of them is a step.

ENV LABEL CMD ENTRYPOINT SHELL USER EXPOSE VOLUME STOPSIGNAL HEALTHCHECK MAINTAINER ONBUILD ARG; the rules are E-*, K-*,
P-*, U-1 of the Dockerfile language. In: a statement and the stage's state. Out: the state, changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from builder.dockerfile.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    ExecForm,
    Expose,
    HealthcheckStatement,
    Label,
    Maintainer,
    OnBuild,
    Shell,
    ShellForm,
    StopSignal,
    User,
    Volume,
    Word,
)  # fmt: skip
from builder.dockerfile.ports import parse_port
from builder.dockerfile.values import check_stop_signal
from builder.errors import PlanError
from builder.oci.config import Healthcheck
from builder.plan import arguments, history
from builder.plan.scope import Expander, Scope
from builder.plan.state import StageState

Metadata = (
    Arg | Cmd | Entrypoint | Env | Expose | HealthcheckStatement | Label | Maintainer | OnBuild | Shell | StopSignal
    | User | Volume
)  # fmt: skip


def configure(
    statement: Metadata, state: StageState, expander: Expander, outside: Scope, build_args: Mapping[str, str]
) -> None:
    """Carry out a metadata instruction. Raises PlanError."""
    match statement:
        case Arg():
            _arg(statement, state, expander, outside, build_args)
        case Env():
            _env(statement, state, expander)
        case Label():
            _label(statement, state, expander)
        case Cmd():
            _cmd(statement, state)
        case Entrypoint():
            _entrypoint(statement, state)
        case Shell():
            state.configure(replace(state.runtime, shell=statement.arguments))
            state.record(history.listed("SHELL", statement.arguments))
        case User():
            user = expander.word(statement.user, state.scope)
            state.configure(replace(state.runtime, user=user))
            state.record(f"USER {user}")
        case Expose():
            _expose(statement, state, expander)
        case Volume():
            _volume(statement, state, expander)
        case StopSignal():
            _stop_signal(statement, state, expander)
        case HealthcheckStatement():
            _healthcheck(statement, state)
        case Maintainer():
            state.config = replace(state.config, author=statement.name)
            state.record(f"MAINTAINER {statement.name}")
        case OnBuild():
            # As it is written, unexpanded (O-2), and without a history record.
            state.configure(replace(state.runtime, on_build=(*state.runtime.on_build, statement.trigger)))
        case _:
            assert_never(statement)


def _arg(statement: Arg, state: StageState, expander: Expander, outside: Scope, build_args: Mapping[str, str]) -> None:
    shown: list[tuple[str, str | None]] = []
    for definition in statement.definitions:
        value = arguments.declare(definition, state.scope, outside, build_args, expander)
        # Also without a value: RUN's history counts it (`|2`), as BuildKit's does.
        state.arguments[definition.name] = value or ""
        shown.append((definition.name, value))
    state.record(history.arg(shown))


def _expanded_pairs(
    pairs: tuple[tuple[Word, Word], ...], state: StageState, expander: Expander
) -> list[tuple[str, str]]:
    """Expand keys and values, all of them with the variables from before the instruction."""
    # All of them first: in `ENV a=1 b=$a` the second has the value of `a` from before the line (Dockerfile reference,
    # Environment replacement).
    return [(expander.word(key, state.scope), expander.word(value, state.scope)) for key, value in pairs]


def _env(statement: Env, state: StageState, expander: Expander) -> None:
    pairs = _expanded_pairs(statement.pairs, state, expander)
    for (name, value), (word, _) in zip(pairs, statement.pairs):
        if not name:
            raise PlanError("ENV names can not be blank", word.location, hint=f"{word.text} expands to nothing.")
        if "\0" in name + value:
            raise PlanError(f"ENV {name!r} holds a NUL character, which no environment can", word.location)
        state.variables[name] = value
        # After an ARG of the same name this is the later one, and wins.
        state.scope.set(name, value, "ENV", statement.location)
    state.record(history.pairs("ENV", pairs))


def _label(statement: Label, state: StageState, expander: Expander) -> None:
    pairs = _expanded_pairs(statement.pairs, state, expander)
    for (name, _), (word, _) in zip(pairs, statement.pairs):
        if not name:
            expander.warn("EmptyName", f"{word.text} expands to nothing, so the label has no name", word.location)
    state.labels |= dict(pairs)
    state.record(history.pairs("LABEL", pairs))


def _cmd(statement: Cmd, state: StageState) -> None:
    words = state.argv(statement.command)
    # BuildKit says so of every CMD (dispatchCmd), though it is about Windows; without it the config has another digest.
    state.configure(replace(state.runtime, cmd=words, args_escaped=True))
    state.cmd_set = True
    state.record(history.quoted("CMD", words))


def _entrypoint(statement: Entrypoint, state: StageState) -> None:
    """An ENTRYPOINT takes an inherited CMD away, not one of its own stage (K-1)."""
    words = state.argv(statement.command)
    cmd = state.runtime.cmd if state.cmd_set else None
    # `ENTRYPOINT []` leaves no entrypoint at all, as in docker's config (build `entrypoint-empty`).
    state.configure(replace(state.runtime, entrypoint=words or None, cmd=cmd))
    state.record(history.quoted("ENTRYPOINT", words))


def _expose(statement: Expose, state: StageState, expander: Expander) -> None:
    ports: list[str] = []
    # BuildKit sorts the words as they are written, before it expands them.
    for word in sorted(statement.ports, key=lambda word: word.text):
        for text in expander.words(word, state.scope):
            ports += parse_port(text, word.location).ports()
    # History has the ports of this line, the config those of the base and of the lines above as well.
    known = dict.fromkeys((*state.runtime.exposed_ports, *ports))
    state.configure(replace(state.runtime, exposed_ports=tuple(known)))
    state.record(history.listed("EXPOSE", ports))


def _volume(statement: Volume, state: StageState, expander: Expander) -> None:
    paths = [expander.word(word, state.scope) for word in statement.paths]
    for path, word in zip(paths, statement.paths):
        if not path:
            hint = f"{word.text} expands to nothing." if word.text else ""
            raise PlanError("VOLUME specified can not be an empty string", word.location, hint=hint)
    state.configure(replace(state.runtime, volumes=tuple(dict.fromkeys((*state.runtime.volumes, *paths)))))
    state.record(history.listed("VOLUME", paths))


def _stop_signal(statement: StopSignal, state: StageState, expander: Expander) -> None:
    signal = expander.word(statement.signal, state.scope)
    check_stop_signal(signal, statement.signal.location)
    state.configure(replace(state.runtime, stop_signal=signal))
    state.record(f"STOPSIGNAL {signal}")


def _healthcheck(statement: HealthcheckStatement, state: StageState) -> None:
    match statement.command:
        case None:
            test: tuple[str, ...] = ("NONE",)
        case ExecForm(words):
            test = ("CMD", *words)
        case ShellForm(command):
            test = ("CMD-SHELL", command)
    check = Healthcheck(
        test=test,
        interval=statement.interval,
        timeout=statement.timeout,
        start_period=statement.start_period,
        start_interval=statement.start_interval,
        retries=statement.retries,
    )
    state.configure(replace(state.runtime, healthcheck=check))
    state.record(history.healthcheck(check))
