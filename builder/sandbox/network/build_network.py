"""The network that all runs of one build share, from the side of the sandbox that runs them.

`start` has the fork server make a keeper (keeper.py) and returns at once; `connect` waits for it, which a run pays
only when it comes before the program is ready (20 to 40 ms). One namespace serves a whole build, so that its runs see
each other's servers, as on one machine; that of another build is another.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from dataclasses import replace
from typing import assert_never

from builder.errors import Cancelled, SandboxError
from builder.linux.cancel import Cancel
from builder.sandbox.mounts.mount_points import Stub
from builder.sandbox.network.keeper import keeper_payload
from builder.sandbox.network.source import NetworkSource, OwnNetwork, SharedNetwork
from builder.sandbox.process.channel import receive
from builder.sandbox.process.fork_server import ForkServer, Request
from builder.sandbox.process.messages import AgentListener, Exit, NetworkNamespace, RunMessage, SetupFailure
from builder.sandbox.spec import HOST_GATEWAY, SandboxSpec

_LONGEST_SECONDS = 30.0
_LOOPBACK = "127.0.0.1"
_WAY_OUT = "Without it, RUN can have this machine's network (--network host) or none (--network none)."


class BuildNetwork:
    """Thread-safe."""

    def __init__(self, fork_server: ForkServer, source: NetworkSource) -> None:
        self.source = source
        self._fork_server = fork_server
        self._lock = threading.Lock()
        self._keeper: socket.socket | None = None
        self._namespace: int | None = None
        self._failure: SandboxError | None = None

    @property
    def shared_reason(self) -> str:
        """Why runs share this machine's network, or "" when they have one of their own."""
        return self.source.reason if isinstance(self.source, SharedNetwork) else ""

    def start(self) -> None:
        """Have the network made, when it is one of its own; not waited for. Raises SandboxError."""
        if not isinstance(self.source, OwnNetwork):
            return
        with self._lock:
            if self._keeper is None:
                payload = keeper_payload(self.source.program, self.source.arguments)
                request = Request(namespaces=True, own_network=False, payload=payload)
                null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                try:
                    self._keeper = self._fork_server.launch(request, null, null, null)
                finally:
                    os.close(null)

    def connect(self, spec: SandboxSpec, cancel: Cancel) -> tuple[SandboxSpec, int | None]:
        """Return what `spec` means here, and a descriptor of the namespace to join. Raises SandboxError, Cancelled."""
        if spec.network != "default":
            return _with_gateway(spec, _LOOPBACK), None
        if not isinstance(self.source, OwnNetwork):
            return _with_gateway(replace(spec, network="shared"), _LOOPBACK), None
        namespace = self.join(cancel)
        return _with_gateway(replace(spec, resolv_conf=self.source.resolv_conf), ""), namespace

    def join(self, cancel: Cancel) -> int:
        """Wait for the network; return a descriptor of its namespace, which this object keeps. Raises as `connect`."""
        self.start()
        with self._lock:
            # With the lock held: whoever comes meanwhile waits for the same.
            deadline = time.monotonic() + _LONGEST_SECONDS
            # Once it is there the keeper may still have something to say: that it has ended, and why.
            while self._receive(0.0 if self._namespace is not None else deadline, cancel) or self._namespace is None:
                if cancel.is_set():
                    raise Cancelled("the build was stopped")
                if time.monotonic() > deadline:
                    raise self._failed(f"it was not ready after {_LONGEST_SECONDS:.0f} seconds")
            return self._namespace

    def close(self) -> None:
        """End the keeper, and with it the network; not waited for. Does nothing when there is none."""
        with self._lock:
            if self._keeper is not None:
                # Its end of the channel is the signal: the fork server kills a run whose other end is closed
                # (fork_loop.py).
                self._keeper.close()
            if self._namespace is not None:
                os.close(self._namespace)
            self._keeper = self._namespace = self._failure = None

    def _receive(self, deadline: float, cancel: Cancel) -> bool:
        """Wait until `deadline` for what the keeper says; say whether there was anything. Raises SandboxError."""
        assert self._keeper is not None, "it was started"
        poll = select.poll()
        poll.register(self._keeper, select.POLLIN)
        poll.register(cancel, select.POLLIN)
        milliseconds = max(0.0, deadline - time.monotonic()) * 1000
        if self._failure is None and self._keeper.fileno() in dict(poll.poll(milliseconds)):
            received = receive(self._keeper)
            if received is None:
                raise self._fork_server.gone()
            self._handle(*received)
            return True
        if self._failure is not None:
            raise self._failure
        return False

    def _handle(self, message: RunMessage, descriptors: list[int]) -> None:
        match message:
            case NetworkNamespace():
                self._namespace = descriptors[0]
            case SetupFailure():
                self._failure = self._failed(message.message)
            case Exit():
                self._failure = self._failure or self._failed("the process that holds it was killed")
            case Stub() | AgentListener():
                raise AssertionError("a keeper mounts nothing")
            case _:
                assert_never(message)

    def _failed(self, reason: str) -> SandboxError:
        return SandboxError(f"no network for RUN: {reason}", hint=_WAY_OUT)


def _with_gateway(spec: SandboxSpec, address: str) -> SandboxSpec:
    """Put the machine's address, "" where a run cannot reach it, in place of HOST_GATEWAY. Raises SandboxError."""
    if HOST_GATEWAY not in (found for _, found in spec.options.add_hosts):
        return spec
    if not address:
        raise SandboxError(
            f"{HOST_GATEWAY} has no address: the network of RUN does not lead to this machine",
            hint="With --network host it is 127.0.0.1.",
        )
    hosts = tuple((name, address if found == HOST_GATEWAY else found) for name, found in spec.options.add_hosts)
    return replace(spec, options=spec.options._replace(add_hosts=hosts))
