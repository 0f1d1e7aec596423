"""Where the whole program stands before it builds: a mount namespace of its own, and root among its own files.

`enter_build_namespace` is called once, by the main process, while it has one thread; it looks. Afterwards:

    HostRoot         real root, mounts of ours are seen by nobody else
    MappedRoot       root of a user namespace with a range of ids: one that an ordinary user made here, or was in before
    SingleIdRoot     the same with one id: everything belongs to it, RUN is told that chown worked
    NoNamespace      nothing could be had (a plain container, a hardened machine): only `chroot` is left

As MappedRoot and SingleIdRoot the process is uid 0 to itself and unpacks layers as root would.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from builder.errors import SandboxError
from builder.linux.mount import make_private
from builder.linux.process import CLONE_NEWNS, unshare
from builder.linux.subordinate_ids import ALL_IDS, mapped_ids
from builder.linux.threads import other_threads
from builder.linux.user_namespace import enter_user_namespace
from builder.sandbox.refusal import fault_while, is_clear_no


@dataclass(frozen=True, slots=True)
class HostRoot:
    user_namespace = False


@dataclass(frozen=True, slots=True)
class MappedRoot:
    uids: int
    """Ids 0 to uids - 1 exist."""

    gids: int
    user_namespace = True


@dataclass(frozen=True, slots=True)
class SingleIdRoot:
    reason: str
    """Why there is no range."""

    user_namespace = True


@dataclass(frozen=True, slots=True)
class NoNamespace:
    reason: str
    user_namespace = False


BuildNamespace = HostRoot | MappedRoot | SingleIdRoot | NoNamespace


def enter_for_files() -> None:
    """Move this process to where everything that RUN made can be read and deleted. Raises SandboxError.

    What subordinate ids own is an ordinary user's only in the namespace of builds; root is everybody's owner here.
    """
    if os.geteuid() != 0:
        enter_build_namespace()


def enter_build_namespace() -> BuildNamespace:
    """Move this process into the namespaces it builds in.

    Raises SandboxError when it has more than one thread, and for a fault: only a clear no of the kernel is NoNamespace.
    """
    # With threads unshare(2) fails with EINVAL, which would be taken for the kernel's no (docs/decisions/0010).
    check_alone("enter namespaces")
    reason = ""
    # Root has all ids without a user namespace, and needs none.
    if os.geteuid() == 0:
        try:
            # No other process sees what is mounted, and all of it goes with this one (docs/decisions/0003).
            unshare(CLONE_NEWNS)
            # A new namespace passes mounts on as its parent does (man 7 mount_namespaces), and systemd's
            # passes them to everybody.
            make_private()
            return _root_here()
        except OSError as error:
            reason = _refused("root may not make a mount namespace here", error)
    try:
        # Also for a root that was refused above: that of a plain container has no CAP_SYS_ADMIN, and may
        # be given one of these.
        maps = enter_user_namespace(CLONE_NEWNS)
    except OSError as error:
        also = _refused("no user namespace", error)
        return NoNamespace(f"{reason}; {also}" if reason else also)
    try:
        make_private()
    except OSError as error:
        # AppArmor can do that: it gives the namespace, and no capability in it
        # (kernel.apparmor_restrict_unprivileged_userns).
        return NoNamespace(_refused("a user namespace was given, but no mount may be made in it", error))
    if maps.uids > 1 and maps.gids > 1:
        return MappedRoot(maps.uids, maps.gids)
    return SingleIdRoot(maps.reason)


def check_alone(purpose: str) -> None:
    """Raise SandboxError, with names, when this process has other threads: `purpose` needs it to have none."""
    others = other_threads()
    if others:
        raise SandboxError(
            f"cannot {purpose} while other threads run ({', '.join(others)})",
            hint="This is a mistake in pybuild, or in the program that uses it; no command was started.",
        )


def _refused(what: str, error: OSError) -> str:
    """Say that `what` is so because the kernel said no. Raises SandboxError when it did not."""
    if not is_clear_no(error):
        raise fault_while("entering the namespaces that RUN needs", error) from error
    return f"{what}: {error.strerror or error}"


def _root_here() -> HostRoot | MappedRoot | SingleIdRoot:
    """Tell real root from that of a user namespace which somebody else made (`unshare -r`, a rootless container)."""
    uids, gids = mapped_ids("/proc/self/uid_map"), mapped_ids("/proc/self/gid_map")
    # 0 is a kernel without user namespaces: there is no map to read.
    if uids == gids == ALL_IDS or 0 in (uids, gids):
        return HostRoot()
    if uids > 1 and gids > 1:
        return MappedRoot(uids, gids)
    return SingleIdRoot("it was entered with one")


def describe(namespace: BuildNamespace) -> str:
    """One line for `pybuild info`."""
    match namespace:
        case HostRoot():
            return "root, in a mount namespace of its own"
        case MappedRoot(uids, gids):
            return f"root of a user namespace with {uids} user ids and {gids} group ids"
        case SingleIdRoot(reason):
            return f"root of a user namespace with a single id ({reason})"
        case NoNamespace(reason):
            return f"no namespaces ({reason})"
