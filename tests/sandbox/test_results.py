"""How a run ends, what it says, and that nothing survives it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import pytest

from builder.errors import Cancelled
from builder.linux.cancel import Cancel
from builder.sandbox.runner import Sandbox
from builder.sandbox.spec import ExitStatus, SandboxSpec
from tests.sandbox.host import Host, run_in, top


@pytest.mark.rule("X11")
def test_the_exit_code_is_passed_on(any_host: Host) -> None:
    assert any_host.run("exit 42").code == 42


LONG, ATTACHED = f"9{os.getpid()}", f"8{os.getpid()}"
"""Seconds that nothing sleeps to the end, and by which a test finds its own processes: other workers run the same."""


def test_a_signal_is_128_and_its_number(chroot_host: Host) -> None:
    outcome = chroot_host.run("kill -9 $$")
    assert (outcome.code, outcome.signal) == (137, 9)


def test_a_missing_command_is_127(any_host: Host) -> None:
    outcome = any_host.run_spec(argv=("nothing-here",))
    assert outcome.code == 127
    assert 'exec: "nothing-here": executable file not found in $PATH' in outcome.err


def test_a_missing_path_is_127(any_host: Host) -> None:
    outcome = any_host.run_spec(argv=("/nothing/here",))
    assert outcome.code == 127
    assert "no such file or directory" in outcome.err


def test_a_file_that_may_not_be_executed_is_126(host: Host) -> None:
    outcome = host.run_spec(argv=("/etc/passwd",))
    assert outcome.code == 126
    assert "permission denied" in outcome.err


def test_a_missing_interpreter_is_said_to_be_missing(root_host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> object:
        rootfs = root_host.new_root()
        with open(top(rootfs) + "/script", "w", encoding="utf-8") as file:
            file.write("#!/usr/bin/nothing\n")
        os.chmod(top(rootfs) + "/script", 0o755)
        return run_in(sandbox, root_host, rootfs=rootfs, argv=("/script",))

    outcome = root_host.do(work)
    assert outcome.code == 127
    assert "interpreter" in outcome.err


def test_the_path_of_the_image_decides(host: Host) -> None:
    assert host.run_spec(argv=("true",), env=("PATH=/nowhere",)).code == 127
    assert host.run_spec(argv=("true",), env=("PATH=/nowhere:/bin",)).code == 0


def test_output_arrives_while_the_command_runs(host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> float:
        arrived: list[float] = []
        spec = SandboxSpec(rootfs=host.new_root(), argv=("/bin/sh", "-c", "echo a; sleep 1; echo b"))
        sandbox.run(spec, on_output=lambda *_: arrived.append(time.monotonic()), cancel=Cancel())
        return arrived[-1] - arrived[0]

    assert host.do(work) > 0.5


def test_stdout_and_stderr_keep_their_order_where_it_can_be_told(host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> list[int]:
        order: list[int] = []
        script = "for i in 1 2 3; do echo o; sleep 0.2; echo e >&2; sleep 0.2; done"
        spec = SandboxSpec(rootfs=host.new_root(), argv=("/bin/sh", "-c", script))
        sandbox.run(spec, on_output=lambda number, _: order.append(number), cancel=Cancel())
        return order

    assert host.do(work) == [1, 2, 1, 2, 1, 2]


def test_a_megabyte_of_output_is_complete(any_host: Host) -> None:
    assert len(any_host.run("head -c 1000000 /dev/zero | tr '\\0' x").out) == 1_000_000


def test_processes_left_behind_are_killed(any_host: Host) -> None:
    outcome = any_host.run(f"(setsid sleep {LONG} &) ; sleep {LONG} & exit 3")
    assert outcome.code == 3
    assert not alive(LONG)


def test_cancel_kills_everything_at_once(any_host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> float:
        cancel = Cancel()
        threading.Timer(0.3, cancel.set).start()
        spec = SandboxSpec(
            rootfs=any_host.new_root(), argv=("/bin/sh", "-c", f"trap '' TERM INT; sleep {LONG} & sleep {LONG}")
        )
        started = time.monotonic()
        with pytest.raises(Cancelled):
            sandbox.run(spec, on_output=lambda *_: None, cancel=cancel)
        return time.monotonic() - started

    assert any_host.do(work) < 30  # of hours
    assert not alive(LONG)


def test_an_error_in_the_callers_output_function_ends_the_run(host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> bool:
        def fail(*_: object) -> None:
            raise ZeroDivisionError

        spec = SandboxSpec(rootfs=host.new_root(), argv=("/bin/sh", "-c", f"echo x; sleep {LONG}"))
        with pytest.raises(ZeroDivisionError):
            sandbox.run(spec, on_output=fail, cancel=Cancel())
        return True

    assert host.do(work)
    assert not alive(LONG)


@pytest.mark.parametrize("kind", ["root", "ranges", "chroot"])
def test_a_killed_main_process_leaves_no_processes_and_no_mounts(hosts: dict[str, Host], kind: str) -> None:
    from dataclasses import replace

    host = replace(hosts["root"], isolation="chroot") if kind == "chroot" else hosts[kind]
    before = mounts(host.folder)
    child = os.fork()
    if child == 0:
        try:
            host.run(f"sleep {LONG} & sleep {LONG}")
        finally:
            os._exit(1)
    wait_until(lambda: len(alive(LONG)) >= 2)
    mains = children_of(child)
    for pid in mains:
        os.kill(pid, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    wait_until(lambda: not alive(LONG))
    assert mounts(host.folder) == before


def test_two_hundred_runs_at_once(host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> list[int]:
        codes: list[int] = []

        def one(index: int) -> None:
            codes.append(run_in(sandbox, host, argv=("/bin/sh", "-c", f"exit {index % 200}")).code)

        threads = [threading.Thread(target=one, args=(index,)) for index in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(codes)

    assert host.do(work) == list(range(200))


def test_attached_the_command_has_the_callers_descriptors(host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> tuple[ExitStatus, bytes]:
        in_read, in_write = os.pipe()
        out_read, out_write = os.pipe()
        os.write(in_write, b"hello")
        os.close(in_write)
        spec = SandboxSpec(rootfs=host.new_root(), argv=("/bin/sh", "-c", "cat; exit 5"))
        status = sandbox.run_attached(spec, stdin=in_read, stdout=out_write, stderr=out_write)
        os.close(out_write)
        return status, os.read(out_read, 100)

    status, said = host.do(work)
    assert status == ExitStatus(5)
    assert said == b"hello"


def test_attached_an_interrupt_reaches_the_command(host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> ExitStatus:
        os.setpgid(0, 0)  # the group a terminal would send the signal to; the fork server is in the old one
        return ExitStatus(0)

    assert host.do(work) == ExitStatus(0)

    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it waits for the one that runs the command

        def attached(sandbox: Sandbox, _: object) -> int:
            null = os.open(os.devnull, os.O_RDWR)
            script = f"trap 'exit 33' INT; sleep {ATTACHED} & wait"
            spec = SandboxSpec(rootfs=host.new_root(), argv=("/bin/sh", "-c", script), env=("PATH=/bin",))
            return sandbox.run_attached(spec, stdin=null, stdout=null, stderr=null).code

        os._exit(int(host.do(attached)))
    wait_until(lambda: bool(alive(ATTACHED)))
    os.killpg(child, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 33


def alive(argument: str) -> list[str]:
    """Processes that have `argument` on their command line."""
    return subprocess.run(["pgrep", "-x", "-f", f".*sleep {argument}"], capture_output=True, text=True).stdout.split()


def children_of(pid: int) -> list[int]:
    return [
        int(word) for word in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    ]


def mounts(folder: str) -> list[str]:
    """Return the mounts in and from a folder: others come and go while tests run beside each other."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line for line in file if str(folder) in line]


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + 15
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
