"""What is to be run, in which root, with what mounted, and how it ended: values that can be printed and compared.

Paths in `target`, `cwd` and `subpath` are POSIX paths inside a root (the first two absolute); `source`, `lower`,
`upper`, `work` and `socket` are paths of the host. Everything between them is the runner's business.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from builder.oci.run_options import NO_OPTIONS, RunOptions

Network = Literal["default", "shared", "host", "none"]
"""default: the build's own, or "shared" where it can have none; none: loopback alone.

shared, host: this machine's, without CAP_NET_RAW and with it.
"""

DEFAULT_HOSTNAME = "buildkitsandbox"
"""What BuildKit calls the machine; some build scripts have come to know it."""

HOST_GATEWAY = "host-gateway"
"""Docker's word for the address of this machine as the container sees it."""

DEFAULT_SHM_BYTES = 64 << 20
"""Docker's size of /dev/shm."""


@dataclass(frozen=True, slots=True)
class OverlayRoot:
    """A stack of directories, mounted with overlayfs for the one run."""

    lower: tuple[str, ...]
    """Unpacked layers, the topmost first; may be empty."""

    upper: str
    """Where changes go; empty for a stack that is only read."""

    work: str
    """An empty directory on the file system of `upper`, the sandbox's own: overlay's work area, stubs, scratch.

    It holds nothing worth keeping afterwards. May be empty when `upper` is.
    """


@dataclass(frozen=True, slots=True)
class DirectoryRoot:
    """A plain directory; changes are made in place."""

    path: str


Rootfs = OverlayRoot | DirectoryRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """A part of another tree. What is written to a writable one is thrown away afterwards."""

    source: Rootfs
    subpath: str = ""
    target: str
    readonly: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMount:
    """A host directory that outlives the run."""

    source: str
    subpath: str = ""
    target: str
    readonly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsMount:
    target: str
    size: int | None = None
    """Bytes; None for the kernel's own limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretMount:
    """A file that exists only while the process runs, and never on a disk."""

    content: bytes = field(repr=False)
    target: str
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SshMount:
    """The socket of an SSH agent. Connections are relayed, so that it can have an owner and mode of its own."""

    socket: str
    target: str
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


PASSED_ON = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT,
)  # fmt: skip
"""Signals that an attached command gets when this process gets them."""

STOP = signal.SIGRTMIN
"""Ends a run that has no namespace of its own (supervisor.py): no signal that anybody else means for its command."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a command stands to its caller."""

    terminal: bool = False
    """Its standard input is a terminal for it to control."""
    init: bool = False
    """It is not process 1 but the child of one that reaps what others leave and passes signals on."""


Mount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """One process. Masked and read-only parts of /proc and /sys are implied, unless `insecure`."""

    rootfs: Rootfs
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    """ "NAME=value"; the process sees these and no others. A secret given as a variable is not part of the repr."""

    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: Network = "default"
    hostname: str = DEFAULT_HOSTNAME
    options: RunOptions = NO_OPTIONS
    """In `add_hosts` HOST_GATEWAY as an address is this machine."""

    resolv_conf: str = ""
    """The text of /etc/resolv.conf; "" for this machine's."""

    insecure: bool = False
    """All capabilities and the host's devices (`RUN --security=insecure`)."""

    files: tuple[tuple[str, bytes, int], ...] = field(default=(), repr=False)
    """(path, content, mode) of read-only files such as heredoc scripts under /dev/pipes/."""

    @property
    def group_list(self) -> tuple[int, ...]:
        """The groups as the kernel is told: with the primary one, which a set-group-ID program could drop otherwise.

        That is CVE-2022-36109, and what `id` shows as the first of `groups`.
        """
        return (self.gid, *(group for group in self.groups if group != self.gid))


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a command ended."""

    code: int
    """The command's own code; 128 + signal when it was killed by one."""

    signal: int | None = None
    memory_limit_reached: bool = False
    """It failed, and the kernel had killed a process of it for want of memory (RunOptions.memory_bytes)."""


OnOutput = Callable[[int, bytes], None]
"""Called for each piece of output with 1 or 2 (stdout or stderr) and the bytes."""
