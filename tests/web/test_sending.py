"""What is sent to a server that takes it slowly, not at all, or answers before it has everything."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from tempfile import TemporaryFile
from threading import Thread

import pytest

from builder.errors import Cancelled, RegistryError
from builder.registry.connection import Connection
from builder.registry.endpoint import Endpoint
from builder.web.patience import Patience, Sending
from builder.web.stretch import FileStretch, UnreadableError
from tests.web.hostile import WITHIN_SECONDS

HURRY = Patience(silence_seconds=1.0, window_seconds=0.5, window_bytes=64 << 20)
BODY = bytes(16 << 20)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(10)
        yield server


def put(server: socket.socket, connection: Connection, *, from_file: bool = False) -> int:
    host = f"127.0.0.1:{server.getsockname()[1]}"
    with TemporaryFile() as file:
        file.truncate(len(BODY))

        def stretches() -> Generator[FileStretch]:
            yield FileStretch(file.fileno(), 0, len(BODY))

        response = connection.request(
            "PUT", f"http://{host}/", {"Content-Length": str(len(BODY))}, endpoint=Endpoint(host, host, "http"),
            body=stretches if from_file else BODY, attempts=1,
        )  # fmt: skip
    response.release_conn()
    return response.status


def test_a_server_that_takes_nothing_more_is_given_up(listener: socket.socket) -> None:
    began = time.monotonic()
    with pytest.raises(RegistryError, match="it takes no more of what is sent to it"):
        put(listener, Connection(patience=HURRY), from_file=True)
    assert time.monotonic() - began < WITHIN_SECONDS


def test_a_server_that_takes_bytes_one_by_one_is_given_up(listener: socket.socket) -> None:
    def slowly() -> None:
        taker, _ = listener.accept()
        with closing(taker):
            while taker.recv(1 << 20):
                time.sleep(0.2)

    thread = Thread(target=slowly)
    thread.start()
    with pytest.raises(RegistryError, match="it is too slow: it took"):
        put(listener, Connection(patience=HURRY))
    thread.join()


def test_nobody_sends_what_is_no_longer_wanted(listener: socket.socket) -> None:
    began = time.monotonic()
    with pytest.raises(Cancelled):
        put(listener, Connection(cancelled=lambda: time.monotonic() - began > 0.5), from_file=True)
    assert time.monotonic() - began < WITHIN_SECONDS


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_an_early_answer_is_heard_and_its_connection_not_used_again(listener: socket.socket, late: float) -> None:
    taken: list[socket.socket] = []

    def refuse() -> None:
        for _ in range(2):
            taker, _ = listener.accept()
            taken.append(taker)  # stays open: only the client can end it
            taker.recv(1000)
            time.sleep(late)
            taker.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    thread = Thread(target=refuse)
    thread.start()
    connection = Connection()
    assert put(listener, connection, from_file=True) == 413
    assert put(listener, connection) == 413
    thread.join()
    assert len(taken) == 2
    for each in taken:
        each.close()


class _Encrypting(socket.socket):
    """As TLS, no socket that the kernel could write a file to."""


@pytest.fixture(params=["sendfile", "a file system that can't", "encrypted"])
def pair(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection, the first of which sends files in one way or another."""

    def refuse(*_: int) -> int:
        raise OSError(errno.EINVAL, "no")

    ours, theirs = socket.socketpair()
    if request.param == "encrypted":
        ours = _Encrypting(fileno=ours.detach())
    if request.param != "sendfile":
        monkeypatch.setattr(os, "sendfile", refuse)
    with ours, theirs:
        yield ours, theirs


def test_a_stretch_of_a_file_arrives_as_it_lies_there(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    content = os.urandom(3 << 20)
    with TemporaryFile() as file, ThreadPoolExecutor(1) as pool:
        file.write(content)
        file.flush()
        sending = Sending(HURRY, lambda: None)
        sent = pool.submit(sending.send, ours, FileStretch(file.fileno(), 5, len(content) - 10))
        received = bytearray()
        while len(received) < len(content) - 10:
            received += theirs.recv(1 << 20)
        sent.result()
    assert received == content[5:-5]


def test_a_file_that_becomes_shorter_is_no_fault_of_the_network(pair: tuple[socket.socket, socket.socket]) -> None:
    with TemporaryFile() as file:
        file.write(b"1234")
        file.flush()
        with pytest.raises(UnreadableError, match="shorter while it was sent"):
            Sending(HURRY, lambda: None).send(pair[0], FileStretch(file.fileno(), 0, 5))
    assert pair[1].recv(10) == b"1234"


@pytest.mark.parametrize(("commit_seconds", "is_heard"), [(5.0, True), (0.5, False)])
def test_a_server_may_take_its_time_to_store_what_it_has(
    listener: socket.socket, commit_seconds: float, is_heard: bool
) -> None:
    def store() -> None:
        taker, _ = listener.accept()
        with closing(taker):
            left = len(BODY)
            while left > 0 and (block := taker.recv(1 << 20)):
                left -= len(block)
            time.sleep(2)
            with suppress(OSError):
                taker.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    thread = Thread(target=store)
    thread.start()
    connection = Connection(patience=Patience(silence_seconds=1.0, head_seconds=1.0, commit_seconds=commit_seconds))
    if is_heard:
        assert put(listener, connection) == 201
    else:
        with pytest.raises(RegistryError, match="it does not answer in time"):
            put(listener, connection)
    thread.join()
