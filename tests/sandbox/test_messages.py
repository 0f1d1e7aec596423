"""What the processes of a sandbox say to each other: every message arrives as it was sent."""

from __future__ import annotations

import os
import socket

import pytest

from builder.errors import SandboxError
from builder.sandbox.mounts.mount_points import Stub
from builder.sandbox.process.channel import Channel, receive
from builder.sandbox.process.messages import (
    AgentListener,
    Broken,
    Exit,
    Launch,
    NetworkNamespace,
    Ready,
    RunMessage,
    ServerState,
    SetupFailure,
    Signal,
    launch_from_json,
    run_message_from_json,
    signal_from_json,
    state_from_json,
    to_json,
)

STUB = Stub(name="é\udcff", device=1, inode=2, directory=True, parent_mtime_before=3, parent_mtime_after=4)
RUN_MESSAGES = (
    STUB,
    AgentListener("/run/agent"),
    NetworkNamespace(),
    SetupFailure(message='no "x"', hint="", errno=13),
    Exit(256),
)


@pytest.mark.parametrize("message", RUN_MESSAGES)
def test_what_comes_of_a_run_is_decoded_exactly(message: RunMessage) -> None:
    assert run_message_from_json(to_json(message)) == message


@pytest.mark.parametrize("state", [Ready(), Broken("ZeroDivisionError: 1/0")])
def test_what_the_fork_server_says_of_itself_is_decoded_exactly(state: ServerState) -> None:
    assert state_from_json(to_json(state)) == state


def test_what_the_fork_server_is_asked_for_is_decoded_exactly() -> None:
    launch = Launch(namespaces=True, own_network=False, group="/sys/fs/cgroup/x")
    assert launch_from_json(to_json(launch)) == launch
    assert signal_from_json(to_json(Signal(15))) == Signal(15)


def test_a_message_that_does_not_belong_there_is_refused() -> None:
    """Each end decodes what is meant for it, so that a mistake is seen where it is made."""
    with pytest.raises(AssertionError):
        run_message_from_json(to_json(Ready()))
    with pytest.raises(AssertionError):
        state_from_json(to_json(Exit(0)))


def test_a_channel_carries_messages_with_descriptors_and_then_its_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(theirs.fileno())
    channel.send(STUB, 0)
    failure = SandboxError("cannot mount", hint="try again")
    failure.__cause__ = OSError(13, "no")
    channel.report_failure(failure)
    channel.report_failure(FileNotFoundError(2, "no such file", "/x"))
    theirs.close()
    with ours:
        first = receive(ours)
        assert first is not None
        message, (descriptor,) = first
        assert message == STUB
        assert os.path.sameopenfile(descriptor, 0)
        os.close(descriptor)
        assert receive(ours) == (SetupFailure(message="cannot mount", hint="try again", errno=13), [])
        assert receive(ours) == (SetupFailure(message="no such file: /x", hint="", errno=2), [])
        assert receive(ours) is None
