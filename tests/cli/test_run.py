"""`pybuild run`: a process from an image, with its exit code, its surroundings and its signals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.cli.program import Program, listen_to_signals
from tests.crash.watch import gone_within, processes_with
from tests.support.terminal import CTRL_C, Terminal


@pytest.fixture
def image(runs: Program) -> Program:
    runs.build(
        'FROM base\nENV A=image\nWORKDIR /srv\nUSER app\nENTRYPOINT ["echo", "entry"]\nCMD ["and", "cmd"]\n', "-t", "i"
    ).succeeded()
    return runs


def test_entrypoint_and_cmd_go_together_and_words_replace_cmd(image: Program) -> None:
    assert image("run", "i").succeeded().out == "entry and cmd\n"
    assert image("run", "i", "-x", "--rm").succeeded().out == "entry -x --rm\n"
    assert image("run", "--entrypoint", "id", "i", "-un").succeeded().out == "app\n"
    image("run", "--entrypoint", "", "i").failed(125, "the image says no command")


def test_the_exit_code_is_passed_on(image: Program) -> None:
    sh = ("run", "--entrypoint", "sh", "i", "-c")
    assert image(*sh, "exit 0").code == 0
    assert image(*sh, "exit 42").code == 42
    assert image(*sh, "sh -c 'kill -15 $$'; exit $?").code == 143
    assert image("run", "--entrypoint", "no-such-program", "i").code == 127
    assert image("run", "--entrypoint", "/etc/passwd", "i").code == 126


def test_surroundings_can_be_given(image: Program) -> None:
    sh = ("--entrypoint", "sh", "i", "-c")
    assert image("run", "-e", "A=given", "-e", "B", *sh, "echo $A $B", env={"B": "mine"}).out == "given mine\n"
    assert image("run", *sh, "echo $A; pwd; id -un").out == "image\n/srv\napp\n"
    assert image("run", "-w", "/new/dir", "-u", "0", *sh, "pwd; id -u").out == "/new/dir\n0\n"
    assert image("run", "-u", "tester", *sh, "echo $(id -un):$(id -gn) $HOME").out == "tester:testers /home/tester\n"
    assert image("run", "--hostname", "here", *sh, "hostname").out == "here\n"
    assert "10.1.2.3\tthere" in image("run", "--add-host", "there:10.1.2.3", *sh, "cat /etc/hosts").out.replace(
        " ", "\t"
    )
    image("run", "-u", "nobody-knows", *sh, "true").failed(125, "nobody-knows")


def test_input_and_output_are_connected(image: Program) -> None:
    outcome = image("run", "--entrypoint", "sh", "i", "-c", "cat; echo err >&2", stdin=b"through\n")
    assert (outcome.code, outcome.out, outcome.err) == (0, "through\n", "err\n")


def test_what_a_container_writes_is_gone_with_it(image: Program) -> None:
    image("run", "--rm", "-u", "0", "--entrypoint", "touch", "i", "/written").succeeded()
    assert image("ps", "-aq").succeeded().out == ""
    assert image("run", "--rm", "--entrypoint", "ls", "i", "/written").code != 0
    image("prune").succeeded()
    assert "removed 0 dangling images, 0 cache records, 0 blobs" in image("prune").succeeded().out


def test_an_image_that_is_not_there_cannot_run(image: Program) -> None:
    image("run", "127.0.0.1:1/none").failed(125, "127.0.0.1:1/none", "cannot reach registry")
    image("run").failed(125, "needs an image")
    image("run", "--nonsense", "i").failed(125, "unknown flag: --nonsense")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_ends_a_container_that_does_not_want_to_end(
    image: Program, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    marker = f"{os.getpid()}.{int(number)}5"
    process = _start(image, f"trap '' TERM INT; echo up; sleep {marker}; sleep {marker}")
    process.send_signal(number)
    assert process.wait(30) == code
    assert gone_within(5, f"sleep\0{marker}")
    image("run", "i").succeeded()


def test_an_interrupt_is_for_the_container_to_answer(image: Program) -> None:
    marker = f"{os.getpid()}.25"
    process = _start(image, f"trap 'exit 33' INT; echo up; while true; do sleep 0.1; echo {marker} >/dev/null; done")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 33


def test_the_third_interrupt_ends_a_container_that_does_not_answer(image: Program) -> None:
    """As in docker: process 1 without a handler gets no SIGINT, and docker run gives up at the third."""
    marker = f"{os.getpid()}.26"
    process = _start(image, f"echo up; exec sleep {marker}")
    while not processes_with(f"sleep\0{marker}"):  # the shell would answer
        time.sleep(0.01)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert gone_within(5, f"sleep\0{marker}")


@pytest.mark.parametrize("isolation", ["native", "oci", "chroot"])
def test_signals_are_passed_on(image: Program, isolation: str) -> None:
    _needs(isolation)
    trap = "; ".join(f"trap 'exit {int(one)}' {one.name[3:]}" for one in PASSED)
    for number in PASSED:
        process = _start(image, f"{trap}; echo up; while true; do sleep 0.05; done", "--isolation", isolation)
        process.send_signal(number)
        assert process.wait(30) == int(number), number.name


PASSED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def test_the_second_sigterm_does_not_wait(image: Program) -> None:
    process = _start(image, "trap '' TERM; echo up; sleep 100; sleep 100")
    began = time.monotonic()
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    assert process.wait(30) == 143
    assert time.monotonic() - began < 9


@pytest.mark.parametrize("isolation", ["native", "oci"])
def test_the_command_is_process_1(image: Program, isolation: str) -> None:
    _needs(isolation)
    run = ("run", "--isolation", isolation, "--entrypoint", "sh", "i", "-c")
    said = image(*run, "echo $$; tr '\\0' '|' < /proc/1/cmdline; exit").out
    assert said.startswith("1\nsh|-c|echo $$;"), said
    assert image(*run, "kill -TERM $$; echo still here").out == "still here\n"


def test_with_init_it_is_not(image: Program) -> None:
    run = ("run", "--init", "-u", "0", "--entrypoint", "sh", "i", "-c")
    outcome = image(*run, "test $$ != 1; cat /proc/1/cmdline /proc/1/comm | tr '\\0' ' '; cat /proc/1/environ")
    assert outcome.out.split() == ["init", "init"]
    assert image(*run, "kill -TERM $$; sleep 1").code == 143
    assert image(*run, "exit 7").code == 7
    zombies = "(sleep 0.1 & exec true); (sh -c 'sleep 0.1 &'); sleep 0.6; cat /proc/[0-9]*/stat | grep -c ') Z '"
    assert image(*run, zombies).out == "0\n"
    assert image(*run, "cat /proc/1/mem /proc/1/maps 2>/dev/null | wc -c").out == "0\n"
    process = _start(image, "trap 'exit 9' TERM; echo up; while true; do sleep 0.05; done", "--init")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 9
    process = _start(image, "echo up; exec sleep 100", "--init")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


def test_oci_says_that_it_has_no_init(image: Program) -> None:
    _needs("oci")
    image("run", "--isolation", "oci", "--init", "i").failed(125, "no init", "--isolation native")


@pytest.mark.parametrize("isolation", ["native", "oci", "chroot"])
def test_every_user_can_open_the_standard_streams_whatever_they_are(
    image: Program, tmp_path: Path, isolation: str
) -> None:
    _needs(isolation)
    script = "echo out > /dev/stdout; echo err > /dev/stderr; ln -s /dev/stdout /tmp/log; echo log > /tmp/log"
    for user in ("0", "1000", "4321:4321"):
        sh = ("run", "--isolation", isolation, "-u", user, "--entrypoint", "sh", "i", "-c")
        outcome = image(*sh, script)
        assert (outcome.out, outcome.err.replace(NOT_ISOLATED, "")) == ("out\nlog\n", "err\n"), outcome.err
        image(*sh, script, redirect=f"> {tmp_path}/out 2> {tmp_path}/err")
        assert (tmp_path / "out").read_text() == "out\nlog\n"
        assert (tmp_path / "err").read_text().endswith("err\n")
        image(*sh, script, redirect=f"> {tmp_path}/both 2>&1")
        both = (tmp_path / "both").read_text().replace(NOT_ISOLATED, "")
        assert both == "out\nerr\nlog\n" or isolation == "chroot"
        assert (tmp_path / "out").stat().st_uid == os.geteuid()


NOT_ISOLATED = "note: RUN is NOT isolated from this machine (--isolation chroot): no other way works here\n"


def test_whoever_stops_reading_ends_the_command_that_writes(image: Program) -> None:
    words = image.command("run", "--entrypoint", "yes", "i")
    piped = ["sh", "-c", '{ "$@"; echo $? >&2; } | head -n 2', "sh", *words]
    done = subprocess.run(piped, capture_output=True, text=True, env=image.environment(), timeout=60, check=True)
    assert done.stdout == "y\ny\n"
    assert done.stderr.splitlines()[-1] == "1", "process 1 has no SIGPIPE: it sees the error"


@pytest.mark.parametrize("place", ["full disk for stdout", "full disk for stderr", "largest file"])
def test_output_that_has_no_room_is_no_success(image: Program, tmp_path: Path, place: str) -> None:
    run = image.command("run", "--entrypoint", "sh", "i", "-c", "head -c 9000 /dev/zero | tee /dev/stderr; true")
    redirect = {
        "full disk for stdout": "> /dev/full 2> /dev/null",
        "full disk for stderr": "2> /dev/full",
        "largest file": f"> {tmp_path}/out 2> /dev/null",
    }
    # The store may still be written to: the limit is 8 KiB for the one test that has it, whose image is there.
    limit = "ulimit -f 16; " if place == "largest file" else ""
    words = ["bash", "-c", f'{limit}"$@" {redirect[place]}', "sh", *run]
    done = subprocess.run(words, capture_output=True, env=image.environment(), timeout=60, check=False)
    assert done.returncode == 125


@pytest.mark.parametrize("isolation", ["native", "oci", "chroot"])
def test_at_a_terminal_the_command_has_one_of_its_own(image: Program, isolation: str) -> None:
    _needs(isolation)
    terminal = _at_terminal(image, "-u", "1000", "--isolation", isolation)
    terminal.wait_for(b"$ ")
    terminal.type(b"test -t 0 -a -t 1 -a -t 2 && echo is''-one; echo opened > /dev/stdout; stty size\n")
    terminal.wait_for(b"is-one\r\nopened\r\n40 120\r\n")
    terminal.type(b"sleep 100\n")
    terminal.read_for(0.5)
    terminal.type(CTRL_C)
    terminal.type(b"echo ans''wered $?; exit 6\n")
    terminal.wait_for(b"answered 130")
    assert terminal.end(30) == 6


def test_a_terminal_is_left_as_it_was_found(image: Program) -> None:
    terminal = _at_terminal(image)
    before = termios.tcgetattr(terminal.master)
    terminal.wait_for(b"$ ")
    assert termios.tcgetattr(terminal.master) != before, "keys are the container's"
    terminal.type(b"exec sleep 100\n")
    terminal.read_for(0.3)
    for _ in range(2):
        terminal.signal(signal.SIGTERM)
        terminal.read_for(0.3)
    watched = os.dup(terminal.master)
    assert terminal.end(30) == 143
    assert termios.tcgetattr(watched) == before
    os.close(watched)


def test_where_the_terminal_goes_the_exit_code_is_the_commands(image: Program) -> None:
    answers, does_not = _at_terminal(image), _at_terminal(image)
    for terminal, command in ((answers, b"trap 'exit 7' HUP; sle''ep 0.1\n"), (does_not, b"sle''ep 0.1\n")):
        terminal.wait_for(b"$ ")
        terminal.type(command + b"echo rea''dy; while :; do sleep 0.1; done\n")
        terminal.wait_for(b"ready")
        terminal.shutdown()
    assert (answers.end_unread(30), does_not.end_unread(30)) == (7, 129)


def test_more_is_pasted_than_a_terminal_holds(image: Program) -> None:
    terminal = _at_terminal(image)
    terminal.wait_for(b"$ ")
    terminal.type(b"stty -echo raw; sleep 1; head -c 20000 | wc -c; exit\n")
    terminal.read_for(0.5)
    for _ in range(20):
        terminal.type(b"x" * 1000)
        terminal.read_for(0.01)
    terminal.wait_for(b"20000")
    terminal.end(30)


def _at_terminal(image: Program, *options: str) -> Terminal:
    words = image.command("run", *options, "--entrypoint", "sh", "i")
    return Terminal(words, image.environment(), str(image.folder))


def _needs(isolation: str) -> None:
    if isolation == "oci" and not (shutil.which("crun") or shutil.which("runc")):
        pytest.skip("neither crun nor runc is installed")
    if isolation == "chroot" and os.geteuid() != 0:
        pytest.skip("chroot needs root")


def _start(image: Program, command: str, *options: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        image.command("run", *options, "-u", "0", "--entrypoint", "sh", "i", "-c", command), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=image.environment(), preexec_fn=listen_to_signals, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process
