"""Isolation "chroot": the last resort, where neither mounts nor namespaces can be had (a plain `docker run`, a pod).

It does not isolate: the command shares the machine's (that is, the surrounding container's) processes and network, has
no /proc, and as root could leave its root directory; its output goes through named pipes, so that /dev/stdout can be
opened. What the spec mounts is lent: added under a second name and removed again (emulated_mounts.py, lent.py).
Every run has a supervisor, which adopts and kills what the command leaves behind.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from builder.errors import MountError, SandboxError
from builder.linux.beneath import open_in_root
from builder.linux.cancel import Cancel
from builder.linux.process import PR_SET_PDEATHSIG, close_on_exec_from, prctl
from builder.sandbox.chroot.copying import copy_tree
from builder.sandbox.chroot.emulated_mounts import EmulatedMounts
from builder.sandbox.limits import LimitGroups, limited
from builder.sandbox.mounts.etc_files import HOSTS, RESOLV_CONF, hosts, resolv_conf
from builder.sandbox.mounts.standard_mounts import DEV_LINKS, DEVICES
from builder.sandbox.network.build_network import BuildNetwork
from builder.sandbox.network.keeper import or_keeper
from builder.sandbox.network.source import NetworkSource
from builder.sandbox.process.attached import Screen, are_terminal, run_attached_request
from builder.sandbox.process.channel import SETUP_FAILED, Channel
from builder.sandbox.process.command import execute
from builder.sandbox.process.entry import begin_session, change_directory, forbid_imports, make_directory
from builder.sandbox.process.fork_server import ForkServer, Request
from builder.sandbox.process.hierarchies import enter_groups
from builder.sandbox.process.home import with_home
from builder.sandbox.process.privileges import drop_privileges, prepare, reset_signals, set_limits
from builder.sandbox.process.run_request import run_request
from builder.sandbox.process.ssh_relay import SshRelay, listen_at
from builder.sandbox.process.standard_streams import Pipe, named_output_pipes
from builder.sandbox.process.supervisor import supervise
from builder.sandbox.spec import (
    BindMount,
    CacheMount,
    DirectoryRoot,
    ExitStatus,
    Mount,
    OnOutput,
    OverlayRoot,
    Rootfs,
    SandboxSpec,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from builder.sandbox.spec_json import from_json, to_json

_UMASK = 0o022
_SIGKILL = 9
_MOST_COMPLAINTS = 3
_STREAMS = ("stdin", "stdout", "stderr")
_MOUNT_HINT = (
    "Isolation chroot only lends what other ones mount: copy it, and write elsewhere, or use --isolation native."
)
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class ChrootSandbox:
    """Must be made while the process has one thread. The rootfs of every spec must be a DirectoryRoot."""

    name = "chroot"

    def __init__(self, network: NetworkSource) -> None:
        prepare()
        child = or_keeper(lambda payload, channel: supervise(payload, channel, _become_command))
        self._fork_server = ForkServer(child, namespaces=False)
        self.network = BuildNetwork(self._fork_server, network)

    def run(self, spec: SandboxSpec, *, on_output: OnOutput, cancel: Cancel) -> ExitStatus:
        """Run to the end; see Sandbox. Raises MountError when what was lent can't be kept out of the result."""
        spec, network = self.network.connect(spec, cancel)
        with limited(spec.options) as limits, _emulated_root(spec) as root:
            request = _request(spec, network, limits, terminal=False)
            pipes = root.open_pipes
            status = run_request(self._fork_server, request, on_output=on_output, cancel=cancel, open_pipes=pipes)
            # Inside the block: the groups that tell of it are removed at its end.
            status = limits.judged(status)
        findings = root.mounts.findings
        for note in findings.notes:
            on_output(2, f"{note}\n".encode(errors="surrogateescape"))
        if status.code == 0 and findings.complaints:
            raise MountError("; ".join(findings.complaints[:_MOST_COMPLAINTS]), hint=_MOUNT_HINT)
        return status

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
        """Run on the caller's descriptors; see Sandbox. The supervisor is what `init` asks for in any case."""
        spec, network = self.network.connect(spec, Cancel())
        with limited(spec.options) as limits, _emulated_root(spec) as root:
            streams = (stdin, stdout, stderr)
            terminal = are_terminal(streams)
            if terminal:
                root.link_terminal()
            request = _request(spec, network, limits, terminal=terminal)
            pipes = root.open_pipes
            status = run_attached_request(
                self._fork_server, request, streams, uid=spec.uid, open_pipes=pipes, screen=screen
            )
            return limits.judged(status)

    def close(self) -> None:
        """Kill and reap everything."""
        self.network.close()
        self._fork_server.close()


