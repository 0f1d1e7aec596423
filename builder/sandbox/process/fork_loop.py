"""What the fork server does: it takes requests from the main process and forks a child for each, until it is closed.

Each run has a channel. Over it the child sends what it made or why it failed, and the fork server, last of all, how the
run ended; a signal that comes over it is passed on, and closing its other end kills the run (messages.py).
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

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
    wipe_environment,
)
from builder.sandbox.process.channel import SETUP_FAILED
from builder.sandbox.process.messages import (
    PACKET_BYTES,
    Broken,
    Exit,
    Launch,
    Ready,
    RunMessage,
    SetupFailure,
    launch_from_json,
    signal_from_json,
    to_json,
)
from builder.sandbox.process.network_entry import enter_network
from builder.sandbox.spec import STOP

_DESCRIPTORS = 6
_REASON_CHARACTERS = 1024
_IGNORED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGPIPE)
"""The terminal's signals are the main process's to answer; SIGPIPE would come of a channel that nobody reads."""

Child = Callable[[bytes, int], NoReturn]
"""Runs in the forked child with the payload and the channel; descriptors 0 to 2 are in place."""


def become_fork_server(control: int, child: Child) -> NoReturn:
    """Turn this process, just forked, into the fork server; `control` is its end of the socket."""
    try:
        # It comes when the thread that forked us ends (man 2 prctl): that is the main one, which ends with the process.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for ignored in _IGNORED:
            signal.signal(ignored, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        # A lock or the writing end of a pipe that came along would stay taken for as long as this process lives.
        close_all_except(frozenset((0, 1, 2, control)))
        wipe_environment()  # its secrets could be read in /proc by what we start
        gc.disable()  # a collection writes to every object, and so unshares the memory of all children
        loop = ForkLoop(control, child)
        loop.announce()
        loop.serve()
    except BaseException as error:  # nobody else here could show it
        with suppress(OSError), socket.socket(fileno=os.dup(control)) as end:
            end.send(to_json(Broken(_reason(error))), socket.MSG_DONTWAIT)
        os._exit(1)
    finally:
        os._exit(0)


class ForkLoop:
    """Waits for the main process, for what it sends to runs, and for the end of runs, all at once."""

    def __init__(self, control: int, child: Child) -> None:
        self._control = socket.socket(fileno=control)
        self._child = child
        self._runs: dict[int, _Run] = {}  # by the descriptor of the channel
        self._poll = select.poll()

    def announce(self) -> None:
        """Say that requests can come."""
        self._control.send(to_json(Ready()))

    def serve(self) -> None:
        """Handle what comes until the main process closes its end; kill and reap what still runs then."""
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        # Python writes to the descriptor for signals that it has a handler for only; SIGCHLD has none by default.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(woken, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            # In this order: reaping forgets a run whose channel may have been closed at the same time, and a request
            # may bring a channel with the number of one that was closed just now.
            for descriptor in ready & self._runs.keys():
                self._handle_channel(descriptor)
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._accept():
                self._end_all()
                return

    def _accept(self) -> bool:
        """Take one request; False when the main process has closed its end."""
        packet, descriptors, _, _ = socket.recv_fds(
            self._control, PACKET_BYTES, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )  # fmt: skip
        if not packet:
            return False
        launch = launch_from_json(packet)
        memory, stdin, stdout, stderr, channel, *network = descriptors
        try:
            pid = clone(_flags(launch), launch.group) if launch.namespaces else os.fork()
        except OSError as error:
            _refuse(channel, error)
        else:
            if pid == 0:
                enter_network(channel, network, new=launch.own_network and not launch.namespaces)
                self._become_child(memory, (stdin, stdout, stderr), channel)
            # Those without a namespace have descendants to look for before they go (supervisor.py).
            stop = signal.SIGKILL if launch.namespaces else STOP
            self._runs[channel] = _Run(pid, socket.socket(fileno=channel), stop)
            self._poll.register(channel, select.POLLIN)
        # The output has its end when the last writer has gone, which must be the run's and not this.
        for descriptor in (memory, stdin, stdout, stderr, *network):
            os.close(descriptor)
        return True

    def _become_child(self, memory: int, standard: tuple[int, int, int], channel: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)  # the pipe is the fork server's: a signal here must not wake it
            for number, descriptor in enumerate(standard):
                os.dup2(descriptor, number)
            with open(memory, "rb") as file:
                file.seek(0)  # the offset is shared with the process that has written it
                payload = file.read()
            self._child(payload, channel)
        finally:
            os._exit(SETUP_FAILED)

    def _handle_channel(self, descriptor: int) -> None:
        """Pass on the signal that the waiting thread has sent, or end the run when it has closed its writing side."""
        run = self._runs[descriptor]
        try:
            packet = run.channel.recv(PACKET_BYTES, socket.MSG_DONTWAIT)
        except OSError:  # it has closed the reading one, too
            packet = b""
        if packet:
            run.signal(signal_from_json(packet).number)
            return
        self._unregister(descriptor)  # it stays readable from now on, and would be found so without end
        run.end()

    def _reap(self) -> None:
        while True:  # several may have ended for one SIGCHLD
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for descriptor, run in list(self._runs.items()):
                if run.pid == pid:
                    self._unregister(descriptor)
                    del self._runs[descriptor]
                    run.send(Exit(status))
                    run.channel.close()

    def _unregister(self, descriptor: int) -> None:
        with suppress(KeyError):  # killed before
            self._poll.unregister(descriptor)

    def _end_all(self) -> None:
        for run in self._runs.values():
            run.end()
        for run in self._runs.values():  # or the main process would see our end before theirs
            with suppress(ChildProcessError):
                os.waitpid(run.pid, 0)


@dataclass(frozen=True, slots=True)
class _Run:
    pid: int
    channel: socket.socket
    stop: int
    """The signal that ends it."""

    def end(self) -> None:
        self.signal(self.stop)

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def send(self, message: RunMessage) -> None:
        with suppress(OSError):  # nobody waits any more
            self.channel.send(to_json(message), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _refuse(channel: int, error: OSError) -> None:
    message = f"cannot start a process: {error.strerror}"
    with socket.socket(fileno=channel) as refused, suppress(OSError):  # nobody waits any more
        refused.send(to_json(SetupFailure(message=message, hint="", errno=error.errno or 0)))
        refused.send(to_json(Exit(0)))


def _flags(launch: Launch) -> int:
    return CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | (CLONE_NEWNET if launch.own_network else 0)


def _reason(error: BaseException) -> str:
    """The error and the line of this file or another where it came up."""
    line, trace = "", error.__traceback__
    while trace is not None:
        line, trace = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}", trace.tb_next
    return f"{type(error).__name__}: {error} at {line}".encode(errors="replace").decode()[:_REASON_CHARACTERS]
