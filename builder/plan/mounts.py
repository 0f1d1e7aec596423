"""RUN --mount → the mounts of a step: targets absolute, names of caches and sockets filled in (M-*)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import assert_never

from builder.dockerfile.instructions import Run, Word
from builder.dockerfile.mounts import (
    BindOptions,
    CacheOptions,
    MountOptions,
    SecretOptions,
    SshOptions,
    TmpfsOptions,
    parse_mount,
)
from builder.errors import Location, PlanError
from builder.plan import paths
from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    Mount,
    SecretMount,
    SshMount,
    StepSource,
    TmpfsMount,
)

# BuildKit's (client/llb/exec.go): agents without a target are numbered in the order of the mounts.
SSH_SOCKETS = "/run/buildkit/ssh_agent."
FindTree = Callable[[str, Location, str], ContextSource | StepSource]
"""(name of `from=`, location, target) → the tree that it names."""


def read_mounts(run: Run, expand: Callable[[Word], str]) -> tuple[MountOptions, ...]:
    """Read the mounts of a RUN; `expand` gives one value its variables. Raises SourceError."""

    def mount(word: Word) -> MountOptions:
        # Values are expanded when the commas have been found: a variable cannot bring further options (M-1).
        return parse_mount(word.text, lambda text: expand(Word(text, word.location)), word.location)

    return tuple(mount(word) for word in run.mounts)


def origins(options: tuple[MountOptions, ...], run: Run) -> Iterator[tuple[str, Location, str]]:
    """Yield (name, location, target) for each `from=` that a mount reads."""
    for option, word in zip(options, run.mounts):
        if isinstance(option, BindOptions | CacheOptions) and option.origin:
            yield option.origin, word.location, option.target


def plan_mounts(options: tuple[MountOptions, ...], run: Run, directory: str, find: FindTree) -> tuple[Mount, ...]:
    """Return the mounts of a step. `directory` is the WORKDIR."""
    found: list[Mount] = []
    for option, word in zip(options, run.mounts):
        found.append(_planned(option, word, directory, find, _sockets(found)))
    return tuple(found)


def _sockets(mounts: list[Mount]) -> int:
    return sum(isinstance(mount, SshMount) for mount in mounts)


def _planned(option: MountOptions, word: Word, directory: str, find: FindTree, sockets: int) -> Mount:
    match option:
        case BindOptions():
            return BindMount(
                source=find(option.origin, word.location, option.target) if option.origin else ContextSource(),
                subpath=_subpath(option.source),
                target=_target(option.target, directory, word),
                readonly=option.readonly,
            )
        case CacheOptions():
            return _cache(option, word, directory, find)
        case TmpfsOptions():
            return TmpfsMount(_target(option.target, directory, word), option.size)
        case SecretOptions():
            return SecretMount(
                identifier=option.identifier,
                target=_target(option.target, directory, word) if option.target else "",
                variable=option.variable,
                required=option.required,
                mode=option.mode,
                uid=option.uid,
                gid=option.gid,
            )
        case SshOptions():
            target = option.target or f"{SSH_SOCKETS}{sockets}"
            return SshMount(
                identifier=option.identifier,
                target=_target(target, directory, word),
                required=option.required,
                mode=option.mode,
                uid=option.uid,
                gid=option.gid,
            )
    assert_never(option)


def _cache(option: CacheOptions, word: Word, directory: str, find: FindTree) -> CacheMount:
    return CacheMount(
        # The target as it is written, as in BuildKit: /x and x below WORKDIR / are two caches.
        identifier=option.identifier or posixpath.normpath(option.target),
        target=_target(option.target, directory, word),
        sharing=option.sharing,
        base=find(option.origin, word.location, option.target) if option.origin else None,
        subpath=_subpath(option.source),
        readonly=option.readonly,
        mode=option.mode,
        uid=option.uid,
        gid=option.gid,
    )


def _subpath(source: str) -> str:
    """Return the path below the source's root, without a leading slash; empty for all of it."""
    return paths.join("/", source).lstrip("/")


def _target(target: str, directory: str, word: Word) -> str:
    path = paths.join(directory, target) if target else "/"
    if path == "/":
        raise PlanError(
            f'invalid mount target "{target or "/"}"', word.location, hint="Mount on a path below the root."
        )
    return path
