"""The warm path: what a build that changes nothing must not even import, since every module costs its time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.settle import wait_until_settled

ROOT = Path(__file__).parent.parent

_BUILD = """
import json, os, sys
from builder.cli.main import main
code = main(json.loads(sys.argv[1]))
sys.stdout.flush()
os.write(2, json.dumps([code, sorted(sys.modules)]).encode())
"""

NEVER_WARM = (
    "lark", "rich", "urllib3", "pathspec", "tarfile", "ctypes", "subprocess", "logging", "importlib.metadata",
    "tempfile", "queue", "builder.dockerfile", "builder.sandbox", "builder.snapshot", "builder.registry",
    "builder.linux", "builder.layer.view", "builder.layer.index", "builder.layer.tar_reader",
    "builder.layer.tar_writer",
)  # fmt: skip
"""Modules, or rooms, that neither a receipt nor a cache hit for every step needs."""

NOT_FOR_A_RECEIPT = (
    *("dataclasses", "inspect", "shutil", "ipaddress", "asyncio", "socket"),
    *(
        "builder.plan",
        "builder.transport",
        "builder.image",
        "builder.layer",
        "builder.solve.solver",
        "builder.engine.session",
    ),
)


def build(store: Path, *words: str) -> set[str]:
    """Build in a process of its own; return the modules that it had at its end."""
    command = ["--root", str(store), "-q", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, json.dumps(command)], env=environment, capture_output=True, check=True, text=True
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


def among(modules: set[str], unwanted: tuple[str, ...]) -> list[str]:
    found = {name for name in modules if any(name == one or name.startswith(f"{one}.") for one in unwanted)}
    return sorted(found - ASKED_BY_ALL if os.geteuid() == 0 else found - ASKED_BY_ALL - ASKED_BY_USERS)


ASKED_BY_ALL = {
    "builder.linux",
    "builder.linux.cancel",
    "builder.linux.single_id",
    "builder.dockerfile",
    "builder.dockerfile.git_url",
}
"""Whether there is more than one user id decides the keys of a build, and an address whether its context is fetched."""
ASKED_BY_USERS = {"builder.linux.subordinate_ids"}
"""How many ids an ordinary user has stands in files; this reads them, and loads no ctypes."""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "src" / "deep").mkdir(parents=True)
    for number in range(20):
        (folder / "src" / "deep" / f"f{number}").write_text(str(number))
    (folder / "Dockerfile").write_text(
        "FROM scratch\nWORKDIR /app\nCOPY src /src\nCOPY --chown=1:2 --chmod=600 src/deep/f1 there/\nENV A=b\nCMD x\n"
    )
    wait_until_settled(folder)
    return folder


def test_a_build_with_a_receipt_imports_next_to_nothing(context: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = build(store, "-t", "warm", str(context))
    assert among(first, ("lark",)), "the first build has to parse"
    again = build(store, "-t", "warm", str(context))
    assert among(again, NEVER_WARM + NOT_FOR_A_RECEIPT) == []


def test_a_build_whose_steps_are_all_cached_imports_nothing_that_builds(context: Path, tmp_path: Path) -> None:
    store, words = tmp_path / "store", ("--build-context", f"other={tmp_path}", str(context.parent / "context"))
    build(store, *words)  # named contexts have no receipts
    again = build(store, *words)
    assert among(again, ("builder.solve.solver",)), "this is to go the whole way"
    assert among(again, NEVER_WARM) == []


@pytest.mark.parametrize("words", [["version"], ["parse", "Dockerfile"]], ids=lambda words: words[0])
def test_what_needs_no_store_does_not_bring_it(context: Path, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, json.dumps(words)],
        cwd=context, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=True, text=True,
    )  # fmt: skip
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    unwanted = ("sqlite3", "builder.store", "builder.sandbox", "builder.transport", "builder.snapshot")
    assert among(set(modules), unwanted) == []


def test_a_push_brings_neither_the_planner_nor_other_places() -> None:
    code = "import json, sys, builder.cli.verbs.transfers; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    unwanted = (
        *("lark", "rich", "ctypes", "builder.context", "builder.dockerfile", "builder.sandbox", "builder.snapshot"),
        *("builder.image.assemble", "builder.layer.index", "builder.plan.plan", "builder.plan.step"),
        *("builder.transport.output", "builder.transport.places.location"),
    )
    assert among(set(json.loads(done.stdout)), unwanted) == []


def test_a_cached_build_of_a_changed_label_writes_no_layer(context: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    build(store, "-t", "warm", str(context))
    again = build(store, "-t", "warm", "--label", "a=b", str(context))
    assert among(again, ("tarfile", "builder.layer.tar_writer", "builder.layer.view", "builder.sandbox")) == []
