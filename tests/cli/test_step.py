"""Builds that somebody looks on at: --step, --on-error=shell; and shells in trees of builds that are over."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builds.base_image import BaseImage
from tests.cli.program import Program
from tests.support.terminal import CTRL_C, Terminal

QUESTION = b"q quit > "
CTRL_D = b"\x04"

DOCKERFILE = """\
FROM base AS tools
RUN echo tool > /tool
FROM base
ENV COLOUR=red
WORKDIR /app
COPY --from=tools /tool /app/
RUN rm /srv/file && ls /app && test ! -e /app/made-in-a-shell
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, base_image: BaseImage) -> Program:
    """A store with a build in it, `app`; tests here add none that others would notice."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "context").mkdir()
    program = Program(folder / "store", folder / "context", f"oci-layout://{base_image.layout}:latest")
    program.build(DOCKERFILE, "-t", "app").succeeded()
    return program


class Seat:
    """Somebody's place at the terminal of one program."""

    def __init__(self, program: Program, *words: str) -> None:
        self.terminal = Terminal(program.command(*words), program.environment(), str(program.folder))
        self.before = b""

    def see(self, text: bytes = QUESTION) -> str:
        """Wait for a text; return what was shown since the last answer."""
        self.terminal.wait_for(text)
        return self.terminal.said.decode().replace("\r", "")

    def answer(self, keys: bytes, then: bytes = QUESTION) -> str:
        self.before, self.terminal.said = self.before + self.terminal.said, b""
        self.terminal.type(keys)
        return self.see(then)

    def end(self, keys: bytes = b"") -> tuple[int, str]:
        self.before, self.terminal.said = self.before + self.terminal.said, b""
        if keys:
            self.terminal.type(keys)
        code = self.terminal.end()
        return code, self.terminal.said.decode().replace("\r", "")


def stepping(program: Program, *words: str) -> Seat:
    return Seat(program, "--step", *program.base_words(), *words, ".")


def test_a_build_stops_after_each_step_and_shows_what_it_did(runs: Program) -> None:
    (runs.folder / "Dockerfile").write_text(DOCKERFILE)
    seat = stepping(runs, "--progress=plain", "-t", "stepped")
    assert "step 1 of 5: [stage-1 1/4] FROM oci-layout:" in seat.see()
    assert "step 2 of 5: [stage-1 2/4] WORKDIR /app\n" in seat.answer(b"\n")
    said = seat.answer(b"\n")
    assert "step 3 of 5: [tools 2/2] RUN echo tool > /tool\n  Dockerfile:2\n" in said
    assert "miss: not built here before" in said
    assert "  A /tool       5B\n" in said
    assert "'z' is none of these" in seat.answer(b"z\n")
    said = seat.answer(b"k\n")
    assert '"operation": "run"' in said
    assert '"echo tool > /tool"' in said
    assert "  A /app/tool       5B\n" in seat.answer(b"\n")
    seat.answer(b"s\n", b"# ")
    assert "5\n40 120\n" in seat.answer(b"echo $((2+3)); stty size; touch made-in-a-shell\n", b"40 120\r\n")
    seat.answer(b"exit 3\n")
    said = seat.answer(b"\n")
    assert "  D /srv/file      17B  stays in the layers below\n" in said
    code, said = seat.end(b"r\n")
    assert code == 0, said
    assert "steps: 0 cached, 4 executed" in said
    # Nothing of the shell is in what was kept: the same build finds all of it, and says so at each step.
    again = stepping(runs, "-q")
    assert "was here already" in again.see()
    assert "hit: the same was made" in again.answer(b"\n")
    code, said = again.end(b"q\n")
    assert (code, "stopped after step 2 of 5" in said) == (130, True)


@pytest.mark.parametrize(
    ("leave", "code"),
    [(lambda seat: seat.terminal.type(CTRL_C), 130), (lambda seat: seat.terminal.type(CTRL_D), 130),
     (lambda seat: seat.terminal.signal(signal.SIGTERM), 143)],
    ids=["Ctrl-C", "Ctrl-D", "SIGTERM"],
)  # fmt: skip
def test_who_leaves_at_a_question_ends_the_build(built: Program, leave: Callable[[Seat], None], code: int) -> None:
    seat = stepping(built)
    seat.see()
    leave(seat)
    assert seat.end()[0] == code


def test_a_terminal_that_goes_is_the_end_of_the_build(built: Program) -> None:
    seat = stepping(built)
    seat.see()
    seat.terminal.shutdown()
    assert seat.terminal.end_unread(30) == 129


def test_what_was_typed_while_a_step_ran_answers_nothing(runs: Program) -> None:
    (runs.folder / "Dockerfile").write_text("FROM base\nRUN echo run''ning; read line < /dev/null; sleep 1\nRUN true\n")
    seat = stepping(runs, "--progress=plain")
    seat.see()
    seat.answer(b"\n", b"running")
    seat.terminal.type(b"\n\n\n")
    assert "step 2 of 3" in seat.see()
    assert "step 3 of 3" in seat.answer(b"\n")
    assert seat.end(b"\n")[0] == 0


