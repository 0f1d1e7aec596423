"""What an error means that came up while isolation was tried: a clear no of the kernel, or a fault.

Only a clear no may lead to less isolation. A fault (a full disk, too many open files, a file that vanished) says
nothing about what this machine can do, and is an error. Errors keep their errno on the way from the process that met
them: as the OSError that the SandboxError was raised from.
"""

from __future__ import annotations

import errno
import os

from builder.errors import SandboxError

_CLEAR_NO = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV})
"""EACCES is AppArmor's and SELinux's word, EINVAL and ENODEV a kernel's that was built without it."""

_LIMITED = frozenset({errno.ENOSPC, errno.EUSERS})
"""What a namespace beyond the limit ends in (man 2 unshare); a limit of 0 forbids them (man 7 namespaces)."""

_FAULTS = frozenset(
    {
        *(errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR),
        *(errno.ENOMEM, errno.EIO, errno.EBUSY, errno.ESTALE, errno.EROFS),
    }
)
_LIMITS = "/proc/sys/user"
_KINDS = ("user", "mnt", "pid", "ipc", "uts", "cgroup")


def errno_of(error: BaseException | None) -> int:
    """Return the errno of the system call that `error` began with; 0 when there was none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        error = error.__cause__
    return 0


def is_clear_no(error: BaseException) -> bool:
    """Say whether the kernel forbids, or does not know, what was tried."""
    number = errno_of(error)
    return number in _CLEAR_NO or (number in _LIMITED and namespaces_are_forbidden())


def is_fault(error: BaseException) -> bool:
    """Say whether trying the same again could have another end."""
    # ENOSPC is both: a full disk, or a namespace beyond the limit (man 2 unshare).
    return errno_of(error) in _FAULTS and not is_clear_no(error)


def namespaces_are_forbidden(limits: str = _LIMITS) -> bool:
    """Say whether one of the kinds of namespaces that a run needs may not be made at all here."""
    for kind in _KINDS:
        try:
            with open(f"{limits}/max_{kind}_namespaces", "rb") as file:
                if file.read().strip() == b"0":
                    return True
        except OSError:
            continue  # a kernel that has no such limit
    return False


def with_errno(error: SandboxError, number: int) -> SandboxError:
    """Return `error` with the errno that it had in another process."""
    if number:
        error.__cause__ = OSError(number, os.strerror(number))
    return error


def fault_while(doing: str, error: BaseException) -> SandboxError:
    """Return what to raise for a fault that came up while `doing`."""
    message = error.message if isinstance(error, SandboxError) else _text(error)
    hint = error.hint if isinstance(error, SandboxError) else ""
    return SandboxError(
        f"{doing}: {message}",
        hint=hint or "This says nothing about what works here, so nothing was run with less isolation; try again.",
    )


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
