"""A RUN that fails: its last output, its code, the lines of the Dockerfile; the same as data."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.program import Program

FAILS = "FROM base\nRUN true\nRUN for i in $(seq 40); do echo line $i; done; echo last >&2; exit 7\n"


def test_a_failing_run_shows_its_output_its_code_and_its_lines(runs: Program) -> None:
    outcome = runs.build(FAILS)
    outcome.failed(
        1, "did not complete successfully: exit code: 7", "Dockerfile:3:1: error:", ">   3 | RUN for", "2 | RUN true",
        " > [3/3] RUN for", " line 40\n last\n------", "RUN's exit code was 7",
    )  # fmt: skip


def test_quiet_shows_the_output_of_a_failing_run_all_the_same(runs: Program) -> None:
    (runs.folder / "Dockerfile").write_text(FAILS)
    outcome = runs("-q", *runs.base_words(), ".")
    outcome.failed(1, " line 40\n last", "Dockerfile:3:1", "exit code: 7")
    assert outcome.out == ""


def test_a_failure_is_carried_as_data(runs: Program, tmp_path: Path) -> None:
    (runs.folder / "Dockerfile").write_text(FAILS)
    metadata = tmp_path / "metadata.json"
    outcome = runs("--progress=rawjson", "--metadata-file", str(metadata), *runs.base_words(), ".")
    outcome.failed(1)
    lines = [json.loads(line) for line in outcome.err.splitlines() if line.startswith("{")]
    failed = next(line for line in lines if line["event"] == "step-failed")
    last = next(line for line in lines if line["event"] == "build-failed")
    for error in (failed["error"], last["error"], json.loads(metadata.read_text())["error"]):
        assert error["kind"] == "StepFailed"
        assert error["command_exit_code"] == 7
        assert error["tail"][-1] == "last"
        assert error["location"]["line"] == 3
        assert error["location"]["file"] == "Dockerfile"


def test_a_mistake_before_the_build_is_carried_as_data(pybuild: Program, tmp_path: Path) -> None:
    (pybuild.folder / "Dockerfile").write_text("FROM scratch\nRUNN x\n")
    metadata = tmp_path / "metadata.json"
    pybuild("--progress=rawjson", "--metadata-file", str(metadata), ".").failed(1)
    error = json.loads(metadata.read_text())["error"]
    assert (error["kind"], error["location"]["line"]) == ("DockerfileSyntaxError", 2)


def test_a_failing_run_leaves_the_steps_before_it_in_the_cache(runs: Program) -> None:
    runs.build("FROM base\nRUN echo one > /one\nRUN false\n").failed(1)
    assert "CACHED" in runs.build("FROM base\nRUN echo one > /one\nRUN true\n").succeeded().err.partition("[3/3]")[0]


def test_a_failure_in_one_stage_ends_the_others(runs: Program) -> None:
    outcome = runs.build(
        "FROM base AS slow\nRUN sleep 300\nFROM base AS bad\nRUN sleep 1; false\n"
        "FROM base\nCOPY --from=slow /etc/passwd /a\nCOPY --from=bad /etc/passwd /b\n"
    )
    outcome.failed(1, "Dockerfile:4:1: error:", "CANCELED")


def test_hints_say_what_127_126_and_137_mean(runs: Program) -> None:
    runs.build("FROM base\nRUN no-such-program\n").failed(1, "exit code: 127", "A command was not found")
    runs.build("FROM base\nRUN /etc/passwd\n").failed(1, "exit code: 126", "can't be executed")
    runs.build('FROM base\nRUN ["no-such-program"]\n').failed(1, "exit code: 127", "no-such-program")
    runs.build("FROM base\nRUN sh -c 'kill -9 $$'; exit $?\n").failed(1, "exit code: 137", "It was killed")


def test_secrets_are_hidden_in_what_a_failure_shows(runs: Program) -> None:
    dockerfile = "FROM base\nRUN --mount=type=secret,id=token cat /run/secrets/token; false\n"
    outcome = runs.build(dockerfile, "--secret", "id=token,env=TOKEN", env={"TOKEN": "hunter2hunter2"})
    outcome.failed(1, " ***")
    assert "hunter2" not in outcome.err


def test_a_progress_bar_is_shown_as_it_ended(runs: Program) -> None:
    outcome = runs.build(r"""FROM base
RUN printf '10%%\r50%%\r100%%\r\n'; printf 'a\rb'; false
""")
    outcome.failed(1, " 100%\n", " b\n")
    assert "50%\\x0d" not in outcome.err


def test_hints_name_words_of_bash_arrays_and_commands_that_are_too_long(runs: Program) -> None:
    runs.build("FROM base\nRUN pushd /\n").failed(1, "exit code: 127", "`pushd` is a word of bash")
    runs.build('FROM base\nRUN ["echo" "b"]\n').failed(1, "This is no JSON array, so it went to a shell: a comma")
    runs.build(f"FROM base\nRUN : {'x' * (140 << 10)}\n").failed(1, "128 KiB for one")
    runs.build(f"FROM base\nENV A={'x' * (140 << 10)}\nRUN true\n").failed(1, "128 KiB for one")
