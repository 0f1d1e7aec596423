"""The mounts of a RUN: from what the plan says to what the sandbox mounts.

In: plan.step mounts (contexts, steps, identifiers). Out: sandbox.spec mounts (host directories, bytes, sockets), and
variables that secrets are given in. Everything borrowed for the run (trees, caches, their locks) is on an ExitStack.

How binds are shown stands in binds.py.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import NamedTuple, assert_never

from builder.context.tree import Tree, ViewTree
from builder.filesystem.entry import DIRECTORY
from builder.layer.view import MergedView
from builder.oci.digest import chain_id_of
from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    RunStep,
    SecretMount,
    SshMount,
    StepID,
    StepSource,
    TmpfsMount,
)
from builder.sandbox import spec
from builder.snapshot.snapshotter import Snapshotter, StackLayer
from builder.solve.run.binds import ContextCopies, Shown, bind, existing_path, seen_part
from builder.solve.run.cache_mounts import CacheMounts, CacheRequest
from builder.solve.run.materialize import materialize
from builder.solve.run.sightings import Sightings
from builder.solve.step_errors import failed


class MountTrees(NamedTuple):
    """What mounts show, which is all that a cache key asks of them."""

    context: Callable[[str], Tree]
    """A build context by name; "" is the main one. Raises PybuildError."""
    layers: Callable[[StepID | None], tuple[StackLayer, ...]]
    """The file system after a step; None is the empty one."""
    sightings: Sightings
    """What contexts were seen to hold."""


@dataclass(slots=True, kw_only=True)
class MountSources:
    """What mounts are made from, for all RUN steps of one build."""

    context: Callable[[str], Tree]
    layers: Callable[[StepID | None], tuple[StackLayer, ...]]
    """As in MountTrees."""
    snapshotter: Snapshotter
    caches: CacheMounts
    temporary: Callable[[str], str]
    """Gives a fresh path in the store."""
    trash: str
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, str] = field(default_factory=dict)
    """Agent sockets by id."""
    in_place: bool = True
    """Whether the sandbox mounts read-only, so that directories can be shared with it."""
    owners: bool = True
    """Whether files can be given to other users (not with a single id)."""
    cancel: Event = field(default_factory=Event)
    """Set when no tree need be written any more."""
    sightings: Sightings = field(default_factory=Sightings)
    copies: ContextCopies = field(default_factory=ContextCopies)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMounts:
    """What the sandbox is to mount, and `env`: variables with secrets and the agent's socket."""

    mounts: tuple[spec.Mount, ...]
    env: tuple[str, ...] = field(default=(), repr=False)
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    """Values that may not be shown."""
    shown: Mapping[BindMount, Shown] = field(default_factory=dict)
    """What mounts of contexts show."""


def open_mounts(step: RunStep, sources: MountSources, stack: ExitStack, cancel: Event) -> RunMounts:
    """Make ready every mount of `step`. What is borrowed is given back when `stack` is closed.

    Raises StepFailed for what is missing, StoreError, Cancelled.
    """
    # First, and all at once: this may wait long for other steps and builds, with nothing else open.
    caches = _open_caches(step, sources, stack, cancel)
    mounts: list[spec.Mount] = []
    env: list[str] = []
    secrets: list[bytes] = []
    shown: dict[BindMount, Shown] = {}
    for mount in step.op.mounts:
        match mount:
            case BindMount():
                mounts.append(bind(step, mount, sources, stack, shown))
            case CacheMount():
                mounts.append(_cache(step, mount, caches[mount]))
            case TmpfsMount(target, size):
                mounts.append(spec.TmpfsMount(target=_absolute(step, target), size=size))
            case SecretMount():
                value = _secret(step, mount, sources)
                if value is not None:
                    secrets.append(value)
                    mounts += _secret_file(step, mount, value)
                    env += _secret_variable(step, mount, value)
            case SshMount():
                mounts += _ssh(step, mount, sources, env)
            case _:
                assert_never(mount)
    return RunMounts(mounts=tuple(mounts), env=tuple(env), secrets=tuple(secrets), shown=shown)


def tree_of(source: ContextSource | StepSource, sources: MountSources) -> Tree:
    """Return the tree that a mount is from."""
    if isinstance(source, ContextSource):
        return sources.context(source.name)
    return ViewTree(MergedView([layer.layer for layer in sources.layers(source.step)]))


def _absolute(step: RunStep, target: str) -> str:
    return posixpath.join("/", step.op.cwd, target)


# --- cache ------------------------------------------------------------------------------------------------------------


