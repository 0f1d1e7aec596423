"""The process that holds a build's network: pid 1 of a process-id namespace, in a network namespace of its own.

    fork server ── keeper ────────── in the new network namespace; holds it open, and its end ends the program
                └─ pasta, slirp4netns   in the machine's network, with the namespace's path; moves the packets

It is a child of the fork server like a run, and sends over its channel a descriptor of the namespace once packets
flow, or why they do not. Then it waits: for its end, or the program's, which it reports as well.
"""

from __future__ import annotations

import json
import os
from typing import NoReturn

from builder.errors import SandboxError
from builder.linux.capabilities import set_capabilities
from builder.linux.network import enter_new_network
from builder.linux.process import PR_SET_DUMPABLE, PR_SET_PDEATHSIG, close_all_except, close_on_exec_from, prctl
from builder.sandbox.network.source import NAMESPACE, READY
from builder.sandbox.process.channel import SETUP_FAILED, Channel
from builder.sandbox.process.fork_loop import Child
from builder.sandbox.process.messages import NetworkNamespace
from builder.sandbox.process.privileges import reset_signals

_KEEP = b"network\n"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_SIGKILL = 9
_OUTPUT_BYTES = 4096
_NOISE = ("Failed to send", "WARNING: Support for", "sent tapfd", "received tapfd", "Can't run AVX2")


def keeper_payload(program: str, arguments: tuple[str, ...]) -> bytes:
    """Return what makes a child of the fork server a keeper; the program's last arguments are added by it."""
    return _KEEP + json.dumps([program, arguments]).encode()


def or_keeper(child: Child) -> Child:
    """Return a child for a fork server that is `child`, unless the payload makes it a keeper."""

    def either(payload: bytes, channel: int) -> NoReturn:
        if payload.startswith(_KEEP):
            program, arguments = json.loads(payload.removeprefix(_KEEP))
            _keep(program, arguments, Channel(channel))
        child(payload, channel)

    return either


def _keep(program: str, arguments: list[str], channel: Channel) -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, _SIGKILL)
        close_all_except(frozenset((0, 1, 2, channel.descriptor)))
        _serve(program, arguments, channel)
    except Exception as error:  # every failure must reach the parent: there is nobody else here to show it to
        channel.report_failure(error)
    os._exit(SETUP_FAILED)


def _serve(program: str, arguments: list[str], channel: Channel) -> None:
    """Connect a new namespace and return when that has come to its end. Raises OSError, SandboxError."""
    output = os.memfd_create("output")
    waiting, entered = os.pipe()
    ready, is_ready = os.pipe()
    # By the number that /proc, and so the program, knows us by; that is not the one of this namespace, 1.
    path = f"/proc/{os.readlink('/proc/self')}/ns/net"
    helper = os.fork()
    if helper == 0:
        os.close(entered)
        completed = [path if one == NAMESPACE else one for one in arguments]
        _become_helper(program, completed, waiting, output, is_ready)
    os.close(waiting)
    os.close(is_ready)
    enter_new_network()
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    # The program gives up most rights before it opens our namespace; who has more than it could not be looked at
    # (man 2 ptrace, access mode checking).
    set_capabilities(0)
    prctl(PR_SET_DUMPABLE, 1)
    os.write(entered, b"x")
    os.close(entered)
    _await_helper(program, helper, ready, output)
    channel.send(NetworkNamespace(), namespace)
    try:
        while True:  # pasta has left a child that does its work, which is ours by now
            os.wait()
    except ChildProcessError:
        name = os.path.basename(program)
        raise SandboxError(f"{name}, which connects RUN with the network, has ended{_complaint(output)}") from None


def _become_helper(program: str, arguments: list[str], waiting: int, output: int, is_ready: int) -> NoReturn:
    try:
        os.setsid()  # Ctrl-C is the main process's to answer
        reset_signals()
        for number, descriptor in ((1, output), (2, output), (READY, is_ready)):
            os.dup2(descriptor, number)
        close_on_exec_from(READY + (f"--ready-fd={READY}" in arguments))
        if os.read(waiting, 1):
            os.execve(program, [program, *arguments], _ENVIRONMENT)
    except OSError as error:
        os.write(2, f"{error.strerror}\n".encode())
    finally:
        os._exit(SETUP_FAILED)


def _await_helper(program: str, helper: int, ready: int, output: int) -> None:
    """Return once packets flow: slirp4netns says so, pasta's first process ends. Raises SandboxError."""
    if os.read(ready, 1):
        return
    code = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    if code != 0:
        end = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
        raise SandboxError(f"{program} could not be started ({end}){_complaint(output)}")


def _complaint(output: int) -> str:
    """What the program wrote, for the end of a message."""
    lines = os.pread(output, _OUTPUT_BYTES, 0).decode(errors="replace").splitlines()
    complaint = "; ".join(line.strip() for line in lines if line.strip() and not line.startswith(_NOISE))
    return f": {complaint}" if complaint else ""