def _request(spec: SandboxSpec, network: int | None, limits: LimitGroups, *, terminal: bool) -> Request:
    # What has been put into the root already need not travel.
    bare = SandboxSpec(
        rootfs=spec.rootfs,
        argv=spec.argv,
        env=spec.env,
        cwd=spec.cwd,
        uid=spec.uid,
        gid=spec.gid,
        groups=spec.groups,
        network=spec.network,
        options=spec.options,
        insecure=spec.insecure,
    )
    payload = json.dumps({"terminal": terminal, "groups": limits.paths}).encode() + b"\n" + to_json(bare)
    return Request(namespaces=False, own_network=spec.network == "none", payload=payload, network=network)


@dataclass(frozen=True, slots=True)
class _EmulatedRoot:
    mounts: EmulatedMounts
    kept_dev: str
    """The keeper of /dev (lent.py)."""
    dev: str

    def open_pipes(self) -> tuple[Pipe, Pipe]:
        """Pipes for the output that have names: there is no /proc through which one that has none could be opened."""
        self._remove_links()
        for folder in (self.kept_dev, self.dev):
            os.symlink("null", os.path.join(folder, "stdin"))
        pipes = named_output_pipes(self.kept_dev)
        for name in ("stdout", "stderr"):
            os.link(os.path.join(self.kept_dev, name), os.path.join(self.dev, name))
        return pipes

    def link_terminal(self) -> None:
        """The same for a command that has a terminal, which it can open as /dev/tty."""
        self._remove_links()
        for folder in (self.kept_dev, self.dev):
            for name in _STREAMS:
                os.symlink("tty", os.path.join(folder, name))

    def _remove_links(self) -> None:
        for folder in (self.kept_dev, self.dev):
            for name in _STREAMS:
                with suppress(FileNotFoundError):  # something else is mounted on /dev
                    os.unlink(os.path.join(folder, name))


@contextmanager
def _emulated_root(spec: SandboxSpec) -> Iterator[_EmulatedRoot]:
    """Put everything the spec mounts into its root, and take it out again; `findings` are then there."""
    mounts = EmulatedMounts(_directory(spec.rootfs))
    relays: list[SshRelay] = []
    try:
        try:
            dev = _lend_dev(mounts)
            servers = spec.resolv_conf or resolv_conf()
            _write(mounts, RESOLV_CONF, servers.encode(errors="surrogateescape"), 0o644)
            text = hosts(spec.hostname, spec.options.add_hosts)
            _write(mounts, HOSTS, text.encode(errors="surrogateescape"), 0o644)
            for mount in sorted(spec.mounts, key=lambda one: os.path.normpath("/" + one.target).split("/")):
                relays += _emulate(mounts, mount)
            for path, content, mode in spec.files:
                _write(mounts, path, content, mode)
        except OSError as error:
            raise SandboxError(f"cannot prepare the root file system for a run: {error}") from error
        yield _EmulatedRoot(mounts, *dev)
    finally:
        for relay in relays:
            relay.close()
        mounts.restore()


def _directory(rootfs: Rootfs) -> str:
    match rootfs:
        case DirectoryRoot(path):
            return path
        case OverlayRoot((only,), ""):
            return only
        case OverlayRoot():
            raise SandboxError(
                "isolation chroot cannot mount a stack of layers", hint="The layers must be copied into one directory."
            )


