"""The fork server: a small single-threaded process, forked while no other thread exists, that forks every RUN.

    main process ── control socket ──▶ fork server ── clone ──▶ one child a run
      a thread   ◀── one channel a run ──┘

A request is one message with descriptors: the request as JSON in a memory file, stdin, stdout, stderr, the run's
channel, and the network namespace to join, if any. On the channel come, from the child, what it made or why it failed,
and from the fork server, last of all, {"exit": status}. A number sent over it is a signal for the run; closing its
writing side kills the run. When the main process goes away, however it does, the fork server gets SIGKILL, and with it,
as pid 1 of a process-id namespace, everything it ever started. Over the control socket the fork server says that it is
ready, or why it failed. Every wait for it has an end.
"""

from __future__ import annotations

import array
import gc
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import NoReturn

from builder.errors import SandboxError
from builder.linux.process import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    PR_SET_PDEATHSIG,
    clone,
    close_all_except,
    prctl,
    reap,
    wipe_environment,
)
from builder.sandbox.namespace import check_alone
from builder.sandbox.process.network_entry import enter_network
from builder.sandbox.spec import STOP

_MESSAGE_BYTES = 65536
_DESCRIPTORS = 6
_SIGKILL = 9
_READY = b"ready"
_READY_SECONDS = 30.0
"""How long a fork server may take to begin, which is a thousandth of this on an idle machine."""
_END_SECONDS = 2.0
"""How long a fork server whose end of a socket is closed may take to be seen as ended."""
_CLOSE_SECONDS = 5.0
"""How long a fork server may take to end what it started before it is killed, and then to be gone."""
_WORDS_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one run needs, decoded."""

    namespaces: bool
    """Whether the child gets namespaces of its own."""

    own_network: bool
    payload: bytes
    """For the child to understand."""

    network: int | None = None
    """Descriptor of a network namespace to join."""

    group: str = ""
    """Path of the control group to be born in, if that can be had."""


Child = Callable[[bytes, int], NoReturn]
"""Runs in the forked child with the payload and the channel; descriptors 0 to 2 are in place."""


class ForkServer:
    """The main process's end. Thread-safe."""

    def __init__(self, child: Child, *, namespaces: bool) -> None:
        """Fork the fork server and wait until it is ready.

        Raises OSError, and SandboxError when this process has other threads or the fork server does not get ready.
        """
        check_alone("start the process that starts commands")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = Lock()
        self._status: int | None = None  # as waitpid(2) gives it, once there is one
        gc.collect()
        gc.freeze()  # what is there now will not be written to by a collector in the children
        # Born as pid 1 of a namespace, so that its end is the end of everything below it.
        self.pid = clone(CLONE_NEWPID) if namespaces else os.fork()
        if self.pid == 0:
            _be_fork_server(theirs.detach(), child)
        gc.unfreeze()
        theirs.close()
        try:
            self._await_ready()
        except BaseException:
            self._kill()
            raise

    def launch(self, request: Request, stdin: int, stdout: int, stderr: int) -> socket.socket:
        """Start a run and return its channel. Raises SandboxError when the fork server is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memory = os.memfd_create("request")
        try:
            with open(os.dup(memory), "wb") as file:
                file.write(request.payload)
            header = json.dumps([request.namespaces, request.own_network, request.group]).encode()
            network = [] if request.network is None else [request.network]
            socket.send_fds(self._control, [header], [memory, stdin, stdout, stderr, theirs.fileno(), *network])
        except OSError as error:
            ours.close()
            raise self.gone() from error
        finally:
            os.close(memory)
            theirs.close()
        return ours

    def gone(self) -> SandboxError:
        """What to raise when the fork server does not answer as it should: says how it ended, and its last words."""
        self._ended(_END_SECONDS)
        words = [one for one in (_how(self._status), self._last_words()) if one]
        hint = "It was killed, as happens when the machine runs out of memory." if self._status == _SIGKILL else ""
        return SandboxError(f"the process that starts commands is gone ({': '.join(words)})", hint=hint)

    def close(self) -> None:
        """End the fork server and everything it started, and reap it; it is killed if it does not end itself."""
        self._control.close()
        try:
            self._ended(_CLOSE_SECONDS)
        finally:
            if self._status is None:
                self._kill()

    def _await_ready(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(_READY_SECONDS * 1000):
            raise SandboxError(
                f"the process that starts commands was not ready within {_READY_SECONDS:.0f} s",
                hint="Try again when the machine is less busy.",
            )
        if self._control.recv(_WORDS_BYTES, socket.MSG_PEEK) != _READY:
            raise self.gone()
        self._control.recv(_WORDS_BYTES)

    def _kill(self) -> None:
        self._control.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._ended(_CLOSE_SECONDS)

    def _ended(self, seconds: float) -> bool:
        with self._lock:
            if self._status is None:
                try:
                    self._status = reap(self.pid, seconds)
                except ChildProcessError:  # somebody else in this process has reaped it
                    self._status = 0
        return self._status is not None

    def _last_words(self) -> str:
        for _ in range(2):  # the first may tell of a request that was never read (man 7 unix, ECONNRESET)
            with suppress(OSError):
                return self._control.recv(_WORDS_BYTES, socket.MSG_DONTWAIT).decode(errors="replace")
        return ""


def _be_fork_server(control: int, child: Child) -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, _SIGKILL)
        # The terminal's signals are the main process's to answer; it closes the socket when it is done.
        for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        close_all_except(frozenset((0, 1, 2, control)))
        wipe_environment()
        gc.disable()
        server = _Server(control, child)
        server.announce()
        server.serve()
    except BaseException as error:  # nobody else here could show it
        with suppress(OSError), socket.socket(fileno=os.dup(control)) as words:
            words.send(_words(error), socket.MSG_DONTWAIT)
        os._exit(1)
    finally:
        os._exit(0)


class _Server:
    def __init__(self, control: int, child: Child) -> None:
        self._control = socket.socket(fileno=control)
        self._child = child
        self._runs: dict[int, _Run] = {}  # by the descriptor of the channel
        self._poll = select.poll()

    def announce(self) -> None:
        """Say that requests can come."""
        self._control.send(_READY)

    def serve(self) -> None:
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(woken, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            # In this order: reaping forgets a run that may have been hung up on at the same time, and a request may
            # bring a channel with the number of one that was closed just now.
            for descriptor in ready & self._runs.keys():
                self._heed(descriptor)
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._accept():
                self._end_all()
                return

    def _accept(self) -> bool:
        """Take one request; False when the main process has closed its end."""
        size = _DESCRIPTORS * array.array("i").itemsize
        flags = socket.MSG_CMSG_CLOEXEC
        header, ancillary, _, _ = self._control.recvmsg(_MESSAGE_BYTES, socket.CMSG_SPACE(size), flags)
        if not header:
            return False
        received = array.array("i")
        for _, _, data in ancillary:
            received.frombytes(data)
        memory, stdin, stdout, stderr, channel, *network = received
        namespaces, own_network, group = json.loads(header)
        try:
            pid = clone(_flags(own_network), group) if namespaces else os.fork()
        except OSError as error:
            self._refuse(channel, error)
        else:
            if pid == 0:
                enter_network(channel, network, new=own_network and not namespaces)
                self._be_child(memory, (stdin, stdout, stderr), channel)
            # Those without a namespace have descendants to look for before they go (supervisor.py).
            stop = _SIGKILL if namespaces else STOP
            self._runs[channel] = _Run(pid, socket.socket(fileno=channel), stop)
            self._poll.register(channel, select.POLLIN)
        for descriptor in (memory, stdin, stdout, stderr, *network):
            os.close(descriptor)
        return True

    def _be_child(self, memory: int, standard: tuple[int, int, int], channel: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            for number, descriptor in enumerate(standard):
                os.dup2(descriptor, number)
            with open(memory, "rb") as file:
                file.seek(0)
                payload = file.read()
            self._child(payload, channel)
        finally:
            os._exit(125)

    def _refuse(self, channel: int, error: OSError) -> None:
        message = {"error": f"cannot start a process: {error.strerror}", "hint": "", "errno": error.errno, "exit": 0}
        with socket.socket(fileno=channel) as refused, suppress(OSError):  # nobody waits any more
            refused.send(json.dumps(message).encode())

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for descriptor, run in list(self._runs.items()):
                if run.pid == pid:
                    self._poll_forget(descriptor)
                    del self._runs[descriptor]
                    run.tell({"exit": status})
                    run.channel.close()

    def _heed(self, descriptor: int) -> None:
        """The waiting thread has sent a signal, or closed its writing side."""
        run = self._runs[descriptor]
        try:
            number = run.channel.recv(_WORDS_BYTES, socket.MSG_DONTWAIT)
        except OSError:  # it has closed the reading one, too
            number = b""
        if number:
            run.signal(int(number))
            return
        self._poll_forget(descriptor)
        run.end()

    def _poll_forget(self, descriptor: int) -> None:
        with suppress(KeyError):  # killed before
            self._poll.unregister(descriptor)

    def _end_all(self) -> None:
        for run in self._runs.values():
            run.end()
        for run in self._runs.values():
            with suppress(ChildProcessError):
                os.waitpid(run.pid, 0)


@dataclass(frozen=True, slots=True)
class _Run:
    pid: int
    channel: socket.socket
    stop: int

    def end(self) -> None:
        self.signal(self.stop)

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def tell(self, message: dict[str, object]) -> None:
        with suppress(OSError):  # nobody waits any more
            self.channel.send(json.dumps(message).encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _flags(own_network: bool) -> int:
    return CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | (CLONE_NEWNET if own_network else 0)


def _how(status: int | None) -> str:
    if status is None:
        return "it does not answer"
    code = os.waitstatus_to_exitcode(status)
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _words(error: BaseException) -> bytes:
    """The error and the line of this file or another where it came up."""
    place, trace = "", error.__traceback__
    while trace is not None:
        place, trace = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}", trace.tb_next
    return f"{type(error).__name__}: {error} at {place}".encode(errors="replace")[:_WORDS_BYTES]
