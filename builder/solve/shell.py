"""A shell in the file system after a step, or in that of a RUN that failed. What it changes there is thrown away.

find_shell     which program of the tree that is: the RUN's own, or the first known one
run_in_tree    stack ──snapshot──▶ sandbox, on the caller's descriptors ──▶ exit status; the snapshot is discarded
run_in_failed  the same in what a RUN left, with its mounts, variables, user and network
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from builder.errors import LayerError, SandboxError
from builder.filesystem.entry import DIRECTORY, Kind
from builder.layer.view import MergedView
from builder.oci.canonical import decode
from builder.oci.config import DEFAULT_PATH, RuntimeConfig
from builder.oci.digest import Digest
from builder.oci.run_options import NO_OPTIONS, RunOptions
from builder.sandbox.spec import DEFAULT_HOSTNAME, ExitStatus, Network, SandboxSpec
from builder.snapshot.snapshotter import StackLayer, reopened
from builder.solve.accounts import find_user
from builder.solve.results import Stack
from builder.solve.run.failed import FailedRun
from builder.solve.views import Views
from builder.solve.worker import Worker

SHELLS = (
    "/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/ash",
    "/busybox/sh", "/bin/busybox", "/usr/bin/busybox", "/busybox/busybox",
)  # fmt: skip
"""Where shells lie, the most comfortable first; the ones of distroless images' debug forms are in /busybox."""
_NAMES = frozenset({"bash", "sh", "ash", "dash", "ksh", "zsh"})
_BUSYBOX = "busybox"

Streams = tuple[int, int, int]
"""Stdin, stdout and stderr."""


class Surroundings(NamedTuple):
    """What a shell is started with."""

    env: tuple[str, ...] = (f"PATH={DEFAULT_PATH}",)
    cwd: str = "/"
    user: str = ""


def surroundings(
    keys: Iterable[str], find_preimage: Callable[[Digest], bytes | None], base: RuntimeConfig | None
) -> Surroundings:
    """Return those of the nearest RUN among steps, given by their keys, the nearest first; else of the base image.

    A WORKDIR that is nearer says the directory.
    """
    cwd = ""
    for key in keys:
        preimage = find_preimage(Digest(key)) if key else None
        document = decode(preimage, "a cache record") if preimage is not None else {}
        if document.get("operation") == "workdir":
            cwd = cwd or document["path"]
        elif document.get("operation") == "run":
            return Surroundings(tuple(document["env"]), cwd or document["cwd"], document["user"])
    found = Surroundings() if base is None else surroundings_of(base)
    return found._replace(cwd=cwd or found.cwd)


def surroundings_of(runtime: RuntimeConfig) -> Surroundings:
    """Return what a container of an image starts with."""
    return Surroundings(runtime.env, runtime.working_dir or "/", runtime.user)


def find_shell(view: MergedView, run: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the words that start a shell: that of the RUN with the words `run`, or one that is in `view`.

    Raises SandboxError when there is none.
    """
    own = _shell_of(run)
    if own and own[0].startswith("/") and _has(view, own[0]):
        return own
    for candidate in SHELLS:
        if _has(view, candidate):
            return _started(candidate)
    raise SandboxError(
        f"there is no shell in this file system: none of {', '.join(SHELLS)}",
        hint="Copy one in, such as a static busybox, or name a program that is there: shell IMAGE /PROGRAM, "
        "--on-error=shell:/PROGRAM.",
    )


def run_in_tree(
    worker: Worker,
    views: Views,
    stack: Stack,
    started_with: Surroundings,
    argv: Sequence[str],
    streams: Streams,
    *,
    network: Network = "default",
    hostname: str = "",
    options: RunOptions = NO_OPTIONS,
) -> ExitStatus:
    """Run a command on the layers of `stack`, by a worker that is open. On the main thread.

    Raises SandboxError, LayerError, StoreError.
    """
    view = views.view(stack)
    # Not made, as RUN makes its own: what is seen is the tree as it is.
    cwd = started_with.cwd if _is_directory(view, started_with.cwd) else "/"
    account = find_user(view, started_with.user)
    active = worker.snapshotter.prepare(tuple(StackLayer(*layer) for layer in views.layers(stack)), view)
    try:
        spec = SandboxSpec(
            rootfs=active.rootfs,
            argv=tuple(argv),
            env=_with_terminal(started_with.env, streams),
            cwd=cwd,
            uid=account.uid,
            gid=account.gid,
            groups=account.groups,
            network=network,
            hostname=hostname or DEFAULT_HOSTNAME,
            options=options,
        )
        return _attached(worker, spec, streams)
    finally:
        worker.snapshotter.discard(active)


def run_in_failed(worker: Worker, run: FailedRun, streams: Streams, path: str = "") -> ExitStatus:
    """Run a shell, or `path`, in what a RUN left. On the main thread. Raises SandboxError, StoreError."""
    # A path that is given is believed: the command may have made it, and then it is in no layer.
    argv = _started(path) if path else find_shell(run.active.view, run.spec.argv)
    env = _with_terminal(run.spec.env, streams)
    spec = replace(run.spec, rootfs=reopened(run.active), argv=argv, env=env)
    stdin, stdout, stderr = streams
    return worker.sandbox.run_attached(spec, stdin=stdin, stdout=stdout, stderr=stderr, screen=run.redactor)


def _attached(worker: Worker, spec: SandboxSpec, streams: Streams) -> ExitStatus:
    stdin, stdout, stderr = streams
    return worker.sandbox.run_attached(spec, stdin=stdin, stdout=stdout, stderr=stderr)


def _started(path: str) -> tuple[str, ...]:
    return (path, "sh") if path.rpartition("/")[2] == _BUSYBOX else (path,)


def _shell_of(run: Sequence[str]) -> tuple[str, ...]:
    """Return the shell of a RUN in its shell form: `/bin/bash -euo pipefail -c …` is /bin/bash, without its options."""
    words = list(run)
    options = next((at for at, word in enumerate(words) if word.startswith("-")), 0)
    names = [word.rpartition("/")[2] for word in words[:options]]
    is_shell = names[-1:] and names[-1] in _NAMES and (len(names) == 1 or names[0] == _BUSYBOX)
    return tuple(words[:options]) if is_shell else ()


def _has(view: MergedView, path: str) -> bool:
    kind = _kind(view, path)
    return kind is not None and kind != DIRECTORY


def _is_directory(view: MergedView, path: str) -> bool:
    return _kind(view, path) == DIRECTORY


def _kind(view: MergedView, path: str) -> Kind | None:
    try:
        found = view.lookup(path.strip("/"))
    except LayerError:  # links that go in circles
        return None
    return found.entry.kind if found is not None else None


def _with_terminal(env: tuple[str, ...], streams: Streams) -> tuple[str, ...]:
    """Tell programs what terminal they are at, as docker run --tty does; unless the image says that itself."""
    if not all(os.isatty(one) for one in streams) or any(item.startswith("TERM=") for item in env):
        return env
    return (*env, f"TERM={os.environ.get('TERM', 'xterm')}")
