"""Isolation "chroot": the last resort, where neither mounts nor namespaces can be had (a plain `docker run`, a pod).

It does not isolate: the command shares the machine's (that is, the surrounding container's) processes and network,
has no /proc, and as root could leave its root directory; its output goes through named pipes, so that /dev/stdout can be
opened. What the spec mounts is copied in and taken out again (borrowing.py). Every run has a supervisor, which adopts and kills what the command leaves behind.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from builder.errors import SandboxError
from builder.linux.beneath import open_in_root
from builder.linux.process import PR_SET_PDEATHSIG, close_on_exec_from, prctl
from builder.linux.seccomp import install, offline_profile
from builder.sandbox.agent import AgentRelay
from builder.sandbox.borrowing import Borrowings
from builder.sandbox.command import execute
from builder.sandbox.container import SETUP_FAILED, Channel, change_directory, forbid_imports, make_directory
from builder.sandbox.copying import copy_tree
from builder.sandbox.etc_files import HOSTS, RESOLV_CONF, hosts, resolv_conf
from builder.sandbox.home import with_home
from builder.sandbox.privileges import drop_privileges, prepare, reset_signals, set_limits
from builder.sandbox.runner import ExitStatus, OnOutput, converse, converse_attached
from builder.sandbox.spec import (
    BindMount,
    CacheMount,
    DirectoryRoot,
    Mount,
    OverlayRoot,
    Rootfs,
    SandboxSpec,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from builder.sandbox.standard_mounts import DEV_LINKS, DEVICES
from builder.sandbox.standard_streams import Pipe, named_output_pipes
from builder.sandbox.supervisor import supervise
from builder.sandbox.wire import from_json, to_json
from builder.sandbox.zygote import Request, Zygote

_UMASK = 0o022
_SIGKILL = 9
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class ChrootSandbox:
    """Must be made while the process has one thread. The rootfs of every spec must be a DirectoryRoot."""

    name = "chroot"

    def __init__(self) -> None:
        prepare()
        self._zygote = Zygote(lambda payload, channel: supervise(payload, channel, _become_command), namespaces=False)

    def run(self, spec: SandboxSpec, *, on_output: OnOutput, cancel: threading.Event) -> ExitStatus:
        """Run to the end; see Sandbox."""
        with _furnished(spec) as dev:
            return converse(
                self._zygote, _request(spec, False), on_output=on_output, cancel=cancel,
                open_pipes=lambda: _open_dev_pipes(dev),
            )  # fmt: skip

    def run_attached(self, spec: SandboxSpec, *, stdin: int, stdout: int, stderr: int) -> ExitStatus:
        """Run on the caller's descriptors; see Sandbox."""
        with _furnished(spec):
            request = _request(spec, True)
            return converse_attached(self._zygote, request, stdin=stdin, stdout=stdout, stderr=stderr)

    def close(self) -> None:
        """Kill and reap everything."""
        self._zygote.close()


def _request(spec: SandboxSpec, attached: bool) -> Request:
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
        ulimits=spec.ulimits,
        insecure=spec.insecure,
    )
    payload = json.dumps(attached).encode() + b"\n" + to_json(bare)
    return Request(namespaces=False, own_network=False, payload=payload)


@contextmanager
def _furnished(spec: SandboxSpec) -> Iterator[str]:
    """Put everything the spec mounts into its root, and take it out again; give the host path of its /dev."""
    borrowings = Borrowings(_directory(spec.rootfs))
    relays: list[AgentRelay] = []
    try:
        try:
            dev = _furnish_dev(borrowings)
            _write(borrowings, RESOLV_CONF, resolv_conf().encode(errors="surrogateescape"), 0o644)
            _write(borrowings, HOSTS, hosts(spec.hostname, spec.add_hosts).encode(), 0o644)
            for mount in sorted(spec.mounts, key=lambda one: os.path.normpath("/" + one.target).split("/")):
                relays += _emulate(borrowings, mount)
            for path, content, mode in spec.files:
                _write(borrowings, path, content, mode)
        except OSError as error:
            raise SandboxError(f"cannot prepare the root file system for a run: {error}") from error
        yield dev
    finally:
        for relay in relays:
            relay.close()
        borrowings.restore()


def _directory(rootfs: Rootfs) -> str:
    match rootfs:
        case DirectoryRoot(path):
            return path
        case OverlayRoot((only,), ""):
            return only
        case OverlayRoot():
            raise SandboxError("isolation chroot cannot mount a stack of layers", hint="the layers must be copied out")


