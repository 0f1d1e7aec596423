"""The mounts of a RUN: from what the plan says to what the sandbox mounts.

In: plan.step mounts (contexts, steps, identifiers). Out: sandbox.spec mounts (host directories, bytes, sockets), and
variables that secrets are given in. Everything borrowed for the run (trees, caches, their locks) is on an ExitStack.

A context is never mounted as it lies there unless that can't be told from what BuildKit would show: without what the
ignore file hides, everything owned by root. Else the part that is asked for is written to the store, once in a build.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import NamedTuple, assert_never

from builder.context.directory import DirectoryTree
from builder.context.paths import inside_root
from builder.context.source import Tree, ViewTree
from builder.errors import StepFailed
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
from builder.solve.cache_mounts import CacheMounts, CacheRequest
from builder.solve.tree_writer import write_tree
from builder.store.faults import translated
from builder.store.trash import discard

_PRIVATE_MODE = 0o700


class MountTrees(NamedTuple):
    """What mounts show, which is all that a cache key asks of them."""

    context: Callable[[str], Tree]
    """A build context by name; "" is the main one. Raises PybuildError."""
    layers: Callable[[StepID | None], tuple[StackLayer, ...]]
    """The file system after a step; None is the empty one."""


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
    _contexts: dict[tuple[str, str], str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMounts:
    """What the sandbox is to mount, and `env`: variables with secrets and the agent's socket."""

    mounts: tuple[spec.Mount, ...]
    env: tuple[str, ...] = field(default=(), repr=False)
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    """Values that may not be shown."""


def open_mounts(step: RunStep, sources: MountSources, stack: ExitStack, cancel: Event) -> RunMounts:
    """Make ready every mount of `step`. What is borrowed is given back when `stack` is closed.

    Raises StepFailed for what is missing, StoreError, Cancelled.
    """
    caches = _open_caches(step, sources, stack, cancel)
    mounts: list[spec.Mount] = []
    env: list[str] = []
    secrets: list[bytes] = []
    for mount in step.mounts:
        match mount:
            case BindMount():
                mounts.append(_bind(step, mount, sources, stack))
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
    return RunMounts(mounts=tuple(mounts), env=tuple(env), secrets=tuple(secrets))


def failed(step: RunStep, message: str, hint: str = "") -> StepFailed:
    """Return the error for a step that could not even start."""
    return StepFailed(message, step.location, hint=hint, step=step.title)


def tree_of(source: ContextSource | StepSource, sources: MountSources) -> Tree:
    """Return the tree that a mount is from."""
    if isinstance(source, ContextSource):
        return sources.context(source.name)
    return ViewTree(MergedView([layer.layer for layer in sources.layers(source.step)]))


def existing_path(step: RunStep, tree: Tree, path: str) -> str:
    """Return `path` with links followed; "" is the root. Raises StepFailed when nothing is there, or it is hidden."""
    resolved = tree.resolve(path)
    if tree.find(resolved) is None:
        from builder.context.select import missing  # only for an error

        hint = missing(tree, inside_root(path)).hint or "The source of a mount must exist."
        raise failed(step, f'failed to calculate checksum: "/{resolved}": not found', hint)
    return resolved


def _absolute(step: RunStep, target: str) -> str:
    return posixpath.join("/", step.cwd, target)


# --- bind -------------------------------------------------------------------------------------------------------------


def _bind(step: RunStep, mount: BindMount, sources: MountSources, stack: ExitStack) -> spec.BindMount:
    target = _absolute(step, mount.target)
    if isinstance(mount.source, StepSource):
        layers = sources.layers(mount.source.step)
        view = MergedView([layer.layer for layer in layers])
        root = stack.enter_context(sources.snapshotter.open_stack(layers, view))
        subpath = existing_path(step, ViewTree(view), mount.subpath)
        return spec.BindMount(source=root, subpath=subpath, target=target, readonly=mount.readonly)
    tree = sources.context(mount.source.name)
    subpath = existing_path(step, tree, mount.subpath)
    if sources.in_place and isinstance(tree, DirectoryTree) and _shows_as_it_is(tree, subpath):
        root = spec.DirectoryRoot(tree.path)
    else:
        root = spec.DirectoryRoot(_written_context(mount.source.name, tree, subpath, sources, stack))
    return spec.BindMount(source=root, subpath=subpath, target=target, readonly=mount.readonly)


def _shows_as_it_is(tree: DirectoryTree, subpath: str) -> bool:
    """Say whether the directory on disk looks just like the tree: nothing hidden, and all of it ours."""
    if tree.hides:
        return False
    own = (os.geteuid(), os.getegid())
    for node in tree.walk(subpath):
        status = node.status or os.lstat(os.path.join(tree.path, node.entry.path))
        regular = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)
        if not regular or (status.st_uid, status.st_gid) != own:
            return False
    return True


def _written_context(name: str, tree: Tree, subpath: str, sources: MountSources, stack: ExitStack) -> str:
    """A directory of ours that has this part of the context at the same path."""
    if not sources.in_place:
        directory = _write_context(tree, subpath, sources)
        stack.callback(discard, directory, sources.trash)  # what can be written to isn't shared
        return directory
    with sources._lock:
        key = (name, subpath)
        if key not in sources._contexts:
            sources._contexts[key] = _write_context(tree, subpath, sources)
        return sources._contexts[key]


def _write_context(tree: Tree, subpath: str, sources: MountSources) -> str:
    with translated("writing the build context for a mount"):
        directory = sources.temporary("context")
        os.mkdir(directory, _PRIVATE_MODE)
        inside = os.path.join(directory, subpath) if subpath else directory
        os.makedirs(os.path.dirname(inside), 0o755, exist_ok=True)
        write_tree(tree.walk(subpath), inside, prefix=subpath, owners=False)
    return directory


# --- cache ------------------------------------------------------------------------------------------------------------


def _open_caches(step: RunStep, sources: MountSources, stack: ExitStack, cancel: Event) -> dict[CacheMount, str]:
    mounts = [mount for mount in step.mounts if isinstance(mount, CacheMount)]
    requests = [_request(step, mount, sources) for mount in mounts]
    directories = stack.enter_context(sources.caches.borrow(requests, empty=step.no_cache, cancel=cancel))
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
        write_tree(tree.walk(start), path, prefix=start, owners=sources.owners)

    return CacheRequest(mount=mount, base=base_identity(base, sources), seed=seed)


def base_identity(base: ContextSource | StepSource, sources: MountSources) -> str:
    """Return what tells one first content of a cache from another: the layers, or which context."""
    if isinstance(base, StepSource):
        return str(chain_id_of(layer.diff_id for layer in sources.layers(base.step)))
    return f"context {base.name}"


def _cache(step: RunStep, mount: CacheMount, directory: str) -> spec.CacheMount:
    subpath = "" if mount.base is not None else mount.subpath.strip("/")
    if subpath:
        _make_directories(directory, subpath)
    return spec.CacheMount(
        source=directory, subpath=subpath, target=_absolute(step, mount.target), readonly=mount.readonly
    )


def _make_directories(directory: str, subpath: str) -> None:
    """Make a part of a cache that isn't there yet, as far as that goes without following a link of an earlier RUN."""
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
    if not any(item.startswith("SSH_AUTH_SOCK=") for item in (*step.env, *env)):
        env.append(f"SSH_AUTH_SOCK={target}")
    return [spec.SshMount(socket=socket, target=target, mode=mount.mode, uid=mount.uid, gid=mount.gid)]
