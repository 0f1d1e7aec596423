"""The channel of one run, from inside: what the process that sets it up tells the thread that waits for it.

Comes in: a descriptor of a SOCK_SEQPACKET socket. Goes out: JSON messages, one a packet, some with a descriptor.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass

from builder.errors import SandboxError
from builder.linux.mount import descriptor_path
from builder.sandbox.mounts.mount_points import Stub
from builder.sandbox.refusal import errno_of
from builder.sandbox.spec import SshMount

SETUP_FAILED = 125
"""Exit code of a child that could not start its command; the reason went over the channel."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The socket to the thread that waits for this run: JSON messages, some with a descriptor."""

    descriptor: int

    def report_stub(self, stub: Stub, parent: int) -> None:
        self._send({"stub": asdict(stub)}, parent)

    def report_listener(self, agent: str, listener: int) -> None:
        self._send({"agent": agent}, listener)

    def report_network(self, namespace: int) -> None:
        self._send({"network": True}, namespace)

    def report_exit(self, status: int) -> None:
        self._send({"exit": status})

    def report_failure(self, error: Exception) -> None:
        message, hint = str(error) or type(error).__name__, ""
        if isinstance(error, SandboxError):
            message, hint = error.message, error.hint
        elif isinstance(error, OSError) and error.strerror:
            message = error.strerror + (f": {error.filename}" if error.filename else "")
        self._send({"error": message, "hint": hint, "errno": errno_of(error)})

    def _send(self, message: dict[str, object], *descriptors: int) -> None:
        with socket.socket(fileno=os.dup(self.descriptor)) as channel:
            socket.send_fds(channel, [json.dumps(message).encode()], descriptors)


class AgentSockets:
    """Makes sockets that stand for an SSH agent's; the waiting thread answers them (ssh_relay.py)."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def listen(self, path: str, mount: SshMount) -> None:
        folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                # By descriptor: the path of a socket has room for 107 bytes only (man 7 unix).
                listener.bind(f"{descriptor_path(folder)}/{os.path.basename(path)}")
                listener.listen(16)
                self._channel.report_listener(mount.socket, listener.fileno())
        finally:
            os.close(folder)
