"""An SSH agent's socket, relayed: the run talks to a socket of its own, this process talks to the agent.

So the socket in the container has the owner and mode that were asked for, whatever the real one has, and goes away
with the run. One thread a connection and direction; agents are asked a handful of questions in a build.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

from builder.linux.mount import descriptor_path

_PIECE_BYTES = 16384
_BACKLOG = 16


def listen_at(path: str) -> socket.socket:
    """Return a socket that listens at `path`, which must not exist. Raises OSError."""
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # By descriptor: the path of a socket has room for 107 bytes only (man 7 unix).
        listener.bind(f"{descriptor_path(folder)}/{os.path.basename(path)}")
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


class SshRelay:
    """Accepts on `listener` (a descriptor, taken over) and joins each connection to the socket at `agent`."""

    def __init__(self, listener: int, agent: str) -> None:
        self._listener = socket.socket(fileno=listener)
        self._agent = agent
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, name="ssh-agent", daemon=True).start()

    def close(self) -> None:
        """Stop, and cut every connection."""
        with self._lock:
            for one in (self._listener, *self._open):
                _cut(one)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                self._listener.close()
                return
            agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                agent.connect(self._agent)
            except OSError:  # no agent: the client sees its connection end, as with a dead agent
                connection.close()
                agent.close()
                continue
            with self._lock:
                self._open |= {connection, agent}
            for source, target in ((connection, agent), (agent, connection)):
                threading.Thread(target=self._copy, args=(source, target), name="ssh-agent", daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(_PIECE_BYTES):
                target.sendall(data)
        except OSError:
            pass
        _cut(target)
        with self._lock:
            self._open.discard(source)
        source.close()


def _cut(one: socket.socket) -> None:
    with suppress(OSError):  # not connected any more
        one.shutdown(socket.SHUT_RDWR)
