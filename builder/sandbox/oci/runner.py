"""Isolation "oci": the same spec, carried out by crun or runc from a bundle (runtime-spec config.md).

The stack, the mount points and the sources of bind mounts are prepared as for "native", in a mount namespace of the
run's own, and named in config.json; from there on the runtime does the work. A supervisor waits, so that nothing
outlives the run (process/supervisor.py). The bundle lies in a temporary directory with a tmpfs over it, and leaves
nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NoReturn

from builder.errors import SandboxError
from builder.linux.beneath import open_in_root
from builder.linux.cancel import Cancel
from builder.linux.mount import MS_NOSUID, MS_RDONLY, bind, mount, unmount
from builder.linux.process import CLONE_NEWNS, PR_SET_PDEATHSIG, close_on_exec_from, prctl, unshare
from builder.sandbox.limits import LimitGroups, limited
from builder.sandbox.mounts.mount_points import open_mount_point
from builder.sandbox.mounts.root_mount import Scratch, mount_root
from builder.sandbox.mounts.spec_mounts import Attachment, Preparation
from builder.sandbox.mounts.standard_mounts import SYSTEM_POINTS, Conditions
from builder.sandbox.namespace import BuildNamespace, SingleIdRoot
from builder.sandbox.network.build_network import BuildNetwork
from builder.sandbox.network.keeper import or_keeper
from builder.sandbox.network.source import NetworkSource
from builder.sandbox.oci.bundle import Source, config
from builder.sandbox.process.attached import Screen, are_terminal, run_attached_request
from builder.sandbox.process.channel import SETUP_FAILED, Channel
from builder.sandbox.process.command import TRIAL, candidates, execute, report_not_found
from builder.sandbox.process.entry import begin_session, make_directory_in
from builder.sandbox.process.fork_server import ForkServer, Request
from builder.sandbox.process.hierarchies import KERNEL, enter_groups
from builder.sandbox.process.home import with_home
from builder.sandbox.process.privileges import prepare, reset_signals
from builder.sandbox.process.run_request import run_request
from builder.sandbox.process.supervisor import supervise
from builder.sandbox.spec import ExitStatus, OnOutput, OverlayRoot, SandboxSpec
from builder.sandbox.spec_json import from_json, to_json

RUNTIMES = ("crun", "runc")
_HYBRID_CGROUPS = "/sys/fs/cgroup/unified"
_UMASK = 0o022
_SIGKILL = 9


class OciSandbox:
    """Must be made while the process has one thread, after `enter_build_namespace`."""

    name = "oci"

    def __init__(self, namespace: BuildNamespace, network: NetworkSource, runtime: str | None = None) -> None:
        """Raises SandboxError when there is neither a `runtime` nor a known one on the PATH."""
        program = runtime or find_runtime(os.environ.get("PATH", os.defpath))
        if program is None:
            raise SandboxError("neither crun nor runc is installed", hint="Install one, or use --isolation native.")
        self._program = program
        conditions = Conditions(user_namespace=namespace.user_namespace, single_id=isinstance(namespace, SingleIdRoot))
        prepare()

        def command(payload: bytes, channel: Channel) -> NoReturn:
            _become_runtime(payload, channel, program, conditions)

        child = or_keeper(lambda payload, channel: supervise(payload, channel, command))
        self._fork_server = ForkServer(child, namespaces=False)
        self.network = BuildNetwork(self._fork_server, network)

    def run(self, spec: SandboxSpec, *, on_output: OnOutput, cancel: Cancel) -> ExitStatus:
        """Run to the end; see Sandbox."""
        with limited(spec.options) as limits:
            groups = self._groups(limits)
            with _request(*self.network.connect(spec, cancel), groups, terminal=False) as request:
                return limits.judged(run_request(self._fork_server, request, on_output=on_output, cancel=cancel))

    def run_attached(
        self,
        spec: SandboxSpec,
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        init: bool = False,
        screen: Screen | None = None,
    ) -> ExitStatus:
        """Run on the caller's descriptors; see Sandbox."""
        if init:
            raise SandboxError(
                "isolation oci has no init for the command",
                hint="Leave out --init, or use --isolation native.",
            )
        streams = (stdin, stdout, stderr)
        with limited(spec.options) as limits:
            connected = self.network.connect(spec, Cancel())
            with _request(*connected, self._groups(limits), terminal=are_terminal(streams)) as request:
                return limits.judged(
                    run_attached_request(self._fork_server, request, streams, uid=spec.uid, screen=screen)
                )

    def close(self) -> None:
        """Kill and reap everything."""
        self.network.close()
        self._fork_server.close()

    def _groups(self, limits: LimitGroups) -> list[str]:
        """Paths of what the runtime enters, so that all it starts is below the limits. Raises SandboxError.

        runc makes a group of its own beside the one of version 2 that it is in (libcontainer fs2, defaultDirPath), so
        that must be one level down; crun is told to make none.
        """
        paths = list(limits.paths)
        if limits.unified is not None and os.path.basename(self._program) != "crun":
            inner = f"{limits.unified.path}/{os.path.basename(limits.unified.path)}-runtime"
            try:
                KERNEL.make(inner)
            except OSError as error:
                raise SandboxError(f"cannot make the control group {inner}: {error.strerror}") from error
            paths[paths.index(limits.unified.path)] = inner
        return paths


def find_runtime(path: str) -> str | None:
    """The first known runtime on `path` (as $PATH), or None."""
    for name in RUNTIMES:
        for folder in path.split(":"):
            if folder and os.access(candidate := os.path.join(folder, name), os.X_OK):
                return candidate
    return None


