"""The process of a container, in the foreground: its tree opened, the command run in it, how it ended written down.

A named user that the image does not know is an error. Errors of ours have exit code 125, as docker's have.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from builder.containers.create import new_container
from builder.containers.request import ContainerRequest
from builder.containers.session import ContainerSession, open_session
from builder.errors import Cancelled, PybuildError, SandboxError, StoreError
from builder.sandbox.spec import CacheMount, Mount, Rootfs, SandboxSpec, TmpfsMount
from builder.solve.accounts import find_user
from builder.store.container_record import ContainerMount, ContainerRecord
from builder.store.containers import HeldContainer
from builder.store.store import Notify

OWN_ERROR = 125
"""Exit code for what went wrong before there was a command (docker run, "Exit status")."""

_DEATH_SECONDS = 0.1
"""So long the kernel takes at most to kill what a killed run has left: then nobody has the writable layer mounted."""


def run_image(request: ContainerRequest, notify: Notify) -> int:
    """Run a new container of an image, pulling it when it isn't here; return the exit code of its process.

    The process has this process's stdin, stdout and stderr. Raises PybuildError with exit code 125.
    """
    with (
        _with_code(),
        open_session(request.root, large_layers=request.large_layers, notify=notify) as session,
        new_container(request, session) as container,
    ):
        try:
            return _run(container, session, notify, stdin=0)
        finally:
            if request.remove:
                session.containers.remove(container)


def start_container(root: str, text: str, *, stdin: int, notify: Notify) -> int:
    """Run the command of a container again, on the same writable layer; as `run_image`."""
    with (
        _with_code(),
        open_session(root, notify=notify) as session,
        session.containers.hold(text, "start") as container,
    ):
        if container.record.state == "running":  # says it, and nobody holds it: it was killed
            time.sleep(_DEATH_SECONDS)
        return _run(container, session, notify, stdin=stdin)


@contextmanager
def _with_code() -> Iterator[None]:
    try:
        yield
    except Cancelled:
        raise
    except PybuildError as error:
        error.exit_code = OWN_ERROR
        raise


def _run(container: HeldContainer, session: ContainerSession, notify: Notify, *, stdin: int) -> int:
    record = container.record
    code = OWN_ERROR
    try:
        worker = session.open_worker(record.isolation, needs_network=record.network == "default")
        worker.check(record.options)
        account = find_user(session.view(record), record.runtime.user)
        writable = session.prepare_writable(container, worker)
        mounts = tuple(_mount(one, worker.sandbox.name) for one in record.mounts)
        with writable.open(container.directory, session.layers(record)) as rootfs:
            spec = replace(_spec(record, rootfs, mounts), uid=account.uid, gid=account.gid, groups=account.groups)
            container.put(state="running", started=time.time_ns(), pid=os.getpid())
            status = worker.sandbox.run_attached(spec, stdin=stdin, stdout=1, stderr=2, init=record.init)
        code = status.code
        if status.memory_limit_reached:
            notify(f"the memory limit of {record.options.memory_text} was reached; --memory gives more")
    finally:
        try:
            container.put(state="exited", exit_code=code, finished=time.time_ns(), pid=0)
        except StoreError as error:  # a command that has filled the disk has ended all the same
            notify(f"how container {record.name} ended is not written down: {error.message}")
    return code


def _spec(record: ContainerRecord, rootfs: Rootfs, mounts: tuple[Mount, ...]) -> SandboxSpec:
    return SandboxSpec(
        rootfs=rootfs,
        argv=record.argv,
        env=record.runtime.env,
        cwd=record.runtime.working_dir or "/",
        mounts=mounts,
        network=record.network,  # type: ignore[arg-type]  # the store does not know the words, the request did
        hostname=record.hostname,
        options=record.options,
    )


def _mount(mount: ContainerMount, isolation: str) -> Mount:
    if mount.kind == "tmpfs":
        return TmpfsMount(target=mount.target, size=mount.size)
    if isolation == "chroot" and not mount.readonly:
        raise SandboxError(
            f"isolation chroot cannot show {mount.source} of this machine as it is",
            hint="Mount it read-only, which makes a copy for the run, or use 'pybuild cp'.",
        )
    source = os.path.realpath(mount.source)
    if not os.path.exists(source):
        raise SandboxError(f"{mount.source} is not there any more, and the container mounts it on {mount.target}")
    folder, part = (source, "") if os.path.isdir(source) else os.path.split(source)
    return CacheMount(source=folder, subpath=part, target=mount.target, readonly=mount.readonly)
