"""How long a server may keep us waiting, watched where the bytes arrive and leave: below http.client, above the socket.

    urllib3 ── http.client ── BufferedReader ── WatchedStream ── socket
                           └─ Sending ───────────────────────────┘

A timeout of the socket alone begins anew with every byte, so that a byte a minute lasts for ever. Here the head of an
answer has a deadline, its body and what we send a least rate, and all are asked between the bytes whether anybody still
wants them. A server that answers while we send (413, 401) is heard: sending ends, and the connection with it.
Only waiting counts: what we do with the bytes takes nobody's time but ours.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from builder.web.stretch import FileStretch

_SEND_BYTES = 256 << 10
_COMMITS = ("PUT", "PATCH")
_SLICE_SECONDS = 0.5
"""How often the question whether anybody still wants the answer is asked."""


class TooSlowError(TimeoutError):
    """A server that sends, but not enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What is waited for, in seconds and bytes."""

    connect_seconds: float = 15.0
    silence_seconds: float = 60.0
    """Until the next byte."""
    head_seconds: float = 60.0
    """Until the last byte of status and headers, 1xx answers before them included."""
    commit_seconds: float = 600.0
    """In place of both for the head of an answer to PUT and PATCH: registries digest and move what they got first."""
    window_seconds: float = 60.0
    window_bytes: int = 60 << 10
    """What has to arrive of a body, or to be taken of ours, within that much waiting: 1 KiB a second."""


PATIENCE = Patience()


class WatchedStream(io.RawIOBase):
    """The bytes of one answer. `check` is called while it waits, and may raise."""

    def __init__(
        self, raw: io.RawIOBase, connection: socket.socket, patience: Patience, check: Callable[[], None],
        is_commit: bool = False,
    ) -> None:  # fmt: skip
        """`is_commit`: it answers PUT or PATCH."""
        self._raw = raw
        self._is_commit = is_commit
        self._socket = connection
        self._patience = patience
        self._check = check
        self._in_head = True
        self._waited = 0.0
        self._received = 0

    def head_is_read(self) -> None:
        """From here on it is the body that arrives."""
        self._in_head, self._waited, self._received = False, 0.0, 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int:
        began = time.monotonic()
        while True:
            silent = time.monotonic() - began
            self._socket.settimeout(self._slice(silent))
            try:
                count = self._socket.recv_into(buffer)
            except TimeoutError:
                self._check()
                continue
            self._account(time.monotonic() - began, count)
            return count

    def close(self) -> None:
        self._raw.close()
        super().close()

    def _slice(self, silent: float) -> float:
        """Return how long to wait before the next look at the clock. Raises TimeoutError when time has run out."""
        left = self._patience.silence_seconds - silent
        if self._in_head and self._is_commit:
            left = self._patience.commit_seconds - self._waited - silent
        elif self._in_head:
            left = min(left, self._patience.head_seconds - self._waited - silent)
        if left > 0:
            return min(_SLICE_SECONDS, left)
        if not self._in_head:
            raise TooSlowError("it fell silent in the middle of its answer")
        raise TooSlowError("the headers of its answer do not end" if self._received else "it does not answer in time")

    def _account(self, seconds: float, count: int) -> None:
        self._waited += seconds
        self._received += count
        if self._in_head or not count or self._waited < self._patience.window_seconds:
            return
        if self._received < self._patience.window_bytes:
            raise TooSlowError(f"it is too slow: {self._received} bytes in {self._waited:.0f} seconds of waiting")
        self._waited, self._received = 0.0, 0


class Sending:
    """The way out of one connection. `check` is called while it waits, and may raise."""

    def __init__(self, patience: Patience, check: Callable[[], None]) -> None:
        self.is_cut = False
        """Whether an answer came before everything was sent: then nothing else may be sent on this connection."""
        self._patience = patience
        self._check = check
        self._waited = 0.0
        self._sent = 0

    def send(self, connection: socket.socket, data: Any) -> None:
        """Send all of `data`, bytes or a FileStretch.

        Raises BrokenPipeError when there is an answer already; TooSlowError, OSError, UnreadableError.
        """
        if not isinstance(data, FileStretch):
            self._send_bytes(connection, memoryview(data).cast("B"))
        elif type(connection) is not socket.socket:
            for block in data.blocks():
                self._send_bytes(connection, memoryview(block))
        else:
            while data.size:
                self._listen(connection)
                data = data.after(self._send_some(connection, partial(data.send, connection)))

    def _send_bytes(self, connection: socket.socket, rest: memoryview) -> None:
        while rest:
            self._listen(connection)
            rest = rest[self._send_some(connection, partial(_send, connection, rest[:_SEND_BYTES])) :]

    def _listen(self, connection: socket.socket) -> None:
        # TLS has bytes of its own to say, tickets among them: there something to read need not be an answer.
        if type(connection) is socket.socket and _is_readable(connection):
            self.is_cut = True
            raise BrokenPipeError("answered early")  # urllib3 reads the answer after this one

    def _send_some(self, connection: socket.socket, send: Callable[[float], int]) -> int:
        """Call `send` with the seconds it may take until it has sent something; return how many bytes."""
        began = time.monotonic()
        while True:
            silent = time.monotonic() - began
            if silent >= self._patience.silence_seconds:
                raise TooSlowError("it takes no more of what is sent to it")
            try:
                count = send(min(_SLICE_SECONDS, self._patience.silence_seconds - silent))
            except TimeoutError:
                self._check()
                self._listen(connection)
                continue
            self._account(time.monotonic() - began, count)
            return count

    def _account(self, seconds: float, count: int) -> None:
        self._waited += seconds
        self._sent += count
        if self._waited < self._patience.window_seconds:
            return
        if self._sent < self._patience.window_bytes:
            raise TooSlowError(f"it is too slow: it took {self._sent} bytes in {self._waited:.0f} seconds of waiting")
        self._waited, self._sent = 0.0, 0


def _send(connection: socket.socket, block: memoryview, seconds: float) -> int:
    connection.settimeout(seconds)
    return connection.send(block)


def _is_readable(connection: socket.socket) -> bool:
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(0))


class _WatchedResponse(http.client.HTTPResponse):
    def __init__(
        self, patience: Patience, check: Callable[[], None], sending: Sending, sock: socket.socket, *arguments: Any,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(sock, *arguments, **options)
        self._sending = sending
        is_commit = options.get("method") in _COMMITS
        self._stream = WatchedStream(self.fp.detach(), sock, patience, check, is_commit)
        self.fp = io.BufferedReader(self._stream)

    def begin(self) -> None:
        super().begin()
        self._stream.head_is_read()
        # The server still waits for the rest of our request: what came next would be taken for that.
        self.will_close = self.will_close or self._sending.is_cut


class _PlainConnection(HTTPConnection):
    def __init__(self, patience: Patience, check: Callable[[], None], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sending = Sending(patience, check)
        self.response_class = partial(_WatchedResponse, patience, check, self._sending)  # type: ignore[assignment]  # http.client calls it

    def connect(self) -> None:
        self._sending.is_cut = False
        super().connect()

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self._sending.send(self.sock, data)


class _SecureConnection(_PlainConnection, HTTPSConnection):
    """Watched in the same way, below TLS."""


def watch(manager: urllib3.PoolManager, patience: Patience, check: Callable[[], None]) -> urllib3.PoolManager:
    """Return `manager`, whose answers are watched from here on."""

    def plain(*arguments: Any, **options: Any) -> urllib3.HTTPConnectionPool:
        pool = urllib3.HTTPConnectionPool(*arguments, **options)
        pool.ConnectionCls = partial(_PlainConnection, patience, check)  # type: ignore[assignment]  # it is only called
        return pool

    def secure(*arguments: Any, **options: Any) -> urllib3.HTTPSConnectionPool:
        pool = urllib3.HTTPSConnectionPool(*arguments, **options)
        pool.ConnectionCls = partial(_SecureConnection, patience, check)  # type: ignore[assignment]  # it is only called
        return pool

    manager.pool_classes_by_scheme = {"http": plain, "https": secure}  # type: ignore[dict-item]  # they are only called
    return manager
