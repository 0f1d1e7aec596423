"""Ctrl-C, SIGTERM, SIGHUP and SIGKILL in every phase of a build: nothing is left running, nothing mounted."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.crash.watch import Running, debris, gone_within, mounts_below, processes_with, verified
from tests.support.registry import FakeRegistry, Fault, make_image

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}
SIGNALS = pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)


def _assert_nothing_is_left(program: Program, marker: str) -> None:
    assert gone_within(5, marker), processes_with(marker)
    assert mounts_below(program.store) == []
    assert debris(program) == []
    verified(program)


def _interrupt(program: Program, tmp_path: Path, number: signal.Signals, until: str, *words: str) -> None:
    build = Running(program, tmp_path / "log", *words, ".")
    build.wait_for(until)
    code = build.stop(number)
    assert code == CODES[number], build.said()
    assert "Traceback" not in build.said()
    if number != signal.SIGKILL:
        assert build.said().rstrip().endswith("pybuild: interrupted")


@SIGNALS
def test_a_signal_in_a_run_kills_its_processes_and_the_next_build_works(
    runs: Program, tmp_path: Path, number: signal.Signals
) -> None:
    marker = f"{os.getpid()}.{int(number)}7"
    dockerfile = f"FROM base\nRUN setsid sleep {marker} & trap '' TERM INT HUP; echo be''gun; sleep {marker}\n"
    (runs.folder / "Dockerfile").write_text(dockerfile)
    _interrupt(runs, tmp_path, number, " begun")
    _assert_nothing_is_left(runs, f"sleep\0{marker}")
    runs.build("FROM base\nRUN echo again\n").succeeded()


def test_ctrl_c_at_a_terminal_reaches_all_and_ends_all(runs: Program, tmp_path: Path) -> None:
    marker = f"{os.getpid()}.991"
    (runs.folder / "Dockerfile").write_text(
        "".join(f"FROM base AS s{n}\nRUN echo be''gun {n}; sleep {marker}\n" for n in range(3))
        + "FROM base\n"
        + "".join(f"COPY --from=s{n} /etc/passwd /{n}\n" for n in range(3))
    )
    build = Running(runs, tmp_path / "log", ".")
    for n in range(3):
        build.wait_for(f" begun {n}")
    assert build.stop(signal.SIGINT, group=True) == 130
    assert "CANCELED" in build.said()
    _assert_nothing_is_left(runs, f"sleep\0{marker}")


@SIGNALS
def test_a_signal_in_a_copy_of_many_files_leaves_no_half_layer(
    pybuild: Program, tmp_path: Path, number: signal.Signals
) -> None:
    for folder in range(40):
        (pybuild.folder / f"d{folder}").mkdir()
        for file in range(250):
            (pybuild.folder / f"d{folder}" / f"f{file}").write_text(f"{folder} {file}")
    (pybuild.folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    _interrupt(pybuild, tmp_path, number, "COPY . /")
    _assert_nothing_is_left(pybuild, f"-m\0builder\0--progress=plain\0{pybuild.folder}")
    assert "DONE" in pybuild.build(None).succeeded().err, "the interrupted step was taken for done"


@SIGNALS
def test_a_signal_in_a_pull_leaves_nothing_half_pulled(
    pybuild: Program, tmp_path: Path, number: signal.Signals
) -> None:
    layers = [{f"file{n}": os.urandom(3_000_000)} for n in range(3)]
    with FakeRegistry() as registry:
        image = make_image(layers)
        name = registry.add_image("library/x", "1", image)
        # Layers come slowly: the registry says that it is busy, and to ask again in a second.
        for layer in json.loads(image.manifest)["layers"][1:]:
            busy = Fault(layer["digest"], times=1000, status=503, headers={"Retry-After": "1"})
            registry.faults.append(busy)
        (pybuild.folder / "Dockerfile").write_text(f"FROM {name}\nCOPY Dockerfile /\n")
        _interrupt(pybuild, tmp_path, number, "pull ")
        registry.faults.clear()
        _assert_nothing_is_left(pybuild, f"builder\0{pybuild.folder}")
        pybuild.build(None).succeeded()


@SIGNALS
def test_a_signal_while_an_output_is_written_leaves_the_old_output_or_none(
    pybuild: Program, tmp_path: Path, number: signal.Signals
) -> None:
    (pybuild.folder / "big").write_bytes(os.urandom(60_000_000))
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    target = outputs / "image.tar"
    target.write_text("the old one")
    pybuild.build("FROM scratch\nCOPY big /\n").succeeded()
    _interrupt(pybuild, tmp_path, number, "CACHED", "-o", f"type=oci,compression=gzip,dest={target}")
    assert target.read_text() == "the old one"
    left: Callable[[], list[str]] = lambda: sorted(os.listdir(outputs))  # noqa: E731
    if number != signal.SIGKILL:
        assert left() == ["image.tar"]
    _assert_nothing_is_left(pybuild, f"dest={target}")
    pybuild.build(None, "-o", f"type=oci,compression=gzip,dest={target}").succeeded()
    assert target.stat().st_size > 50_000_000
    assert left() == ["image.tar"]
