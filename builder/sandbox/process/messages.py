"""What the processes of a sandbox say to each other: frozen values, each of them one packet of JSON.

    control socket    main process ──▶ fork server      Launch
                      main process ◀── fork server      Ready, or Broken
    channel           waiting thread ──▶ fork server    Signal; its writing side closed: kill the run
                      waiting thread ◀── the run        Stub, AgentListener, NetworkNamespace, SetupFailure
                      waiting thread ◀── fork server    Exit, always the last

One packet is {"type": "Exit", "status": 0}. Descriptors travel beside it (man 7 unix, SCM_RIGHTS).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, get_args

from builder.sandbox.mounts.mount_points import Stub

PACKET_BYTES = 65536
"""More than any message takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start a run; with descriptors of its payload, stdin, stdout, stderr, channel, and network namespace, if any."""

    namespaces: bool
    """Whether the child gets namespaces of its own."""

    own_network: bool
    group: str
    """Path of the control group to be born in, if that can be had; empty for none."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The fork server takes requests."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The fork server ends, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Signal:
    """Send the run this signal."""

    number: int


@dataclass(frozen=True, slots=True)
class AgentListener:
    """A listening socket, the descriptor, stands for the SSH agent at the host path `agent`."""

    agent: str


@dataclass(frozen=True, slots=True)
class NetworkNamespace:
    """The build's network is ready; the descriptor is that of its namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupFailure:
    """The command was not started."""

    message: str
    hint: str
    errno: int
    """Of the system call that failed; 0 when none did."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The run is over."""

    status: int
    """As waitpid(2) gives it."""


ServerState = Ready | Broken
RunMessage = Stub | AgentListener | NetworkNamespace | SetupFailure | Exit
"""Comes over the channel. A Stub has a descriptor of the directory it was made in."""

Message = Launch | ServerState | Signal | RunMessage

_TYPES: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Message)}


def to_json(message: Message) -> bytes:
    """Encode one packet."""
    members = {one.name: getattr(message, one.name) for one in fields(message)}
    return json.dumps({"type": type(message).__name__, **members}).encode()


def launch_from_json(packet: bytes) -> Launch:
    """Decode what the fork server is asked for."""
    message = _from_json(packet)
    assert isinstance(message, Launch)
    return message


def state_from_json(packet: bytes) -> ServerState:
    """Decode what the fork server says of itself."""
    message = _from_json(packet)
    assert isinstance(message, ServerState)
    return message


def signal_from_json(packet: bytes) -> Signal:
    """Decode what a run is sent."""
    message = _from_json(packet)
    assert isinstance(message, Signal)
    return message


def run_message_from_json(packet: bytes) -> RunMessage:
    """Decode what comes of a run."""
    message = _from_json(packet)
    assert isinstance(message, RunMessage)
    return message


def _from_json(packet: bytes) -> Message:
    members = json.loads(packet)
    # From a process that we forked: what it says is not checked as a stranger's would be.
    message: Message = _TYPES[members.pop("type")](**members)
    return message
