"""One request to the fork server, from the side that waits: launched, followed to its end, cleaned up after."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from types import MappingProxyType
from typing import assert_never

from builder.errors import Cancelled, SandboxError
from builder.linux.cancel import Cancel
from builder.sandbox.mounts.mount_points import Stub, remove_stub
from builder.sandbox.process.channel import receive
from builder.sandbox.process.fork_server import ForkServer, Request
from builder.sandbox.process.messages import (
    AgentListener,
    Exit,
    NetworkNamespace,
    RunMessage,
    SetupFailure,
    Signal,
    to_json,
)
from builder.sandbox.process.ssh_relay import SshRelay
from builder.sandbox.process.standard_streams import Pipe, output_pipes
from builder.sandbox.refusal import with_errno
from builder.sandbox.spec import ExitStatus, OnOutput

Take = Callable[[], bool]
"""Takes what a descriptor has; False when nothing more will come there."""
BeforeWait = Callable[[], int | None]
"""Called before each wait; returns how many milliseconds that may take, None for as long as it does."""

_NOTHING: Mapping[int, Take] = MappingProxyType({})
_PIECE_BYTES = 65536


def run_request(
    fork_server: ForkServer,
    request: Request,
    *,
    on_output: OnOutput,
    cancel: Cancel,
    open_pipes: Callable[[], tuple[Pipe, Pipe]] = output_pipes,
) -> ExitStatus:
    """Launch a request, its stdin empty and its output read, and return its status. Raises as Sandbox.run."""
    if cancel.is_set():
        raise Cancelled("the build was stopped")
    with ExitStack() as stack:
        null = _owned(stack, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        (out, out_write), (err, err_write) = open_pipes()
        _owned(stack, out)
        _owned(stack, err)
        try:
            channel = fork_server.launch(request, null, out_write, err_write)
        finally:
            os.close(out_write)
            os.close(err_write)
        connection = stack.enter_context(Connection(fork_server, channel))
        outputs = {read: partial(_pass_on, read, number, on_output) for read, number in ((out, 1), (err, 2))}
        cancelled = False

        def stop() -> bool:
            nonlocal cancelled
            cancelled = True
            connection.shutdown()
            return False

        try:
            status = connection.follow(outputs, inputs={cancel.fileno(): stop})
        except SandboxError:
            # After a cancel every failure is of its making.
            if not cancelled:
                raise
        if cancelled:
            raise Cancelled("the build was stopped")
        return status


class Connection:
    """One run's channel, and what has been learned over it."""

    def __init__(self, fork_server: ForkServer, channel: socket.socket) -> None:
        self._fork_server = fork_server
        self._channel = channel
        self._stubs: list[tuple[Stub, int]] = []
        self._relays: list[SshRelay] = []
        self._failure: SandboxError | None = None
        self._status: int | None = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        while self._status is None:  # an exception in on_output: the run must be over before its root is touched
            self._receive()
        self._channel.close()
        for relay in self._relays:
            relay.close()
        # The last one first: it may lie in one that was made before it.
        for stub, parent in reversed(self._stubs):
            remove_stub(stub, parent)
            os.close(parent)

    def follow(
        self,
        outputs: Mapping[int, Take],
        before_wait: BeforeWait = lambda: None,
        inputs: Mapping[int, Take] = _NOTHING,
    ) -> ExitStatus:
        """Go on until the run has ended and all of `outputs` have, taking what comes there and at `inputs`.

        Raises SandboxError when the run could not be started.
        """
        poll = select.poll()
        taking = {**outputs, **inputs}
        for descriptor in (*taking, self._channel.fileno()):
            poll.register(descriptor, select.POLLIN)
        left = set(outputs)
        while left or self._status is None:
            ready = {descriptor for descriptor, _ in poll.poll(before_wait())}
            if self._channel.fileno() in ready:
                self._receive()
                if self._status is not None:
                    poll.unregister(self._channel)
            for descriptor in [each for each in taking if each in ready]:  # stdout before stderr, as they were given
                if not taking[descriptor]():
                    poll.unregister(descriptor)
                    del taking[descriptor]
                    left.discard(descriptor)
        if self._failure is not None:
            raise self._failure
        assert self._status is not None
        return exit_status(self._status)

    def signal(self, number: int) -> None:
        """Send the command a signal."""
        with suppress(OSError):  # it has ended
            self._channel.send(to_json(Signal(number)))

    def shutdown(self) -> None:
        """Kill the run."""
        with suppress(OSError):  # the other end is gone already
            self._channel.shutdown(socket.SHUT_WR)

    def _receive(self) -> None:
        received = receive(self._channel)
        if received is None:
            self._failure = self._failure or self._fork_server.gone()
            self._status = 0
            return
        self._handle(*received)

    def _handle(self, message: RunMessage, descriptors: list[int]) -> None:
        match message:
            case Stub():
                self._stubs.append((message, descriptors[0]))
            case AgentListener(agent):
                self._relays.append(SshRelay(descriptors[0], agent))
            case SetupFailure():
                self._failure = with_errno(SandboxError(message.message, hint=message.hint), message.errno)
            case Exit(status):
                self._status = status
            case NetworkNamespace():
                raise AssertionError("only a keeper has one to give")
            case _:
                assert_never(message)


def exit_status(status: int) -> ExitStatus:
    """Translate what waitpid(2) gives."""
    code = os.waitstatus_to_exitcode(status)
    return ExitStatus(128 - code, -code) if code < 0 else ExitStatus(code)


def _pass_on(descriptor: int, number: int, on_output: OnOutput) -> bool:
    data = os.read(descriptor, _PIECE_BYTES)
    if data:
        on_output(number, data)
    return bool(data)


def _owned(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor
