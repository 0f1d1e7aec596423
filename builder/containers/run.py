"""An image's process on top of its layers, in a writable layer that nobody keeps (`pybuild run`).

From the image config to the process as image-spec conversion.md says: Entrypoint + Cmd, Env, WorkingDir, User. A named
user that the image does not know is an error.
"""

from __future__ import annotations

from contextlib import ExitStack

from builder.containers.request import ContainerRequest
from builder.errors import ReferenceFormatError, UsageError
from builder.oci.config import RuntimeConfig
from builder.oci.platform import host_platform, parse_platform
from builder.oci.reference import parse_reference
from builder.sandbox.spec import DEFAULT_HOSTNAME, SandboxSpec
from builder.solve import events
from builder.solve.accounts import find_user
from builder.solve.results import Stack, stack_of
from builder.solve.worker import Worker
from builder.store.store import open_store
from builder.transport.resolver import Resolver


def run_image(request: ContainerRequest, sink: events.EventSink = events.ignore_events) -> int:
    """Run a container from an image, pulling it when it isn't here; return the exit code of its process.

    The process has this process's stdin, stdout and stderr. Raises PybuildError.
    """
    with ExitStack() as stack:
        store = stack.enter_context(open_store(request.root, large_layers=request.large_layers))
        stack.enter_context(store.lease())
        resolver = Resolver(store)
        platform = parse_platform(request.platform) if request.platform else host_platform()
        image = resolver.resolve(_image_name(request.image), platform)
        # Before the worker is opened, which takes a process with one thread: these have ended then.
        layers = resolver.layers(image.manifest_digest)
        worker = Worker(store, request.isolation)
        stack.callback(worker.close)
        argv = _argv(request, image.config.runtime)
        worker.open(sink, needs_network=request.network == "default")
        worker.check(request.options)
        return _run_process(request, argv, stack_of(layers), image.config.runtime, worker)


def _image_name(text: str) -> str:
    try:
        return str(parse_reference(text))
    except ReferenceFormatError:
        return text  # an image ID


def _run_process(
    request: ContainerRequest, argv: tuple[str, ...], stack: Stack, runtime: RuntimeConfig, worker: Worker
) -> int:
    tools = worker.tools("")  # of no build
    view = tools.views.view(stack)
    account = find_user(view, runtime.user if request.user is None else request.user)
    env = dict(item.partition("=")[::2] for item in runtime.env) | dict(request.env)
    active = worker.snapshotter.prepare(tools.run.stack_layers(stack), view)
    try:
        status = worker.sandbox.run_attached(
            SandboxSpec(
                rootfs=active.rootfs,
                argv=argv,
                env=tuple(f"{name}={value}" for name, value in env.items()),
                cwd=request.workdir or runtime.working_dir or "/",
                uid=account.uid,
                gid=account.gid,
                groups=account.groups,
                network=request.network,
                hostname=request.hostname or DEFAULT_HOSTNAME,
                options=request.options,
            ),
            stdin=0,
            stdout=1,
            stderr=2,
            init=request.init,
        )
    finally:
        worker.snapshotter.discard(active)
    return status.code


def _argv(request: ContainerRequest, runtime: RuntimeConfig) -> tuple[str, ...]:
    if request.entrypoint is not None:
        entrypoint: tuple[str, ...] = (request.entrypoint,) if request.entrypoint else ()
        argv = entrypoint + request.command
    else:
        argv = (runtime.entrypoint or ()) + (request.command or runtime.cmd or ())
    if not argv:
        raise UsageError(
            "the image says no command, and none was given", hint="Name one: `pybuild run IMAGE COMMAND [ARGUMENT...]`."
        )
    return argv
