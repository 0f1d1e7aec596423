"""A container from an image: what it will run, as image-spec conversion.md says, and the record of it.

Entrypoint + Cmd, Env, WorkingDir, User of the image, with what was asked for put in: that is also what a commit of the
container gives to its image, as with docker.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from builder.containers.names import random_name
from builder.containers.request import ContainerRequest
from builder.containers.session import ContainerSession
from builder.errors import UsageError
from builder.oci.config import RuntimeConfig
from builder.oci.digest import short_digest
from builder.oci.platform import host_platform, parse_platform
from builder.store.container_record import ContainerRecord, new_id
from builder.store.containers import HeldContainer
from builder.transport.present import load_manifest


@contextmanager
def new_container(request: ContainerRequest, session: ContainerSession) -> Iterator[HeldContainer]:
    """Make a container and hold it; its image is pulled when it isn't here. Raises PybuildError."""
    platform = parse_platform(request.platform) if request.platform else host_platform()
    resolved = session.resolver.resolve(session.resolver.meant(request.image), platform)
    image = load_manifest(session.store, resolved.manifest_digest)
    runtime = _runtime(request, resolved.config.runtime)
    identifier = new_id()
    record = ContainerRecord(
        id=identifier,
        name=request.name,
        image=request.image,
        image_id=image.id,
        manifest=image.descriptor,
        created=time.time_ns(),
        argv=_argv(runtime),
        runtime=runtime,
        network=request.network,
        hostname=request.hostname or short_digest(identifier),
        options=request.options,
        mounts=request.mounts,
        isolation=request.isolation,
        init=request.init,
    )
    session.resolver.layers(resolved.manifest_digest)
    with session.containers.make(record, random_name) as container:
        yield container


def create_container(request: ContainerRequest, session: ContainerSession) -> ContainerRecord:
    """Make a container that is not started. Raises PybuildError."""
    with new_container(request, session) as container:
        return container.record


def _runtime(request: ContainerRequest, image: RuntimeConfig) -> RuntimeConfig:
    env = dict(item.partition("=")[::2] for item in image.env) | dict(request.env)
    entrypoint, cmd = image.entrypoint, request.command or image.cmd
    if request.entrypoint is not None:  # it takes the image's Cmd away
        entrypoint = (request.entrypoint,) if request.entrypoint else None
        cmd = request.command or None
    return replace(
        image,
        entrypoint=entrypoint,
        cmd=cmd,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        working_dir=request.workdir or image.working_dir,
        user=image.user if request.user is None else request.user,
        labels=tuple((dict(image.labels) | dict(request.labels)).items()),
    )


def _argv(runtime: RuntimeConfig) -> tuple[str, ...]:
    argv = (runtime.entrypoint or ()) + (runtime.cmd or ())
    if not argv:
        raise UsageError(
            "the image says no command, and none was given", hint="pybuild run IMAGE COMMAND [ARGUMENT...]"
        )
    return argv
