"""The channel of one run: a SOCK_SEQPACKET socket between the process that sets it up and the thread that waits.

The one sends messages (messages.py), some with a descriptor, and the other receives them.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from builder.errors import SandboxError
from builder.sandbox.process.messages import (
    PACKET_BYTES,
    AgentListener,
    RunMessage,
    SetupFailure,
    run_message_from_json,
    to_json,
)
from builder.sandbox.process.ssh_relay import listen_at
from builder.sandbox.refusal import errno_of
from builder.sandbox.spec import SshMount

SETUP_FAILED = 125
"""Exit code of a child that could not start its command; the reason went over the channel."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The end of the process that sets up the run."""

    descriptor: int

    def send(self, message: RunMessage, *descriptors: int) -> None:
        """Send a message, and descriptors, which stay open here. Raises OSError."""
        # A copy: the object closes what it has, and this channel is used again.
        with socket.socket(fileno=os.dup(self.descriptor)) as channel:
            socket.send_fds(channel, [to_json(message)], descriptors)

    def listen(self, path: str, mount: SshMount) -> None:
        """Make a socket at `path` that stands for an SSH agent's; the waiting thread answers it. Raises OSError."""
        with listen_at(path) as listener:
            self.send(AgentListener(mount.socket), listener.fileno())

    def report_failure(self, error: Exception) -> None:
        """Say that the command is not started, because of `error`. Raises OSError."""
        message, hint = str(error) or type(error).__name__, ""
        if isinstance(error, SandboxError):
            message, hint = error.message, error.hint
        elif isinstance(error, OSError) and error.strerror:
            message = error.strerror + (f": {error.filename}" if error.filename else "")
        self.send(SetupFailure(message=message, hint=hint, errno=errno_of(error)))


def receive(channel: socket.socket) -> tuple[RunMessage, list[int]] | None:
    """Wait for the next message and its descriptors; None when nobody has the other end any more."""
    try:
        packet, descriptors, _, _ = socket.recv_fds(channel, PACKET_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:  # closed over there with something of ours unread (man 7 unix)
        return None
    return (run_message_from_json(packet), descriptors) if packet else None
