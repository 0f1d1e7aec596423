"""Jobs in another process: JSON and a store are enough to make the layer that the ordinary build made."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from builder.oci.digest import DiffID
from builder.solve.job import job_from_json
from builder.solve.worker import Worker
from builder.store.store import Store, open_store
from tests.support.busybox import BUSYBOX
from tests.support.jobs import run_program

SECRET = "a value that nobody may see"
DOCKERFILE = """\
FROM scratch AS tools
WORKDIR /made
COPY --chmod=755 busybox /bin/sh
RUN echo made >/made/file; echo "said so"
FROM scratch
COPY --from=tools /made /here
COPY --exclude=*.o src /src/
COPY --chmod=755 busybox /bin/sh
RUN --mount=target=/context --mount=from=tools,target=/tools --mount=type=secret,id=token,required \\
    read line </context/src/kept; echo "$line" >/line; read line </tools/made/file; echo "$line" >>/line
"""


@dataclass(frozen=True)
class Built:
    """A build, and the jobs that it was made of, by the keyword and source of their steps."""

    store: Path
    jobs: dict[str, dict[str, Any]]
    results: dict[str, dict[str, Any]]

    def store_without(self, name: str, folder: Path) -> Path:
        """Return a copy of the store in which the layer of that job is not, nor any tree that was unpacked."""
        shutil.copytree(self.store, folder, ignore=shutil.ignore_patterns("snapshots"), symlinks=True)
        (folder / "snapshots").mkdir()
        with open_store(str(folder)) as store:
            diff_id = DiffID(self.results[name]["layer"]["diff_id"])
            os.unlink(store.blobs.path(diff_id))
            os.unlink(store.layers.index_path(diff_id))
        return folder


NAMES = ("WORKDIR", "COPY busybox", "RUN", "COPY --from", "COPY src", "COPY again", "RUN with mounts")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if not BUSYBOX:
        pytest.fail("there is no static busybox")
    folder = tmp_path_factory.mktemp("jobs")
    context = folder / "context"
    (context / "src").mkdir(parents=True)
    for name, text in {"kept": "kept\n", "left.o": "object", "hidden": "no part of the context"}.items():
        (context / "src" / name).write_text(text)
    (context / ".dockerignore").write_text("src/hidden\n")
    (context / "Dockerfile").write_text(DOCKERFILE)
    shutil.copy(BUSYBOX, context / "busybox")
    lines = run_program("build", str(folder / "store"), str(context), f"token={SECRET}")
    steps = {line["job"]["step"]["id"]: line for line in lines if "job" in line}
    named = dict(zip(NAMES, (steps[number] for number in sorted(steps)), strict=True))
    return Built(
        folder / "store",
        {name: line["job"] for name, line in named.items()},
        {name: line["result"] for name, line in named.items()},
    )


@pytest.mark.parametrize("name", NAMES)
def test_another_process_makes_the_same_layer_of_a_job(built: Built, tmp_path: Path, name: str) -> None:
    root = built.store_without(name, tmp_path / "store")
    lines = run_program("execute", str(root), f"token={SECRET}", given=json.dumps(built.jobs[name]))
    assert lines[-1]["result"] == built.results[name]
    with open_store(str(root)) as store:
        store.blobs.verify(DiffID(built.results[name]["layer"]["diff_id"]))
    if name == "RUN":
        assert {"event": "step-output", "step": 2, "line": "said so"} in lines


def test_what_executes_a_job_has_neither_engine_nor_solver_nor_build_context(built: Built, tmp_path: Path) -> None:
    root = built.store_without("COPY src", tmp_path / "store")
    (line,) = run_program("execute", str(root), given=json.dumps(built.jobs["COPY src"]))
    unwanted = (
        "builder.engine",
        "builder.solve.context",
        "builder.solve.solver",
        "builder.context.load",
        "builder.cli",
    )
    assert [module for module in line["modules"] if module.startswith(unwanted)] == []


def test_no_job_holds_the_value_of_a_secret(built: Built) -> None:
    assert [mount["is"] for mount in built.jobs["RUN with mounts"]["step"]["op"]["mounts"]][-1] == "SecretMount"
    assert SECRET not in json.dumps(list(built.jobs.values()))


def test_a_secret_that_is_not_handed_beside_a_job_is_missing(built: Built, tmp_path: Path) -> None:
    root = built.store_without("RUN with mounts", tmp_path / "store")
    lines = run_program("execute", str(root), given=json.dumps(built.jobs["RUN with mounts"]))
    assert lines[-1]["error"]["message"] == "secret token: not found"


def test_a_job_knows_its_key_where_its_inputs_were_read(built: Built) -> None:
    with open_store(str(built.store)) as store:
        keys = {name: job_from_json(job).key() for name, job in built.jobs.items()}
        assert keys["COPY src"] is None, "a copy that was never made is digested while it is made"
        for name in ("RUN", "RUN with mounts"):
            key = keys[name]
            assert key is not None
            record = store.records.find(key)
            if built.results[name]["in_chroot"]:
                continue  # its key says so
            assert record is not None
            assert record.layer is not None
            assert str(record.layer.diff_id) == built.results[name]["layer"]["diff_id"]


def test_a_sandbox_is_closed_whatever_interrupts_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    worker = Worker(store)
    worker._opened = cast(Any, SimpleNamespace(sandbox=SimpleNamespace(close=lambda: closed.append("sandbox"))))
    worker.tools("one")._stack.callback(lambda: closed.append("tools"))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("builder.solve.worker.empty_trash_within", interrupted)
    with pytest.raises(KeyboardInterrupt):
        worker.close()
    assert closed == ["tools", "sandbox"]