FAILING = """\
FROM base AS other
RUN sleep 100
FROM base
ENV COLOUR=red
WORKDIR /srv
USER app
RUN --mount=type=secret,id=s,uid=1000 --mount=type=cache,target=/cache,uid=1000 --mount=type=bind,target=/context \\
    --mount=type=tmpfs,target=/t --network=none test -e /tmp/mended || { echo kept > /cache/left; exit 7; }
COPY --from=other /bin/busybox /b
"""


@pytest.mark.parametrize("isolation", ["native", "chroot"])
def test_a_shell_where_a_run_failed_has_what_the_run_had(runs: Program, isolation: str, tmp_path: Path) -> None:
    (runs.folder / "Dockerfile").write_text(FAILING)
    (tmp_path / "secret").write_text("hidden-value\n")
    words = (f"--isolation={isolation}", "--secret", f"id=s,src={tmp_path}/secret", *runs.base_words(), ".")
    for kept in ("kept", "new"):  # what the shell leaves in the tree is gone the second time, in the cache it is not
        seat = Seat(runs, "--on-error=shell", "--progress=plain", *words)
        said = seat.see(b"$ ")
        assert 'Dockerfile:7:1: error: process "/bin/sh -c test -e /tmp/mended' in said
        assert "What you change is thrown away (but in caches" in said
        commands = b"id -u; pwd; echo $COLOUR; cat /run/secrets/s /cache/*; ls /context /t; ip -o link | wc -l"
        said = seat.answer(commands + b"; touch /tmp/mended; echo d''one\n", b"done\r\n")
        lines = said[said.index("1000\n") :].splitlines()
        assert lines[:7] == ["1000", "/srv", "red", "***", kept, "/context:", "Dockerfile"], said
        assert isolation == "chroot" or "\n1\ndone\n" in said, "no network but its own"
        code, said = seat.end(b"echo new > /cache/left; chmod a-w /cache; exit 3\n")
        assert code == 1
        assert "RUN's exit code was 7" in said
        (runs.folder / "Dockerfile").write_text(FAILING.replace("echo kept > /cache/left;", ""))


def test_an_image_without_a_shell_says_so_and_fails_as_before(runs: Program) -> None:
    (runs.folder / "Dockerfile").write_text(
        'FROM base AS b\nFROM scratch\nCOPY --from=b /bin/busybox /prog/busybox\nRUN ["/prog/busybox", "false"]\n'
    )
    code, said = Seat(runs, "--on-error=shell", *runs.base_words(), ".").end()
    assert code == 1
    assert "there is no shell in this file system: none of /bin/bash" in said
    assert "RUN's exit code was 1" in said
    seat = Seat(runs, "--on-error=shell:/prog/busybox", *runs.base_words(), ".")
    seat.see(b"# ")
    assert seat.end(b"exit\n")[0] == 1


def test_without_a_terminal_nothing_is_begun(built: Program) -> None:
    for flag in ("--step", "--on-error=shell"):
        built.build(None, flag).failed(2, "is for somebody at a terminal, and stdin is none")
    code, said = Seat(built, "--step", "--progress=rawjson", ".").end()
    assert (code, "where --progress=rawjson writes JSON" in said) == (2, True)
    for value in ("stop", "shell:sh"):
        built.build(None, f"--on-error={value}").failed(2, f"--on-error '{value}' is not known")


def test_any_step_of_a_build_can_be_entered_later(built: Program) -> None:
    look = ("sh", "-c", 'pwd; ls -d /tool /app/tool /srv/file 2> /dev/null; echo "$COLOUR"; touch /x')
    for words, lines in (
        ([], ["/app", "/app/tool", "red"]),
        (["--step", "3"], ["/app", "/app/tool", "/srv/file", ""]),
        (["--step", "1"], ["/", "/srv/file", ""]),
        (["--stage", "tools"], ["/", "/srv/file", "/tool", ""]),
        (["--stage", "tools", "--step", "1"], ["/", "/srv/file", ""]),
    ):
        assert built("shell", *words, "app", *look).succeeded().out.splitlines() == lines, words
    assert built("shell", "app", "--step", "1", "-u", "app", "sh", "-c", "ls /x; id -u; exit 4").out == "1000\n"
    built("shell", "app", "--step", "9").failed(2, "stage stage-1 of app has no step 9", "[stage-1 4/4] RUN")
    built("shell", "app", "--stage", "x").failed(2, "had no stage 'x'", "stage-1, tools")
    built("shell").failed(2, "'pybuild shell' needs an image")
    seat = Seat(built, "shell", "app", "--step", "2")
    seat.see(b"# ")
    assert seat.end(b"exit 6\n")[0] == 6


def test_of_an_image_that_was_built_elsewhere_layers_are_counted(built: Program, tmp_path: Path) -> None:
    built("save", "-o", f"{tmp_path}/app.tar", "app").succeeded()
    other = Program(tmp_path / "other", built.folder, "")
    other("load", "-i", f"{tmp_path}/app.tar").succeeded()
    assert other("shell", "app", "--step", "1", "ls", "/srv/file").out == "/srv/file\n"
    assert other("shell", "app", "--step", "4", "ls", "/srv/file").code == 1
    other("shell", "app", "--step", "5").failed(2, "app has no layer 5: its layers are 1 to 4", "pybuild history")
    other("shell", "app", "--stage", "tools").failed(2, "no record of the build that made app")
    other("shell", "nothing-like-it:1", env={"http_proxy": None}).failed(125)
