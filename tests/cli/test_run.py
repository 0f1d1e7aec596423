"""`pybuild run`: a process from an image, with its exit code, its surroundings and its signals."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import Program, listen_to_ctrl_c
from tests.crash.watch import gone_within


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
    image("run", "--entrypoint", "", "i").failed(2, "the image says no command")


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
    image("run", "-u", "nobody-knows", *sh, "true").failed(1, "nobody-knows")


def test_input_and_output_are_connected(image: Program) -> None:
    outcome = image("run", "--entrypoint", "sh", "i", "-c", "cat; echo err >&2", stdin=b"through\n")
    assert (outcome.code, outcome.out, outcome.err) == (0, "through\n", "err\n")


def test_what_a_container_writes_is_gone_afterwards(image: Program) -> None:
    image("run", "-u", "0", "--entrypoint", "touch", "i", "/written").succeeded()
    assert image("run", "--entrypoint", "ls", "i", "/written").code != 0
    image("prune").succeeded()
    assert "removed 0 dangling images, 0 cache records, 0 blobs" in image("prune").succeeded().out


def test_an_image_that_is_not_there_cannot_run(image: Program) -> None:
    image("run", "127.0.0.1:1/none").failed(1, "127.0.0.1:1/none", "cannot reach registry")
    image("run").failed(2, "needs an image")
    image("run", "--nonsense", "i").failed(2, "unknown flag: --nonsense")


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


def test_ctrl_c_at_a_terminal_is_for_the_container_to_answer(image: Program) -> None:
    marker = f"{os.getpid()}.25"
    process = _start(image, f"trap 'exit 33' INT; echo up; while true; do sleep 0.1; echo {marker} >/dev/null; done")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 33
    process = _start(image, f"echo up; exec sleep {marker}")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert gone_within(5, f"sleep\0{marker}")


def _start(image: Program, command: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        image.command("run", "-u", "0", "--entrypoint", "sh", "i", "-c", command), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=image.environment(), preexec_fn=listen_to_ctrl_c, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process
