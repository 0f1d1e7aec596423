"""Executes a RUN: from a step of the plan to the changes it made, ready to be written as a layer.

    with run_step(step, parent, tools, emit, cancel) as done:
        record = commit_layer(store, done.changes(), …)
        done.keep(record.diff_id)

When the block ends without `keep`, the tree the step ran in is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

from builder.errors import LayerError, MountError, SandboxError, StepFailed
from builder.filesystem.accounts import Account
from builder.layer.view import MergedView
from builder.linux.cancel import Cancel
from builder.oci.digest import DiffID
from builder.oci.run_options import NO_OPTIONS, RunOptions
from builder.plan.step import BindMount, Network, RunStep
from builder.sandbox.runner import Sandbox
from builder.sandbox.spec import DEFAULT_HOSTNAME, ExitStatus, SandboxSpec
from builder.sandbox.spec import Network as SandboxNetwork
from builder.snapshot.changes import Change
from builder.snapshot.snapshotter import ActiveSnapshot, Snapshotter, StackLayer
from builder.solve.accounts import find_user
from builder.solve.run.binds import Shown
from builder.solve.run.failed import FailedRun, FailedRuns
from builder.solve.run.hints import hint_for
from builder.solve.run.mounts import MountSources, RunMounts, open_mounts
from builder.solve.run.output import Redactor, RunOutput
from builder.solve.step_errors import failed

_SCRIPT_MODE = 0o755
_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTools:
    """What RUN steps need, the same for all steps of a build."""

    snapshotter: Snapshotter
    sandbox: Sandbox
    sources: MountSources
    network: Network = "default"
    """Applies where the step says "default"."""
    host_network: Literal["host", "shared"] = "host"
    """What a step gets that asks for this machine's network."""
    hostname: str = DEFAULT_HOSTNAME
    options: RunOptions = NO_OPTIONS
    failed_runs: FailedRuns | None = None
    """Where a run that failed is kept; None throws it away."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A RUN that succeeded."""

    _snapshotter: Snapshotter
    _active: ActiveSnapshot
    _kept: list[DiffID]
    shown: Mapping[BindMount, Shown]
    """What its mounts of contexts showed it."""

    def changes(self) -> Iterator[Change]:
        """Give what the step changed, in tree order; once. Raises LayerError."""
        return self._snapshotter.changes(self._active)

    def keep(self, diff_id: DiffID) -> None:
        """Keep the tree, for steps on top of this one, as what unpacking the layer `diff_id` would give."""
        self._kept.append(diff_id)


@contextmanager
def run_step(
    step: RunStep, parent: Sequence[StackLayer], tools: RunTools, emit: Callable[[bytes], None], cancel: Cancel
) -> Iterator[FinishedRun]:
    """Run the command of `step` on the layers `parent`, base first; `emit` gets lines of output without line ends.

    Raises StepFailed when it fails, Cancelled once `cancel` is set, and StoreError, LayerError.
    """
    view = MergedView([layer.layer for layer in parent])
    # Before a snapshot is made: an unknown user costs nothing.
    account = _account(step, view)
    active = tools.snapshotter.prepare(parent, view)
    kept: list[DiffID] = []
    with ExitStack() as thrown_away:
        thrown_away.callback(tools.snapshotter.discard, active)
        mounts = _execute(step, active, account, tools, emit, cancel, thrown_away)
        yield FinishedRun(tools.snapshotter, active, kept, mounts.shown)
        thrown_away.pop_all()
    if kept:
        # After the block: the changes have been read out of the upper directory by then.
        tools.snapshotter.commit(active, kept[0])
    else:
        tools.snapshotter.discard(active)


def _account(step: RunStep, view: MergedView) -> Account:
    try:
        return find_user(view, step.op.user)
    except (SandboxError, LayerError) as error:
        raise failed(step, error.message, error.hint) from error


