"""A build record that goes with the image: pushed as an artifact, taken along by a pull, asked for by `explain`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.cli.main import main
from builder.engine.build import build
from builder.engine.build_record import BuildRecord, RecordedStep
from builder.engine.carried_record import carried_from_bytes, carried_to_bytes, keep_carried
from builder.engine.request import BuildRequest
from builder.engine.result import ImageReport, StepReport
from builder.solve.difference import Difference
from builder.solve.event_json import event_to_json
from builder.solve.events import StepStarted
from builder.store.store import open_store
from tests.support.registry import FakeRegistry

LINES = "FROM scratch AS a\nCOPY f /f\nFROM scratch\nCOPY --from=a /f /g\nENV A=1\n"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def pushed(registry: FakeRegistry, store: str, tmp_path: Path, *words: str) -> str:
    """Build an image and push it with its record; return its name."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(LINES)
    (context / "f").write_text("f")
    name = f"{registry.host}/shop:1"
    build(BuildRequest(root=store, context=str(context), tags=(name,)))
    assert main(["push", "--root", store, *words, name]) == 0
    return name


def explained(capsys: pytest.CaptureFixture[str], store: str, image: str) -> Any:
    capsys.readouterr()
    assert main(["explain", "--root", store, "--format", "json", image]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("knows", [True, False], ids=["referrers", "fallback-tag"])
def test_a_record_is_read_where_the_image_was_not_built(
    registry: FakeRegistry, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], knows: bool
) -> None:
    registry.knows_referrers = knows
    name = pushed(registry, store, tmp_path, "--record")
    assert re.search(r"1: build record attached \(\S+B\), with the Dockerfile's text", capsys.readouterr().out)
    here = explained(capsys, store, name)
    elsewhere = explained(capsys, str(tmp_path / "second"), f"docker://{name}")
    assert elsewhere["dockerfile"]["text"] == LINES
    assert elsewhere["steps"] == here["steps"]
    third = str(tmp_path / "third")
    assert main(["pull", "-q", "--root", third, "--record", name]) == 0
    assert explained(capsys, third, name)["steps"] == here["steps"]


def test_without_a_record_history_is_shown_and_a_pull_says_so(
    registry: FakeRegistry, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = pushed(registry, store, tmp_path)
    second = str(tmp_path / "second")
    assert main(["pull", "-q", "--root", second, "--record", name]) == 0
    assert "has no build record attached" in capsys.readouterr().err
    assert explained(capsys, second, name)["dockerfile"] is None
    assert main(["push", "-q", "--root", second, "--record", name]) == 1
    assert "no record of the build" in capsys.readouterr().err


def test_values_of_variables_do_not_travel(
    store: str,
) -> None:
    changed = Difference("argument-changed", "ARG TOKEN hunter1 → hunter2", "TOKEN", "hunter1", "hunter2")
    event = event_to_json(StepStarted(0, "RUN", changed.words, differences=(changed,)))
    step = StepReport(0, "RUN", "a", False, reason=changed.words)
    record = BuildRecord(
        1, 1.0, "a", "sha256:0", ("a",), (ImageReport("linux/amd64", "sha256:1", 1, 1, (step,)),),
        (RecordedStep("linux/amd64", 0, 1, 1, "Dockerfile", None, ()),), (("linux/amd64", 0),), ("Dockerfile", ""),
        ((0.1, event),),
    )  # fmt: skip
    with open_store(store) as opened:
        data = carried_to_bytes(opened, record)
    assert b"hunter" not in data
    carried = carried_from_bytes(data)
    assert carried is not None
    assert carried.record.images[0].steps[0].reason == "ARG TOKEN changed"


def _set(path: str, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *way, last = [int(word) if word.lstrip("-").isdigit() else word for word in path.split(".")]
        for word in way:
            document = document[word]
        document[last] = value

    return change


HOSTILE = {
    "format": _set("format", 999), "a string for a number": _set("record.began", "now"),
    "no list": _set("record.steps", 5), "no step": _set("record.steps.0", 5),
    "no text": _set("record.dockerfile.1", None),
    "other layers": _set("record.images.0.4.1.5", "sha256:" + "0" * 64), "a circle": _set("record.steps.1.5", 1),
    "a circle of one": _set("record.steps.0.5", 0), "a step that is none": _set("record.results.0.1", 77),
    "other image": _set("record.images.0.1", "sha256:" + "0" * 64), "unknown step": _set("record.steps.1.6", [77]),
    "no preimages": _set("preimages", [1]), "nested": _set("record.events", [[1, [[]]]]),
    "no differences": _set("record.events.1.1.differences", [{"kind": "none", "words": 1}]),
}  # fmt: skip


def test_what_comes_along_is_anybodys(
    registry: FakeRegistry, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = pushed(registry, store, tmp_path, "--record")
    digest, good = next((key, data) for key, data in registry.blobs.items() if data.startswith(b'{"format"'))
    record = carried_from_bytes(good)
    assert record is not None
    # A stage that something was copied from is not in the image, and may have been given what must not travel.
    assert set(record.preimages) == {step.key for step in record.record.images[0].steps if step.stage == "stage-1"}
    second = str(tmp_path / "second")
    registry.blobs[digest] = good.replace(b"COPY", b"COPX")  # not what its descriptor says
    assert explained(capsys, second, f"docker://{name}")["dockerfile"] is None
    assert main(["pull", "-q", "--root", second, name]) == 0
    manifest = explained(capsys, second, name)["manifest"]
    for what, change in HOSTILE.items():
        document = json.loads(good)
        change(document)
        with open_store(second) as opened:
            keep_carried(opened, manifest, json.dumps(document).encode())
        assert explained(capsys, second, name)["dockerfile"] is None, what
    with open_store(second) as opened:
        keep_carried(opened, manifest, good)
    assert explained(capsys, second, name)["dockerfile"]["text"] == LINES
