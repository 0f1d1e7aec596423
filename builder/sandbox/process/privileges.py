"""From root to what a RUN may be: limits, capabilities, system call filter, ids. Nothing is inherited by accident.

Order matters: the filter is put on while CAP_SYS_ADMIN is still held (so that `no_new_privs`, which would break sudo
and su in a build, is not needed), and the ids change after it.
"""

from __future__ import annotations

import os
import resource
import signal

from builder.errors import SandboxError
from builder.linux.capabilities import DOCKER_DEFAULT, NAMES, effective_mask, limit_bounding, mask, set_capabilities
from builder.linux.libc import MACHINE
from builder.linux.seccomp import docker_profile, install, pretending_profile
from builder.linux.syscall_numbers import ARCHITECTURES
from builder.sandbox.process.standard_streams import give_pipes
from builder.sandbox.spec import SandboxSpec

LIMITS = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "locks": 10,  # RLIMIT_LOCKS, which Python has no name for and Linux no use
    "memlock": resource.RLIMIT_MEMLOCK,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rss": resource.RLIMIT_RSS,
    "rtprio": resource.RLIMIT_RTPRIO,
    "rttime": resource.RLIMIT_RTTIME,
    "sigpending": resource.RLIMIT_SIGPENDING,
    "stack": resource.RLIMIT_STACK,
}
"""The names `--ulimit` takes."""


_TOUCHED_SIGNALS = (
    *(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT),  # by Python
    *(signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2),
)


def set_limits(ulimits: tuple[tuple[str, int, int], ...]) -> None:
    """Set resource limits. Raises SandboxError naming the one that cannot be set."""
    for name, soft, hard in ulimits:
        try:
            resource.setrlimit(LIMITS[name], (soft, hard))
        except KeyError:
            raise SandboxError(f"unknown ulimit {name!r}", hint=f"Known are {', '.join(sorted(LIMITS))}.") from None
        except (OSError, ValueError) as error:
            raise SandboxError(
                f"cannot set ulimit {name}={soft}:{hard}: {error}",
                hint="An ordinary user cannot raise a hard limit.",
            ) from error


def reset_signals() -> None:
    """Give signals their default meaning: Python ignores SIGPIPE, and an ignored signal survives exec."""
    for number in _TOUCHED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def drop_privileges(spec: SandboxSpec, *, single_id: bool, filtered: bool = True) -> None:
    """Become the spec's user with Docker's default rights. Raises OSError, SandboxError.

    With a single id every user is that id, and RUN is told that changing it worked.
    """
    allowed = effective_mask() if spec.insecure else mask(granted(spec)) & effective_mask()
    limit_bounding(allowed)
    if filtered and not spec.insecure:
        install(docker_profile())
    if single_id:
        install(pretending_profile())
    else:
        _change_ids(spec)
    # For another user the kernel has cleared them, when the ids changed (man 7 capabilities); a single id never does.
    if spec.uid == 0 or single_id:
        set_capabilities(allowed)


def _change_ids(spec: SandboxSpec) -> None:
    try:
        # While we may give files away.
        give_pipes(spec.uid)
        os.setgroups(spec.group_list)
        os.setresgid(spec.gid, spec.gid, spec.gid)
        # Last: with it the right to change groups is gone (man 7 capabilities).
        os.setresuid(spec.uid, spec.uid, spec.uid)
    except OSError as error:
        raise SandboxError(
            f"cannot become user {spec.uid}:{spec.gid}: {error.strerror}",
            hint="The id is not in this user's range: see /etc/subuid and /etc/subgid.",
        ) from error


def granted(spec: SandboxSpec) -> frozenset[str]:
    """The names of the capabilities that the process gets: Docker's; on this machine's network none to listen in."""
    if spec.insecure:
        return frozenset(NAMES)
    return DOCKER_DEFAULT - {"NET_RAW"} if spec.network == "shared" else DOCKER_DEFAULT


def prepare() -> None:
    """Assemble the filters once, before the processes that need them are forked."""
    if MACHINE in ARCHITECTURES:
        docker_profile()
        pretending_profile()