def _lend_dev(mounts: EmulatedMounts) -> tuple[str, str]:
    """Lend a /dev; host paths of its keeper and of itself."""
    dev = _make_directory(mounts.new_path(), 0o755)
    for name, (major, minor) in DEVICES.items():
        with suppress(PermissionError):  # an ordinary user: the command has to do without
            # Made and not bound: nothing can be mounted here. In a container of docker root may make nodes.
            os.mknod(os.path.join(dev, name), 0o020666, os.makedev(major, minor))
            os.chmod(os.path.join(dev, name), 0o666)
    for name, target in DEV_LINKS.items():
        os.symlink(target, os.path.join(dev, name))
    for name, mode in (("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o1777)):
        _make_directory(os.path.join(dev, name), mode)
    path_of_dev = mounts.lend(dev, "/dev")
    for path in ("/proc", "/sys"):
        if not mounts.exists(path):
            mounts.lend(_make_directory(mounts.new_path(), 0o755), path)
    return dev, path_of_dev


def _make_directory(path: str, mode: int) -> str:
    os.mkdir(path)
    os.chmod(path, mode)  # mkdir goes by the umask
    return path


def _write(mounts: EmulatedMounts, path: str, content: bytes, mode: int, owner: tuple[int, int] = (0, 0)) -> None:
    made = mounts.new_path()
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        if owner != (os.geteuid(), os.getegid()):
            with suppress(PermissionError):
                os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
    mounts.lend(made, path, read_only=True)


def _emulate(mounts: EmulatedMounts, mount: Mount) -> list[SshRelay]:
    match mount:
        case BindMount():
            copy_tree(_inside(_directory(mount.source), mount.subpath, mount.target), made := mounts.new_path())
            mounts.lend(made, mount.target, read_only=mount.readonly)
        case CacheMount(readonly=True):
            copy_tree(_inside(mount.source, mount.subpath, mount.target), made := mounts.new_path())
            mounts.lend(made, mount.target, read_only=True)
        case CacheMount():
            source = _inside(mount.source, mount.subpath, mount.target)
            mounts.lend(source, mount.target, return_to=source)
        case TmpfsMount():
            mounts.lend(_make_directory(mounts.new_path(), 0o1777), mount.target)
        case SecretMount():
            _write(mounts, mount.target, mount.content, mount.mode, (mount.uid, mount.gid))
        case SshMount():
            return [_listen(mounts, mount)]
    return []


def _inside(tree: str, subpath: str, target: str) -> str:
    """The real path of `subpath` inside `tree`. Raises SandboxError."""
    root = os.open(tree, _OPEN_DIRECTORY)
    try:
        found = open_in_root(root, subpath or ".", os.O_PATH)
    except OSError as error:
        raise SandboxError(f"cannot mount {subpath!r} on {target}: {error.strerror}") from error
    finally:
        os.close(root)
    path = os.readlink(f"/proc/self/fd/{found}")
    os.close(found)
    return path


def _listen(mounts: EmulatedMounts, mount: SshMount) -> SshRelay:
    made = mounts.new_path()
    with listen_at(made) as listener:
        with suppress(PermissionError):
            os.chown(made, mount.uid, mount.gid)
        os.chmod(made, mount.mode)
        mounts.lend(made, mount.target)
        return SshRelay(os.dup(listener.fileno()), mount.socket)


def _become_command(payload: bytes, channel: Channel) -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, _SIGKILL)
        line, _, encoded = payload.partition(b"\n")
        header, spec = json.loads(line), from_json(encoded)
        enter_groups(header["groups"])
        root = os.open(_directory(spec.rootfs), _OPEN_DIRECTORY)
        env = with_home(spec.env, spec.uid, root)
        forbid_imports()
        os.fchdir(root)
        os.chroot(".")
        # A directory outside of it that is open leads out of a changed root (man 2 chroot).
        os.close(root)
        set_limits(spec.options.ulimits)
        os.umask(_UMASK)
        reset_signals()
        begin_session(terminal=header["terminal"])
        make_directory(spec.cwd)
        # A filter takes CAP_SYS_ADMIN, which a plain container lacks, or no_new_privs (man 2 seccomp),
        # which would break sudo.
        drop_privileges(spec, single_id=False, filtered=False)
        change_directory(spec.cwd)
        close_on_exec_from(3)
    except Exception as error:  # every failure must reach the parent: there is nobody else here to show it to
        channel.report_failure(error)
        os._exit(SETUP_FAILED)
    execute(spec.argv, env)