def _execute(
    step: RunStep,
    active: ActiveSnapshot,
    account: Account,
    tools: RunTools,
    emit: Callable[[bytes], None],
    cancel: Cancel,
    thrown_away: ExitStack,
) -> RunMounts:
    """Run the command. Of a run that is kept, `thrown_away` gives up what it would throw away."""
    with ExitStack() as stack:
        # Given back before the changes are read: another step may wait for a cache, and a snapshot needs no mounts.
        mounts = open_mounts(step, tools.sources, stack, cancel)
        redactor = Redactor(mounts.secrets)
        output = RunOutput(emit, redactor)
        spec = sandbox_spec(step, active, account, tools, mounts)
        try:
            status = tools.sandbox.run(spec, on_output=output.write, cancel=cancel)
        except MountError as error:
            raise failed(step, f"{_process(step)} did what mounts do not allow: {error.message}", error.hint) from error
        except SandboxError as error:
            raise failed(step, f"{_process(step)} could not be started: {error.message}", error.hint) from error
        finally:
            output.finish()  # also when it was killed: the last piece of a line may be what explains it
        if status.code != 0:
            failure = _failure(step, status, output, tools.options)
            if tools.failed_runs is not None and not cancel.is_set():
                opened = thrown_away.pop_all()
                opened.push(stack.pop_all())
                tools.failed_runs.keep(
                    FailedRun(step=step, error=failure, spec=spec, active=active, redactor=redactor, opened=opened)
                )
            raise failure
    return mounts


def sandbox_spec(
    step: RunStep, active: ActiveSnapshot, account: Account, tools: RunTools, mounts: RunMounts
) -> SandboxSpec:
    """Return all that the sandbox needs to know to run `step`."""
    op = step.op
    script = ((op.script_path, op.script.encode("utf-8", "surrogateescape"), _SCRIPT_MODE),) if op.script else ()
    return SandboxSpec(
        rootfs=active.rootfs,
        argv=op.argv,
        env=_environment(step, mounts),
        cwd=op.cwd or "/",
        uid=account.uid,
        gid=account.gid,
        groups=account.groups,
        mounts=mounts.mounts,
        network=_network(step, tools),
        hostname=tools.hostname,
        options=tools.options,
        insecure=op.security == "insecure",
        files=script,
    )


def _network(step: RunStep, tools: RunTools) -> SandboxNetwork:
    asked = tools.network if step.op.network == "default" else step.op.network
    return tools.host_network if asked == "host" else asked


def _environment(step: RunStep, mounts: RunMounts) -> tuple[str, ...]:
    """The stage's variables, proxies that it doesn't set itself, and secrets."""
    found = dict(item.partition("=")[::2] for item in step.op.env)
    for name, value in _both_spellings(step.op.proxy_env).items():
        found.setdefault(name, value)
    # Last: a variable of the stage must not stand in for a secret that the step asks for.
    found.update(item.partition("=")[::2] for item in mounts.env)
    return tuple(f"{name}={value}" for name, value in found.items())


def _both_spellings(proxies: Sequence[str]) -> dict[str, str]:
    """Programs disagree on whether proxy variables are upper or lower case: what is given in one is set in both."""
    found = dict(item.partition("=")[::2] for item in proxies)
    for name in _PROXY_NAMES:
        for one, other in ((name, name.lower()), (name.lower(), name)):
            if one in found:
                found.setdefault(other, found[one])
    return found


def _failure(step: RunStep, status: ExitStatus, output: RunOutput, options: RunOptions) -> StepFailed:
    message = f"{_process(step)} did not complete successfully: exit code: {status.code}"
    hint = ""
    if status.memory_limit_reached:  # also when it was a child that was killed, and the command made another code of it
        message = f"{message}: the memory limit of {options.memory_text} was reached"
        hint = "Give more with --memory, or let fewer processes run at once."
    return StepFailed(
        message,
        step.label.location,
        hint=hint or hint_for(step.op, status.code, output.tail),
        step=step.title,
        command_exit_code=status.code,
        tail=output.tail,
    )


def _process(step: RunStep) -> str:
    return f'process "{" ".join(step.op.argv)}"'
