"""A secret that gets into a layer is warned of, by its name and the step; what it is is never said."""

from __future__ import annotations

import sqlite3

import pytest

from tests.cli.program import Outcome, Program
from tests.support.settle import wait_until_settled

VALUE = "s3cr3t-of-mine"
MOUNT = "--mount=type=secret,id=tok"


def built(program: Program, instruction: str, value: str = VALUE) -> Outcome:
    (program.folder.parent / "tok").write_text(value)
    return program.build(f"FROM base\n{instruction}\n", "--secret=id=tok,src=../tok").succeeded()


@pytest.mark.parametrize(
    ("instruction", "place"),
    [
        (f"RUN {MOUNT} cp /run/secrets/tok /kept", " (/kept)"),
        (f"RUN {MOUNT},env=TOK sh -c 'echo \"key=$TOK;\" > /etc/conf'", " (/etc/conf)"),
        (f"RUN {MOUNT},env=TOK ln -s $TOK /link", ""),
        (f"RUN {MOUNT},env=TOK touch /$TOK", ""),
        ("COPY copy /app/", " (/app/copy)"),
        ("COPY big /app/", " (/app/big)"),
    ],
)
def test_a_secret_in_a_layer_is_warned_of(runs: Program, instruction: str, place: str) -> None:
    (runs.folder / "copy").write_text(f"password: {VALUE}\n")
    (runs.folder / "big").write_text("x" * 3_000_000 + VALUE + "x" * 3_000_000)
    outcome = built(runs, instruction)
    (line,) = [line for line in outcome.err.splitlines() if "SecretInLayer" in line]
    assert "the value of secret tok is in the layer of [2/2] " + instruction.split()[0] in line
    assert f"{place}: whoever has the image has it (line 2)" in line
    assert VALUE not in outcome.err


@pytest.mark.parametrize("value", [VALUE, "short", ""])
def test_a_secret_that_is_only_used_is_not_warned_of(runs: Program, value: str) -> None:
    outcome = built(runs, f"RUN {MOUNT} test -e /run/secrets/tok && echo short > /file", value)
    assert "SecretInLayer" not in outcome.err


def test_a_binary_secret_is_found(runs: Program) -> None:
    (runs.folder.parent / "tok").write_bytes(b"\0\1\2\3\4\5\n")
    outcome = runs.build(f"FROM base\nRUN {MOUNT} cp /run/secrets/tok /k\n", "--secret=id=tok,src=../tok").succeeded()
    assert "SecretInLayer" in outcome.err


def test_it_is_said_again_though_somebody_built_without_the_secret_meanwhile(runs: Program) -> None:
    (runs.folder / "copy").write_text(f"password: {VALUE}\n")
    built(runs, "COPY copy /app/")
    (runs.folder / "copy").touch()
    assert "SecretInLayer" not in runs.build("FROM base\nCOPY copy /app/\n").succeeded().err
    wait_until_settled(runs.folder)
    assert "SecretInLayer" not in runs.build("FROM base\nCOPY copy /app/\n").succeeded().err
    assert "SecretInLayer" in built(runs, "COPY copy /app/").err


def test_that_it_cannot_be_told_is_said_too(runs: Program) -> None:
    (runs.folder / "copy").write_text(f"password: {VALUE}\n")
    built(runs, "COPY copy /app/")
    with sqlite3.connect(runs.store / "facts.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    outcome = runs.build("FROM base\nCOPY copy /app/\n", "--secret=id=tok,src=../tok", "--label=a=b").succeeded()
    (line,) = [line for line in outcome.err.splitlines() if "SecretInLayer" in line]
    assert "whether cached layers hold the value of a secret cannot be told" in line


@pytest.mark.parametrize("instruction", [f"RUN {MOUNT} cp /run/secrets/tok /kept", "COPY copy /app/"])
@pytest.mark.parametrize("more", [(), ("--label=a=b",), ("--build-context=other=.",)], ids=["same", "label", "context"])
def test_it_is_said_again_when_the_step_is_cached(runs: Program, instruction: str, more: tuple[str, ...]) -> None:
    (runs.folder / "copy").write_text(f"password: {VALUE}\n")
    built(runs, instruction)
    outcome = runs.build(f"FROM base\n{instruction}\n", "--secret=id=tok,src=../tok", *more).succeeded()
    assert "CACHED" in outcome.err
    assert outcome.err.count("SecretInLayer") == 1
