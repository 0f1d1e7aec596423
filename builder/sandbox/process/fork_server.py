"""The fork server: a small single-threaded process, forked while no other thread exists, that forks every RUN.

    main process ── control socket ──▶ fork server ── clone ──▶ one child a run
      a thread   ◀── one channel a run ──┘

This is the main process's end; what the fork server does is fork_loop.py, what the two say is messages.py. When the
main process goes away, however it does, the fork server gets SIGKILL, and with it, as pid 1 of a process-id namespace,
everything it ever started. Every wait for it has an end.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

from builder.errors import SandboxError
from builder.linux.process import CLONE_NEWPID, clone, reap
from builder.sandbox.namespace import check_alone
from builder.sandbox.process.fork_loop import Child, become_fork_server
from builder.sandbox.process.messages import PACKET_BYTES, Broken, Launch, Ready, ServerState, state_from_json, to_json

_READY_SECONDS = 30.0
"""How long a fork server may take to begin, which is a thousandth of this on an idle machine."""
_END_SECONDS = 2.0
"""How long a fork server whose end of a socket is closed may take to be seen as ended."""
_CLOSE_SECONDS = 5.0
"""How long a fork server may take to end what it started before it is killed, and then to be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one run needs."""

    namespaces: bool
    """Whether the child gets namespaces of its own."""

    own_network: bool
    payload: bytes
    """For the child to understand."""

    network: int | None = None
    """Descriptor of a network namespace to join."""

    group: str = ""
    """Path of the control group to be born in, if that can be had."""


class ForkServer:
    """The main process's end. Thread-safe."""

    def __init__(self, child: Child, *, namespaces: bool) -> None:
        """Fork the fork server and wait until it is ready.

        Raises OSError, and SandboxError when this process has other threads or the fork server does not get ready.
        """
        check_alone("start the process that starts commands")
        # SOCK_SEQPACKET: a message stays whole, its descriptors stay with it, and an end that closes is seen.
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = Lock()
        self._status: int | None = None  # as waitpid(2) gives it, once there is one
        gc.collect()
        gc.freeze()  # what is there now will not be written to by a collector in the children
        # Born as pid 1 of a namespace, so that its end is the end of everything below it.
        self.pid = clone(CLONE_NEWPID) if namespaces else os.fork()
        if self.pid == 0:
            become_fork_server(theirs.detach(), child)
        gc.unfreeze()
        theirs.close()
        try:
            self._await_ready()
        except BaseException:
            self._kill()
            raise

    def launch(self, request: Request, stdin: int, stdout: int, stderr: int) -> socket.socket:
        """Start a run and return its channel. Raises SandboxError when the fork server is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Not in the packet, whose size is limited (man 7 socket, wmem_default): a spec may hold files and secrets.
        memory = os.memfd_create("request")
        try:
            with open(os.dup(memory), "wb") as file:
                file.write(request.payload)
            launch = Launch(
                namespaces=request.namespaces, own_network=request.own_network, group=request.group
            )  # fmt: skip
            network = [] if request.network is None else [request.network]
            socket.send_fds(
                self._control, [to_json(launch)], [memory, stdin, stdout, stderr, theirs.fileno(), *network]
            )
        except OSError as error:
            ours.close()
            raise self.gone() from error
        finally:
            os.close(memory)
            theirs.close()
        return ours

    def gone(self, reason: str = "") -> SandboxError:
        """Return what to raise when the fork server does not answer as it should: how it ended, and why."""
        self._ended(_END_SECONDS)
        details = [one for one in (_ending(self._status), reason or self._last_reason()) if one]
        hint = ""
        if self._status == signal.SIGKILL:
            hint = "It was killed, as happens when the machine runs out of memory."
        return SandboxError(f"the process that starts commands is gone ({': '.join(details)})", hint=hint)

    def close(self) -> None:
        """End the fork server and everything it started, and reap it; it is killed if it does not end itself."""
        self._control.close()
        try:
            self._ended(_CLOSE_SECONDS)
        finally:
            if self._status is None:
                self._kill()

    def _await_ready(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(_READY_SECONDS * 1000):
            raise SandboxError(
                f"the process that starts commands was not ready within {_READY_SECONDS:.0f} s",
                hint="Try again when the machine is less busy.",
            )
        match self._receive():
            case Ready():
                return
            case Broken(reason):
                raise self.gone(reason)
            case None:
                raise self.gone()

    def _receive(self, flags: int = 0) -> ServerState | None:
        """Return the next message of the fork server; None when its end is closed. Raises OSError."""
        packet = self._control.recv(PACKET_BYTES, flags)
        return state_from_json(packet) if packet else None

    def _last_reason(self) -> str:
        for _ in range(2):  # the first may tell of a request that was never read (man 7 unix, ECONNRESET)
            with suppress(OSError):
                match self._receive(socket.MSG_DONTWAIT):
                    case Broken(reason):
                        return reason
                    case Ready() | None:
                        return ""
        return ""

    def _kill(self) -> None:
        self._control.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._ended(_CLOSE_SECONDS)

    def _ended(self, seconds: float) -> bool:
        with self._lock:  # several threads may find it gone at once, and only one of them can reap it
            if self._status is None:
                try:
                    self._status = reap(self.pid, seconds)
                except ChildProcessError:  # somebody else in this process has reaped it
                    self._status = 0
        return self._status is not None


def _ending(status: int | None) -> str:
    if status is None:
        return "it does not answer"
    code = os.waitstatus_to_exitcode(status)
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