def _open_dev_pipes(dev: str) -> tuple[Pipe, Pipe]:
    """Pipes for the output that have names: there is no /proc through which one that has none could be opened."""
    for name in ("stdin", "stdout", "stderr"):
        os.unlink(os.path.join(dev, name))
    os.symlink("null", os.path.join(dev, "stdin"))
    return named_output_pipes(dev)


def _furnish_dev(borrowings: Borrowings) -> str:
    dev = borrowings.place("/dev", directory=True)
    os.mkdir(dev, 0o755)
    borrowings.settle()
    for name, (major, minor) in DEVICES.items():
        with suppress(PermissionError):  # an ordinary user: the command has to do without
            os.mknod(os.path.join(dev, name), 0o020666, os.makedev(major, minor))
            os.chmod(os.path.join(dev, name), 0o666)
    for name, target in DEV_LINKS.items():
        os.symlink(target, os.path.join(dev, name))
    for name, mode in (("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o1777)):
        os.mkdir(os.path.join(dev, name))
        os.chmod(os.path.join(dev, name), mode)
    for name in ("/proc", "/sys"):
        if not borrowings.exists(name):
            os.mkdir(borrowings.place(name, directory=True), 0o755)
            borrowings.settle()
    return dev


def _write(borrowings: Borrowings, path: str, content: bytes, mode: int, owner: tuple[int, int] = (0, 0)) -> None:
    place = borrowings.place(path, directory=False)
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        if owner != (os.geteuid(), os.getegid()):
            with suppress(PermissionError):
                os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
    borrowings.settle()


def _emulate(borrowings: Borrowings, mount: Mount) -> list[AgentRelay]:
    match mount:
        case BindMount():
            _copy_in(borrowings, _directory(mount.source), mount.subpath, mount.target, return_to="")
        case CacheMount():
            back = "" if mount.readonly else _inside(mount.source, mount.subpath, mount.target)
            _copy_in(borrowings, mount.source, mount.subpath, mount.target, return_to=back)
        case TmpfsMount():
            place = borrowings.place(mount.target, directory=True)
            os.mkdir(place)
            os.chmod(place, 0o1777)
            borrowings.settle()
        case SecretMount():
            _write(borrowings, mount.target, mount.content, mount.mode, (mount.uid, mount.gid))
        case SshMount():
            return [_listen(borrowings, mount)]
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


def _copy_in(borrowings: Borrowings, tree: str, subpath: str, target: str, *, return_to: str) -> None:
    source = _inside(tree, subpath, target)
    place = borrowings.place(target, directory=os.path.isdir(source), return_to=return_to)
    copy_tree(source, place, link=bool(return_to))
    borrowings.settle()


def _listen(borrowings: Borrowings, mount: SshMount) -> AgentRelay:
    place = borrowings.place(mount.target, directory=False)
    folder = os.open(os.path.dirname(place), _OPEN_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(f"/proc/self/fd/{folder}/{os.path.basename(place)}")
            listener.listen(16)
            with suppress(PermissionError):
                os.chown(place, mount.uid, mount.gid)
            os.chmod(place, mount.mode)
            borrowings.settle()
            return AgentRelay(os.dup(listener.fileno()), mount.socket)
    finally:
        os.close(folder)


def _become_command(payload: bytes, channel: Channel) -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, _SIGKILL)
        attached_text, _, encoded = payload.partition(b"\n")
        spec = from_json(encoded)
        root = os.open(_directory(spec.rootfs), _OPEN_DIRECTORY)
        env = with_home(spec.env, spec.uid, root)
        forbid_imports()
        os.fchdir(root)
        os.chroot(".")
        os.close(root)
        set_limits(spec.ulimits)
        os.umask(_UMASK)
        reset_signals()
        if attached_text == b"false":
            os.setsid()
        make_directory(spec.cwd)
        if spec.network == "none":
            install(offline_profile(), no_new_privileges=True)
        drop_privileges(spec, single_id=False, filtered=False)
        change_directory(spec.cwd)
        close_on_exec_from(3)
    except Exception as error:  # every failure must reach the parent: there is nobody else here to show it to
        channel.report_failure(error)
        os._exit(SETUP_FAILED)
    execute(spec.argv, env)
