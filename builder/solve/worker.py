"""What executes jobs on this machine: namespaces entered once, a sandbox, a snapshotter; for all platforms of a build.

    worker.execute(job, sink, secrets)  ─▶  JobResult       job.py says what a job may name

What comes in is the job, the secrets that no job holds, and where events go; there is nothing else that a step can ask
for. So a process that has only the store, and a job as JSON, makes the same layer as the build that wrote the job.

The network that RUN has by default is started with the sandbox, when a step needs it, so that nothing waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from builder.errors import PlanError, SandboxError
from builder.linux.cancel import Cancel
from builder.oci.platform import Platform, host_platform
from builder.oci.run_options import RunOptions
from builder.plan.step import CopyOp, RunOp, RunStep, WorkdirOp, does
from builder.solve.copy.executor import CopyExecutor, WorkdirExecutor
from builder.solve.events import EventSink, Noted
from builder.solve.executor import Executor
from builder.solve.job import NO_SECRETS, JobResult, StepJob, StepSecrets
from builder.solve.job_tools import JobTools
from builder.solve.known_isolation import CHROOT, remember_isolation, takes_chroot_results, this_place
from builder.solve.run.executor import RunExecutor
from builder.store.os_errors import translated
from builder.store.trash import empty_trash_within

if TYPE_CHECKING:
    from builder.sandbox.runner import Sandbox
    from builder.snapshot.snapshotter import Snapshotter
    from builder.solve.opening import OpenedIsolation
    from builder.solve.run.failed import FailedRuns
    from builder.store.store import Store

_BINFMT = "/proc/sys/fs/binfmt_misc"
_TRASH_SECONDS = 0.5
"""The time that the end of a build may spend on deleting; what is left waits for the next build, or for prune."""
# Architectures that a kernel of another one runs by itself.
_NATIVE_TOO = {"amd64": {"386"}, "arm64": {"arm"}, "ppc64": {"ppc64le"}, "mips64": {"mips"}}
# QEMU's names where they are not ours.
_QEMU_NAMES = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386", "mips64le": "mips64el", "mipsle": "mipsel"}


@dataclass(slots=True)
class Worker:
    """The machine of a build. It is closed until `open`. With `single_id` all files have one owner."""

    store: Store
    isolation: str | None = None
    single_id: bool = False
    cancel: Cancel = field(default_factory=Cancel)
    """Set once whoever works is to stop."""
    failed_runs: FailedRuns | None = None
    """Keeps what a RUN that failed has open; None keeps nothing."""
    _tools: dict[str, JobTools] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _opened: OpenedIsolation | None = None
    _network_noted: bool = False
    _limits_checked: bool = False

    @property
    def is_open(self) -> bool:
        return self._opened is not None

    @property
    def opened(self) -> OpenedIsolation:
        """What RUN is executed with."""
        assert self._opened is not None, "the worker is opened before steps run"
        return self._opened

    @property
    def sandbox(self) -> Sandbox:
        return self.opened.sandbox

    @property
    def snapshotter(self) -> Snapshotter:
        return self.opened.snapshotter

    def execute(self, job: StepJob, sink: EventSink, secrets: StepSecrets = NO_SECRETS) -> JobResult:
        """Execute the step of `job`, whatever any cache has; its layer is then in the store.

        A worker that is closed opens itself for a RUN, as `open` and `check` say. `secrets` are the same for all jobs
        of a build. `sink` is told of output and warnings. Raises PybuildError, Cancelled.
        """
        op = job.step.op
        if isinstance(op, RunOp):
            if not self.is_open:
                self.open(sink, needs_network=op.network == "default" == job.settings.network)
            self.check(job.settings.run)
        tools = self.tools(job.build, secrets)
        tools.sink = sink
        return self.executor(job, secrets).execute(sink, self.cancel)

    def executor(self, job: StepJob, secrets: StepSecrets = NO_SECRETS) -> Executor:
        """Return what looks up and executes the step of `job`."""
        tools, step = self.tools(job.build, secrets), job.step
        if does(step, RunOp):
            return RunExecutor(step, job, tools)
        if does(step, CopyOp):
            return CopyExecutor(step, job, tools)
        assert does(step, WorkdirOp), "there are no other ops that make layers"
        return WorkdirExecutor(step, job, tools)

    def tools(self, build: str, secrets: StepSecrets = NO_SECRETS) -> JobTools:
        """Return what the jobs of one build share."""
        with self._lock:
            if build not in self._tools:
                self._tools[build] = JobTools(self, secrets)
            return self._tools[build]

    def end(self, build: str) -> None:
        """Let go of what the jobs of one build shared."""
        with self._lock:
            tools = self._tools.pop(build, None)
        if tools is not None:
            tools.close()

    def open(self, sink: EventSink, *, needs_network: bool) -> None:
        """Enter the namespaces and start the sandbox. The process must have one thread. Raises SandboxError.

        With `needs_network`, because a step has no `--network` of its own, the network of the build is started as well.
        """
        if not self.is_open:
            self._open(sink, needs_network)
        if needs_network and not self._network_noted:
            self._network_noted = True
            self.sandbox.network.start()
            if reason := self.sandbox.network.shared_reason:
                sink(Noted(f"RUN shares this machine's network, without CAP_NET_RAW: {reason}"))

    def check(self, options: RunOptions) -> None:
        """Find out, once, whether what limits `options` can be had. The process must have one thread.

        Raises SandboxError, which says what cannot be applied.
        """
        if options.limits_groups and not self._limits_checked:
            self.opened.check_limits(options)
            self._limits_checked = True

    def _open(self, sink: EventSink, start_network: bool) -> None:
        from builder.solve.opening import open_isolation  # gate: must execute

        here = this_place()  # before a namespace is entered: a later build asks from outside of it
        with trial_area(self.store) as area:
            self._opened = open_isolation(self.store, self.isolation, area, start_network=start_network)
        choice = self._opened.choice
        self.single_id = self._opened.place.ids == "ignore"
        # What was asked for says nothing of what those get who ask for nothing.
        if self.isolation is None:
            remember_isolation(choice.name, here, self.store)
        if choice.name == CHROOT:
            reasons = "; ".join(f"{name} does not work here: {why}" for name, why in choice.rejected)
            sink(Noted(f"RUN is NOT isolated from this machine ({reasons or '--isolation chroot'})"))
        elif self.single_id:
            sink(Noted("one user id only: RUN sees every file as its own, and new files belong to root"))

    def takes_chroot_results(self, sink: EventSink) -> bool:
        """Say whether the result of a RUN in a chroot may be used; opens the worker when only a trial can tell.

        The process must have one thread. Raises SandboxError.
        """
        if self.is_open:
            return self.sandbox.name == CHROOT
        known = takes_chroot_results(self.isolation, self.store)
        if known is None:
            self.open(sink, needs_network=False)
            return self.sandbox.name == CHROOT
        return known

    def end_network(self) -> None:
        """Let the network go, when no step will run any more: taking it down takes the kernel a while."""
        if self._opened is not None:
            self._opened.sandbox.network.close()

    def close(self) -> None:
        with ExitStack() as stack:  # whatever is interrupted, what still runs is ended
            if self._opened is not None:
                stack.callback(self._opened.sandbox.close)
                stack.callback(empty_trash_within, self.store.trash, _TRASH_SECONDS)
            for build in list(self._tools):
                stack.callback(self.end, build)
            if self.failed_runs is not None:
                stack.callback(self.failed_runs.close)


@contextmanager
def trial_area(store: Store) -> Iterator[str]:
    """Give an empty directory for the trial of an isolation: below one of ours, so that nobody sweeps it meanwhile.

    Raises SandboxError, StoreError.
    """
    if not os.access(f"{store.root}/tmp", os.W_OK | os.X_OK):  # also says so of a read-only file system (man 2 access)
        raise SandboxError(
            f"commands run in trees below {store.root}/tmp, which cannot be written to",
            hint="Choose another store with --root.",
        )
    area = store.temporary.path("isolation")
    with translated("making room for a trial of the isolation"):
        os.mkdir(area, 0o700)
    try:
        yield area
    finally:
        with suppress(OSError):
            os.rmdir(area)


def check_platform(step: RunStep) -> None:
    """Raise PlanError when neither this kernel nor an emulator it knows runs programs of the step's platform."""
    host = host_platform()
    wanted = step.op.platform
    if wanted.architecture in {host.architecture, *_NATIVE_TOO.get(host.architecture, ())}:
        return
    if not any(_emulates(wanted, text) for text in _binfmt_entries()):
        raise PlanError(
            f"RUN for {wanted} cannot be executed on {host}: no emulator is registered (exec format error)",
            step.label.location,
            hint="Install one, for example Debian's qemu-user-static with binfmt-support, or leave out --platform.",
        )


def _emulates(wanted: Platform, text: str) -> bool:
    name = _QEMU_NAMES.get(wanted.architecture, wanted.architecture)
    lines = text.splitlines()
    # Without F the interpreter would be looked for inside the image (kernel: admin-guide/binfmt-misc).
    return "enabled" in lines[:1] and f"qemu-{name}" in text and any("F" in line for line in lines if "flags" in line)


def _binfmt_entries() -> Iterator[str]:
    try:
        # Not mounted in many containers: an emulator may be registered all the same, but nobody can see it from here.
        names = sorted(os.listdir(_BINFMT))
    except OSError:
        return
    for name in names:
        # These two are switches, not interpreters (kernel: admin-guide/binfmt-misc).
        if name not in {"register", "status"}:
            with open(f"{_BINFMT}/{name}", encoding="utf-8", errors="replace") as file:
                yield file.read()