@contextmanager
def _request(spec: SandboxSpec, network: int | None, groups: Sequence[str], *, terminal: bool) -> Iterator[Request]:
    bundle = tempfile.mkdtemp(prefix="pybuild-oci-")
    try:
        header = json.dumps({"terminal": terminal, "bundle": bundle, "groups": groups}).encode()
        payload = header + b"\n" + to_json(spec)
        yield Request(namespaces=False, own_network=False, payload=payload, network=network)
    finally:
        with suppress(OSError):
            os.rmdir(bundle)


def _become_runtime(payload: bytes, channel: Channel, program: str, conditions: Conditions) -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, _SIGKILL)
        header_text, _, encoded = payload.partition(b"\n")
        header, spec = json.loads(header_text), from_json(encoded)
        os.umask(_UMASK)
        # The fork server makes no namespaces for this isolation: the runtime makes its own, this one
        # holds what it is given.
        unshare(CLONE_NEWNS)
        reset_signals()
        begin_session(terminal=header["terminal"])
        # Whether the command exists is found out here: a runtime ends with 1 for one that is missing,
        # and 127 is expected.
        found = _write_bundle(spec, header["bundle"], channel, conditions, header["terminal"])
        name = os.path.basename(program)
        enter_groups(header["groups"])
        if name == "crun":
            _hide_hybrid_cgroups()
        close_on_exec_from(3)
    except Exception as error:  # every failure must reach the parent: there is nobody else here to show it to
        channel.report_failure(error)
        os._exit(SETUP_FAILED)
    if not found and spec.argv != (TRIAL,):  # whether the runtime starts at all, only its own run shows
        report_not_found(spec.argv[0] if spec.argv else "")
    options = ["--cgroup-manager=disabled"] if name == "crun" else []
    # Below the tmpfs: nothing of it is left, however the runtime ends.
    state = os.path.join(header["bundle"], "state")
    argv = [program, *options, "--root", state, "run", "--bundle", header["bundle"], f"pybuild-{os.getpid()}"]
    execute(argv, ("PATH=/usr/sbin:/usr/bin:/sbin:/bin",))


def _hide_hybrid_cgroups() -> None:
    """crun refuses to start where cgroup v1 and v2 are mixed, though it is told to use neither.

    What this namespace got from a more privileged one can't be unmounted in it, only covered (man 7 mount_namespaces).
    """
    if not os.path.ismount(_HYBRID_CGROUPS):
        return
    try:
        unmount(_HYBRID_CGROUPS)
    except OSError:
        with suppress(OSError):
            mount("tmpfs", _HYBRID_CGROUPS, "tmpfs", MS_NOSUID | MS_RDONLY, "size=0")


def _write_bundle(spec: SandboxSpec, bundle: str, channel: Channel, conditions: Conditions, terminal: bool) -> bool:
    """Mount what the runtime needs, and write its configuration; say whether the root has the command at all."""
    work = os.open(spec.rootfs.work, os.O_RDONLY | os.O_CLOEXEC) if isinstance(spec.rootfs, OverlayRoot) else None
    # After the work directory is open: the stack's own scratch lies on a disk, everything else in memory.
    mount("tmpfs", bundle, "tmpfs", MS_NOSUID, "mode=0700")
    scratch = Scratch(bundle, work)
    userns = conditions.user_namespace
    preparation = Preparation(spec, scratch, user_namespace=userns, single_id=conditions.single_id)
    attachments = preparation.attachments(channel.listen)
    points = [*SYSTEM_POINTS, *(one.point() for one in attachments)]
    root = mount_root(spec.rootfs, scratch, points, user_namespace=userns, devices=spec.insecure)
    attachments += preparation.apt_attachment(root)
    # Points are made by us where that can be: a runtime makes them in the layer, and leaves them there.
    kept = [one for one in attachments if _is_nested(one, attachments) or _has_point(one, root, channel)]
    make_directory_in(root, spec.cwd)
    path = os.readlink(f"/proc/self/fd/{root}")
    sources = [_source(one, bundle, index) for index, one in enumerate(kept)]
    # By the same rule in every isolation (home.py); a runtime has its own.
    spec = replace(spec, env=with_home(spec.env, spec.uid, root))
    size = os.get_terminal_size(0) if terminal else None
    document = config(
        spec, path, sources, user_namespace=userns, single_id=conditions.single_id,
        terminal=(size.lines, size.columns) if size else None,
    )  # fmt: skip
    with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
        json.dump(document, file)
    return _has_command(root, spec.argv, spec.env)


def _is_nested(attachment: Attachment, all_of_them: Sequence[Attachment]) -> bool:
    """Whether it lies inside another one, where only the runtime can make its mount point."""
    own = os.path.normpath("/" + attachment.target)
    return any(own.startswith(os.path.normpath("/" + one.target) + "/") for one in all_of_them)


def _has_point(attachment: Attachment, root: int, channel: Channel) -> bool:
    try:
        os.close(open_mount_point(root, attachment.point(), channel.send))
    except (OSError, SandboxError) as error:
        if attachment.optional:
            return False
        raise SandboxError(f"cannot mount on {attachment.target}: {error}") from error
    return True


def _source(attachment: Attachment, bundle: str, index: int) -> Source:
    """Give what is to be bound a path in the bundle."""
    if attachment.source is None:
        return Source(attachment.target, None, attachment.flags, attachment.tmpfs_options)
    path = os.path.join(bundle, f"mount-{index}")
    if attachment.directory:
        os.mkdir(path)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    bind(attachment.source, target, flags=attachment.flags & ~MS_RDONLY)
    os.close(target)
    return Source(attachment.target, path, attachment.flags, "")


def _has_command(root: int, argv: Sequence[str], env: Sequence[str]) -> bool:
    for candidate in candidates(argv[0] if argv else "", env):
        with suppress(OSError):
            os.close(open_in_root(root, candidate, os.O_PATH))
            return True
    return False
