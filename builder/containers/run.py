"""An image's process on top of its layers, in a writable layer that nobody keeps (`pybuild run`).

From the image config to the process as image-spec conversion.md says: Entrypoint + Cmd, Env, WorkingDir, User. A named
user that the image does not know is an error.
"""

from __future__ import annotations

from builder.engine.request import ContainerRequest
from builder.errors import UsageError
from builder.oci.config import RuntimeConfig
from builder.sandbox.spec import DEFAULT_HOSTNAME, SandboxSpec
from builder.solve.accounts import find_user
from builder.solve.context import SolveContext
from builder.solve.results import Stack


def run_container(request: ContainerRequest, stack: Stack, runtime: RuntimeConfig, context: SolveContext) -> int:
    """Run the process on this process's stdin, stdout and stderr; return its exit code. Raises PybuildError."""
    argv = _argv(request, runtime)
    context.worker.open(context.sink, needs_network=request.network == "default")
    view = context.views.view(stack)
    account = find_user(view, runtime.user if request.user is None else request.user)
    env = dict(item.partition("=")[::2] for item in runtime.env) | dict(request.env)
    active = context.worker.snapshotter.prepare(context.views.stack_layers(stack), view)
    try:
        status = context.worker.sandbox.run_attached(
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
                add_hosts=request.hosts,
            ),
            stdin=0,
            stdout=1,
            stderr=2,
            init=request.init,
        )
    finally:
        context.worker.snapshotter.discard(active)
    return status.code


def _argv(request: ContainerRequest, runtime: RuntimeConfig) -> tuple[str, ...]:
    if request.entrypoint is not None:
        entrypoint: tuple[str, ...] = (request.entrypoint,) if request.entrypoint else ()
        argv = entrypoint + request.command
    else:
        argv = (runtime.entrypoint or ()) + (request.command or runtime.cmd or ())
    if not argv:
        raise UsageError(
            "the image says no command, and none was given", hint="pybuild run IMAGE COMMAND [ARGUMENT...]"
        )
    return argv
