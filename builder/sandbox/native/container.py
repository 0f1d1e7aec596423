"""The making of one container, from inside: runs in a fresh child of the fork server, as pid 1 of new namespaces.

    scratch tmpfs → sources opened → root mounted (with stubs) → /dev, /sys → the spec's mounts → /proc → masks
    → pivot_root → limits, capabilities, filter, ids → the command

Whatever goes wrong before the command starts is sent over the channel as one message; nothing is undone here,
because all mounts vanish with the namespace.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from builder.errors import SandboxError
from builder.linux.mount import descriptor_path, pivot_root_here, unmount
from builder.linux.network import bring_loopback_up
from builder.linux.process import PR_SET_PDEATHSIG as PDEATHSIG
from builder.linux.process import close_all_except, close_on_exec_from, prctl, set_hostname
from builder.sandbox.mounts.mount_points import open_mount_point
from builder.sandbox.mounts.root_mount import Scratch, mount_root, mount_scratch
from builder.sandbox.mounts.spec_mounts import Attachment, Preparation
from builder.sandbox.mounts.standard_mounts import (
    SYSTEM_POINTS,
    Conditions,
    hide_parts,
    mount_dev,
    mount_proc,
    mount_sys,
)
from builder.sandbox.process.cgroups import enter_own_groups, mount_cgroups
from builder.sandbox.process.channel import SETUP_FAILED, Channel
from builder.sandbox.process.command import execute
from builder.sandbox.process.entry import begin_session, change_directory, forbid_imports, make_directory
from builder.sandbox.process.home import with_home
from builder.sandbox.process.init import become_init
from builder.sandbox.process.privileges import drop_privileges, reset_signals, set_limits
from builder.sandbox.spec import DEFAULT_SHM_BYTES, Manner, SandboxSpec

_UMASK = 0o022
_SIGKILL = 9


def become_container(
    spec: SandboxSpec, channel: Channel, conditions: Conditions, manner: Manner, groups: Sequence[str]
) -> NoReturn:
    """Turn this process, whose descriptors 0 to 2 are the command's, into the container. Never returns.

    `groups` are the paths of its control groups.
    """
    try:
        prctl(PDEATHSIG, _SIGKILL)
        # A directory of this machine that stayed open would lead the command out of its root (CVE-2024-21626).
        close_all_except(frozenset((0, 1, 2, channel.descriptor)))
        os.umask(_UMASK)
        # While their files can be reached: after pivot_root(2) they cannot.
        enter_own_groups(groups)
        root = assemble_root(spec, channel, conditions)
        env = with_home(spec.env, spec.uid, root)
        forbid_imports()
        os.fchdir(root)
        pivot_root_here()
        os.close(root)
        _enter(spec, conditions, manner)
    except Exception as error:  # every failure must reach the parent: there is nobody else here to show it to
        channel.report_failure(error)
        os._exit(SETUP_FAILED)
    execute(spec.argv, env)


def assemble_root(spec: SandboxSpec, channel: Channel, conditions: Conditions) -> int:
    """Mount everything the command will see; return a descriptor of the new root. Raises OSError, SandboxError."""
    user_namespace = conditions.user_namespace
    scratch = mount_scratch(spec.rootfs, channel.send)
    preparation = Preparation(spec, scratch, user_namespace=user_namespace, single_id=conditions.single_id)
    attachments = preparation.attachments(channel.listen)
    points = [*SYSTEM_POINTS, *(one.point() for one in attachments)]
    devices = spec.insecure or bool(conditions.device_guard)
    root = mount_root(spec.rootfs, scratch, points, user_namespace=user_namespace, devices=devices)
    for point in SYSTEM_POINTS:
        os.close(open_mount_point(root, point, channel.send))
    shm_bytes = DEFAULT_SHM_BYTES if spec.options.shm_size is None else spec.options.shm_size
    host_devices = spec.insecure and not user_namespace
    mount_dev(root, shm_bytes=shm_bytes, conditions=conditions, host_devices=host_devices)
    mount_sys(root, user_namespace=user_namespace, writable=spec.insecure)
    mount_cgroups(root)
    # After /dev and /sys, since some lie in them: scripts of heredocs below /dev/pipes.
    for attachment in [*attachments, *preparation.apt_attachment(root)]:
        _attach(attachment, root, channel)
    _drop_scratch(root, scratch)
    # After the spec's mounts: in a plain directory their sources lie in the scratch, which is where /proc will be.
    mount_proc(root)
    if not spec.insecure:
        hide_parts(root)
    return root


def _attach(attachment: Attachment, root: int, channel: Channel) -> None:
    try:
        target = open_mount_point(root, attachment.point(), channel.send)
        try:
            attachment.attach(target)
        finally:
            os.close(target)
    except (OSError, SandboxError) as error:
        if attachment.optional:
            return
        if isinstance(error, OSError):
            raise SandboxError(f"cannot mount on {attachment.target}: {error.strerror}") from error
        raise
    finally:
        if attachment.source is not None:
            os.close(attachment.source)


def _drop_scratch(root: int, scratch: Scratch) -> None:
    """Unmount the scratch where it is in the way of /proc: what was bound from it stays, its names are gone."""
    if scratch.disk is None:
        point = os.open("proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
        unmount(descriptor_path(point))
        os.close(point)


def _enter(spec: SandboxSpec, conditions: Conditions, manner: Manner) -> None:
    """Everything between pivot_root and exec."""
    set_hostname(spec.hostname)
    # In a new network namespace loopback is down.
    if spec.network == "none":
        bring_loopback_up()
    # While we are root, who alone may raise a hard limit (man 2 setrlimit).
    set_limits(spec.options.ulimits)
    reset_signals()
    begin_session(terminal=manner.terminal)
    if manner.init:
        become_init(terminal=manner.terminal)
    make_directory(spec.cwd)
    drop_privileges(spec, single_id=conditions.single_id)
    change_directory(spec.cwd)
    prctl(PDEATHSIG, _SIGKILL)  # changing ids cleared it
    close_on_exec_from(3)