def _open_caches(step: RunStep, sources: MountSources, stack: ExitStack, cancel: Event) -> dict[CacheMount, str]:
    mounts = [mount for mount in step.op.mounts if isinstance(mount, CacheMount)]
    requests = [_request(step, mount, sources) for mount in mounts]
    directories = stack.enter_context(sources.caches.acquire(requests, empty=step.no_cache, cancel=cancel))
    return dict(zip(mounts, directories))


def _request(step: RunStep, mount: CacheMount, sources: MountSources) -> CacheRequest:
    base = mount.base
    if base is None:
        return CacheRequest(mount=mount)

    def seed(path: str) -> None:
        tree = tree_of(base, sources)
        start = existing_path(step, tree, mount.subpath)
        found = tree.find(start)
        if found is None or found.kind != DIRECTORY:
            raise failed(step, f'cache mount {mount.identifier!r}: "/{start}" is not a directory')
        materialize(tree.walk(start), path, prefix=start, owners=sources.owners, cancel=sources.cancel)
        if isinstance(base, ContextSource) and seen_part(step, tree, base.name, mount.subpath, sources).moved(tree):
            raise failed(step, f'cache mount {mount.identifier!r}: "/{start}" changed while it was read')

    return CacheRequest(mount=mount, base=base_identity(base, sources), seed=seed)


def base_identity(base: ContextSource | StepSource, sources: MountSources) -> str:
    """Return the identity of the first content of a cache: the chain ID of a stage's layers, or the context's name."""
    if isinstance(base, StepSource):
        return str(chain_id_of(layer.diff_id for layer in sources.layers(base.step)))
    return f"context {base.name}"


def _cache(step: RunStep, mount: CacheMount, directory: str) -> spec.CacheMount:
    # With `from`, the path says what part of that the cache was seeded with; it is then all of the cache.
    subpath = "" if mount.base is not None else mount.subpath.strip("/")
    if subpath:
        _make_directories(directory, subpath)
    return spec.CacheMount(
        source=directory, subpath=subpath, target=_absolute(step, mount.target), readonly=mount.readonly
    )


def _make_directories(directory: str, subpath: str) -> None:
    """Make the directories of a missing part of a cache; ends at a link, which an earlier RUN may have put there."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in subpath.split("/"):
            if name in ("", "."):
                continue
            if name == "..":
                return
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=opened)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened)
            os.close(opened)
            opened = below
    except OSError:
        return  # the sandbox resolves it inside the cache, or says what is wrong with it
    finally:
        os.close(opened)


# --- secrets and agents -----------------------------------------------------------------------------------------------


def _secret(step: RunStep, mount: SecretMount, sources: MountSources) -> bytes | None:
    value = sources.secrets.get(mount.identifier)
    if value is None and mount.required:
        raise failed(
            step,
            f"secret {mount.identifier}: not found",
            f"Give it with --secret id={mount.identifier},src=FILE or --secret id={mount.identifier},env=NAME.",
        )
    return value


def _secret_file(step: RunStep, mount: SecretMount, value: bytes) -> list[spec.Mount]:
    if not mount.target:
        return []
    target = _absolute(step, mount.target)
    return [spec.SecretMount(content=value, target=target, mode=mount.mode, uid=mount.uid, gid=mount.gid)]


def _secret_variable(step: RunStep, mount: SecretMount, value: bytes) -> list[str]:
    if not mount.variable:
        return []
    # execve(2) ends a variable at the first one.
    if b"\0" in value:
        raise failed(step, f"secret {mount.identifier}: it holds a NUL byte and can't be a variable")
    return [f"{mount.variable}={os.fsdecode(value)}"]


def _ssh(step: RunStep, mount: SshMount, sources: MountSources, env: list[str]) -> list[spec.Mount]:
    socket = sources.ssh.get(mount.identifier)
    if socket is None:
        if mount.required:
            raise failed(
                step,
                f"no SSH agent {mount.identifier!r} was given to the build",
                "Start an agent and build with --ssh default, or --ssh ID=SOCKET.",
            )
        return []
    target = _absolute(step, mount.target)
    # The first agent's, and none where the stage has the variable, as in BuildKit (client/llb/exec.go, Marshal).
    if not any(item.startswith("SSH_AUTH_SOCK=") for item in (*step.op.env, *env)):
        env.append(f"SSH_AUTH_SOCK={target}")
    return [spec.SshMount(socket=socket, target=target, mode=mount.mode, uid=mount.uid, gid=mount.gid)]
