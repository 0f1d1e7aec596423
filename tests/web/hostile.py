"""A server that means harm, as rows of a table: an answer is bytes to send, pauses between them, and perhaps no end.

    Row("a refusal that goes on", endless(b"x", after=answer("404 No")), "the server answered 404")

The first request of a connection is read, then the answer goes out until it ends or the client has gone. Loopback only.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from builder.web.patience import Patience

HURRY = Patience(connect_seconds=2, silence_seconds=0.6, head_seconds=0.8, window_seconds=0.6, window_bytes=2000)
"""Little patience, for tests."""
WITHIN_SECONDS = 20
"""Less than any of these answers takes, more than HURRY and a busy machine need."""
DRAINED_BYTES = 16 << 20
"""More than lies in the buffers of two sockets: who took that much has read it."""

Script = Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Row:
    """One answer, and what becomes of it: as a file of ADD, and as a manifest. A text is part of the error."""

    name: str
    script: Script
    file: bytes | str
    registry: bytes | str = ""
    """Empty: the error of `file`."""


def endless(block: bytes, pause: float = 0.0, *, after: bytes = b"") -> Script:
    """`after` once, then `block` for ever, with pauses of so many seconds."""

    def script() -> Iterator[bytes]:
        yield after
        while True:
            yield block
            time.sleep(pause)

    return script


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@dataclass
class HostileServer:
    """Serves scripts by path; `sent` counts the bytes that left. A context manager."""

    scripts: dict[str, Script] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    sent: int = 0

    def __enter__(self) -> HostileServer:
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in (self._socket, *self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._connections.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536) or b"\r\n\r\n"
            self.requests.append(head.decode("latin-1"))
            path = head.split(b" ")[1].decode("latin-1") if b" " in head else ""
            for piece in (self.scripts.get(path) or self.scripts[""])():
                if self._over.is_set():
                    return
                connection.sendall(piece)
                self.sent += len(piece)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)  # until the client has gone, or a while


OK = answer("200 OK", "Content-Length: 5", body=b"hello")
BLOCK = b"x" * 65536


def once(*pieces: bytes) -> Script:
    return lambda: pieces


def moved(*headers: str) -> bytes:
    return answer("302 Found", "Location: /ok", *headers)


ROWS = (
    # Bodies without end. Of a redirect and a refusal nobody wants the body; /ok says "hello" to ADD, 404 to a registry.
    Row("302, no length", endless(BLOCK, after=moved()), b"hello", "not found"),
    Row("302, a length", endless(BLOCK, after=moved("Content-Length: 99999999999")), b"hello", "not found"),
    Row("302, a short length, and silence", endless(b"", 0.1, after=moved("Content-Length: 9")), b"hello", "not found"),
    Row("302, chunked", endless(b"10000\r\n" + BLOCK + b"\r\n", after=moved("Transfer-Encoding: chunked")), b"hello",
        "not found"),
    Row("401", endless(BLOCK, after=answer("401 No", 'WWW-Authenticate: Basic realm="x"')), "401 No", "denied"),
    Row("404", endless(BLOCK, after=answer("404 No")), "404 No", "not found"),
    Row("500", endless(BLOCK, after=answer("500 Oh")), "500 Oh", "the registry failed"),
    Row("200", endless(BLOCK, after=answer("200 OK")), "longer than 1000000 bytes", "longer than"),
    # Heads without end.
    Row("headers without end", endless(b"X-A: b\r\n", after=b"HTTP/1.1 200 OK\r\n"), "malformed"),
    Row("a header of 10 MB", once(b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * (10 << 20)), "a line of its headers is too long"),
    Row("a status of 10 MB", once(b"HTTP/1.1 200 " + b"a" * (10 << 20)), "a line of its headers is too long"),
    Row("1xx without end", endless(b"HTTP/1.1 100 Go\r\n\r\n", 0.01), "the headers of its answer do not end"),
    Row("a slow head", endless(b"H", 0.1), "the headers of its answer do not end"),
    Row("a slow header", endless(b"a", 0.1, after=b"HTTP/1.1 200 OK\r\nX-A: "), "the headers of its answer do not end"),
    # Slow.
    Row("no answer", endless(b"", 0.1), "it does not answer in time"),
    Row("a body that falls silent", endless(b"", 0.1, after=answer("200 OK", body=b"x")), "it fell silent"),
    Row("a slow body", endless(b"x", 0.1, after=answer("200 OK")), "it is too slow: "),
    Row("slow chunks", endless(b"1\r\nx\r\n", 0.1, after=answer("200 OK", "Transfer-Encoding: chunked")),
        "it is too slow: "),
    Row("a slow size of a chunk", endless(b"0", 0.1, after=answer("200 OK", "Transfer-Encoding: chunked")),
        "it is too slow: "),
    # Redirects.
    Row("a redirect to itself", once(answer("302 Found", "Location: /")), "redirects more than 10 times"),
    Row("a redirect to a file", once(answer("302 Found", "Location: file:///etc/passwd")), "file is not one of"),
    Row("a redirect to ftp", once(answer("301 Moved", "Location: ftp://127.0.0.1/")), "ftp is not one of http, https"),
    Row("a redirect to data", once(answer("307 Moved", "Location: data:,x")), "it is no URL"),
    Row("a redirect to no address", once(answer("302 Found", "Location: http://[::1")), "cannot be used as an address"),
    Row("a redirect to no port", once(answer("302 Found", "Location: http://h:x/")), "its port is not a number"),
    Row("a redirect without a place", once(answer("302 Found")), "the server answered 302 Found", "HTTP 302"),
    # Lengths.
    Row("cut short", once(answer("200 OK", "Content-Length: 9", body=b"hello")), "cut short"),
    Row("longer than it says", once(answer("200 OK", "Content-Length: 5", body=b"hello, world")), b"hello",
        b"hello"),
    Row("a length of 400 digits", once(answer("200 OK", f"Content-Length: {'9' * 400}", body=b"x")), "says that it",
        "cut short"),
    Row("a length of 5000 digits", once(answer("200 OK", f"Content-Length: {'9' * 5000}", body=b"x")), "says that it",
        b"x"),
    Row("a negative length", once(answer("200 OK", "Content-Length: -5", body=b"x")), "is '-5' bytes long", b"x"),
    Row("a length in words", once(answer("200 OK", "Content-Length: five", body=b"x")), "is 'five' bytes", b"x"),
    Row("a superscript length", once(answer("200 OK", "Content-Length: \xb2", body=b"xx")), "is '²' bytes",
        b"xx"),
    Row("two lengths", once(answer("200 OK", "Content-Length: 1", "Content-Length: 2", body=b"x")), "contradict"),
    Row("chunks cut short", once(answer("200 OK", "Transfer-Encoding: chunked", body=b"5\r\nhel")), "cut short"),
    Row("chunks without an end", once(answer("200 OK", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n")), "cut short"),
    Row("a chunk of nonsense", once(answer("200 OK", "Transfer-Encoding: chunked", body=b"zz\r\nx\r\n")), "cut short"),
    # No HTTP.
    Row("nothing", once(), "it closed the connection without an answer"),
    Row("another protocol", once(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "it does not answer in HTTP"),
    Row("a status of 400 digits", once(b"HTTP/1.1 " + b"2" * 400 + b" OK\r\n\r\n"), "it does not answer in HTTP"),
    Row("bytes", once(bytes(range(256)) * 400), "it does not answer in HTTP|too long"),
)  # fmt: skip
