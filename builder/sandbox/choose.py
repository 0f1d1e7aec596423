"""Which isolation works here: found out by trying it, with the reasons.

`open_sandbox` tries native, then chroot, and gives back the first that really ran something, with the reasons why the
others did not. A trial is a real run of a command that does not exist, in an empty root: that it ends with "not found"
proves that every mount, namespace and filter before it worked. Whether trees can be stacks of layers is found out on
the way: that depends on the kernel, on what this process may do and on the store's file system (overlayfs refuses an
upper directory on overlayfs or NFS).

Less isolation is taken only after a clear no of the kernel to more (refusal.py), never after a fault.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from builder.errors import SandboxError
from builder.filesystem.remove import remove_tree
from builder.linux.cancel import Cancel
from builder.sandbox.namespace import BuildNamespace, NoNamespace, describe
from builder.sandbox.native.runner import NativeSandbox
from builder.sandbox.network.build_network import BuildNetwork
from builder.sandbox.network.source import NetworkSource, OwnNetwork, SharedNetwork, choose_network
from builder.sandbox.process.command import NOT_FOUND, TRIAL
from builder.sandbox.refusal import errno_of, fault_while, is_clear_no, is_fault
from builder.sandbox.runner import Sandbox
from builder.sandbox.spec import DirectoryRoot, OverlayRoot, Rootfs, SandboxSpec

AUTOMATIC = ("native", "chroot")
"""What is tried when nothing is asked for, in this order."""

KNOWN = ("native", "oci", "chroot")

_TRIAL_NAME = TRIAL.lstrip("/")
_REASONS = {
    "native": "namespaces of its own",
    "oci": "an OCI runtime",
    "chroot": "only a changed root directory: the command is NOT isolated from this machine",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationChoice:
    """What was chosen, for `pybuild info` and the build log."""

    name: str
    reason: str
    rejected: tuple[tuple[str, str], ...]
    """(name, why not), in the order tried."""

    overlay: bool
    """Whether a stack of layers can be mounted with the store as its upper directory; otherwise it must be copied."""

    overlay_reason: str = ""
    """Why not, when it cannot."""

    network: str = ""
    """Which network RUN has, when that was tried."""


def choose_isolation(
    requested: str | None, *, namespace: BuildNamespace, store: str, network: NetworkSource | None = None
) -> IsolationChoice:
    """Find out what `open_sandbox` would choose, and try its network. Raises SandboxError as it does."""
    sandbox, choice = open_sandbox(requested, namespace=namespace, store=store, network=network)
    try:
        return replace(choice, network=_try_network(sandbox.network))
    finally:
        sandbox.close()


def open_sandbox(
    requested: str | None,
    *,
    namespace: BuildNamespace,
    store: str,
    network: NetworkSource | None = None,
    start_network: bool = False,
) -> tuple[Sandbox, IsolationChoice]:
    """Open the isolation asked for, or the first that works. The process must have one thread.

    `network` is what choose_network found, or is found here; it is started when something is known to need it.
    `store` is a directory on the file system the layers are on that nobody else uses or sweeps; a trial makes and
    removes directories in it. Raises SandboxError when what was asked for does not work here, or nothing does, or when
    trying met a fault: a fault never leads to less isolation.
    """
    if requested is not None and requested not in KNOWN:
        raise SandboxError(f"unknown isolation {requested!r}", hint=f"Known are {', '.join(KNOWN)}.")
    network = network or choose_network(namespace, os.environ.get("PATH", os.defpath))
    rejected: list[tuple[str, str]] = []
    for name in (requested,) if requested else AUTOMATIC:
        try:
            sandbox, overlay_failure = _try(name, namespace, store, network, start_network)
        except (OSError, SandboxError) as error:
            # A fault ends it here, with more isolation possible than would be tried next (docs/decisions/0011).
            if requested or not is_clear_no(error):
                raise _failed(name, error, requested) from error
            rejected.append((name, str(error)))
            continue
        reason = f"{_REASONS[name]}; {describe(namespace)}"
        choice = IsolationChoice(
            name=name,
            reason=reason,
            rejected=tuple(rejected),
            overlay=not overlay_failure,
            overlay_reason=overlay_failure,
        )
        return sandbox, choice
    reasons = "; ".join(f"{name}: {why}" for name, why in rejected)
    raise SandboxError(
        f"no way to run commands works here ({reasons})",
        hint="`pybuild info` says the same; a build without RUN works.",
    )


def _failed(name: str, error: OSError | SandboxError, requested: str | None) -> SandboxError:
    if not is_clear_no(error) and errno_of(error):
        return fault_while(f"trying isolation {name}", error)
    hint = error.hint if isinstance(error, SandboxError) else ""
    if requested:
        return SandboxError(
            f"isolation {name} does not work here: {error}", hint=hint or "`pybuild info` says what works here."
        )
    return SandboxError(f"trying isolation {name}: {error}", hint=hint)


def _try(
    name: str, namespace: BuildNamespace, store: str, network: NetworkSource, start_network: bool
) -> tuple[Sandbox, str]:
    """Return the sandbox, and why it cannot have overlayfs; "" when it can. Raises OSError, SandboxError."""
    # From an errno: it was a clear no of the kernel that left no namespace, and refusal.py reads it there.
    if name != "chroot" and isinstance(namespace, NoNamespace):
        raise SandboxError(namespace.reason) from PermissionError(errno.EPERM, namespace.reason)
    if name == "chroot" and os.geteuid() != 0:
        raise SandboxError("only root may change its root directory") from PermissionError(errno.EPERM, "chroot")
    folder = os.path.join(store, f"{_TRIAL_NAME}-{os.getpid()}")
    with _trial_directories(folder, store):
        sandbox = _open(name, namespace, network)
        try:
            # Before the trial, which then runs while pasta gets ready (docs/decisions/0012).
            if start_network:
                sandbox.network.start()
            return sandbox, _try_in(sandbox, folder, namespace)
        except BaseException:
            sandbox.close()
            raise


@contextmanager
def _trial_directories(folder: str, store: str) -> Iterator[None]:
    try:
        for part in ("root", "upper", "work", "lower"):
            os.makedirs(os.path.join(folder, part))
    except OSError as error:  # a no of this file system is no word on isolation, so that errno must not be seen
        cause = None if is_clear_no(error) else error
        raise SandboxError(f"cannot make directories in {store}: {error.strerror}") from cause
    try:
        yield
    finally:
        with suppress(OSError):
            parent = os.open(store, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                remove_tree(parent, os.path.basename(folder))
            finally:
                os.close(parent)


def _try_in(sandbox: Sandbox, folder: str, namespace: BuildNamespace) -> str:
    """Run the trial in a stack of layers, or else in a directory. Return why layers cannot be had; "" when they can.

    Raises OSError, SandboxError.
    """
    failure = "isolation chroot mounts nothing"
    if sandbox.name != "chroot":
        upper, work, lower = (os.path.join(folder, part) for part in ("upper", "work", "lower"))
        try:
            _trial(sandbox, OverlayRoot((lower,), upper, work))
            # After the trial: the mount itself works also where marks cannot be kept.
            failure = _why_no_marks(upper, namespace)
        except SandboxError as error:
            if is_fault(error):
                raise
            failure = error.message
    if failure:
        _trial(sandbox, DirectoryRoot(os.path.join(folder, "root")))
    return failure


def _why_no_marks(upper: str, namespace: BuildNamespace) -> str:
    """Return why overlayfs could not mark a new directory in `upper`; "" when it can.

    Where it cannot, the mount works and mkdir(2) in it fails. So it is on tmpfs before Linux 6.6 for an ordinary user,
    and on file systems without extended attributes.
    """
    try:
        os.setxattr(upper, f"{'user' if namespace.user_namespace else 'trusted'}.overlay.{_TRIAL_NAME}", b"y")
    except OSError as error:
        if is_fault(error):
            raise
        return f"the store's file system cannot keep the attributes that overlayfs needs ({error.strerror})"
    return ""


def _open(name: str, namespace: BuildNamespace, network: NetworkSource) -> Sandbox:
    if name == "native":
        return NativeSandbox(namespace, network)
    from builder.sandbox.fallback import open_fallback  # gate: rare. Most machines can do what is tried first

    return open_fallback("oci" if name == "oci" else "chroot", namespace, network)


def _try_network(network: BuildNetwork) -> str:
    match network.source:
        case SharedNetwork(reason):
            return f"this machine's, without CAP_NET_RAW: {reason}"
        case OwnNetwork(program=program):
            try:
                network.join(Cancel())
            except SandboxError as error:
                return error.message
            return f"one of the build's own, through {program}"


def _trial(sandbox: Sandbox, rootfs: Rootfs) -> None:
    """Run a command that does not exist. Raises SandboxError when that fails otherwise than it should."""
    pieces: list[bytes] = []
    # With this machine's network: a network of its own is tried by itself, and decides nothing about isolation.
    spec = SandboxSpec(rootfs=rootfs, argv=(TRIAL,), network="host")
    status = sandbox.run(spec, on_output=lambda _, data: pieces.append(data), cancel=Cancel())
    output = b"".join(pieces).decode(errors="replace").strip()
    is_missed = _misses_trial(output) if sandbox.name == "oci" else status.code == NOT_FOUND
    if not is_missed:
        raise SandboxError(output or f"a trial ended with exit code {status.code}")


def _misses_trial(output: str) -> bool:
    """Say whether a runtime complains of nothing but the command of the trial; crun and runc then exit with 1."""
    return TRIAL in output and any(reason in output.lower() for reason in ("not found", "no such file"))
