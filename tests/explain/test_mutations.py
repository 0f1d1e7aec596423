"""Change one thing: the reason names exactly that thing, `plan` said it, `--if-changed` foretold which steps run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

from builder.engine.build import build, dry_run
from builder.engine.build_record import record_of
from builder.engine.foretell import foretell
from builder.engine.request import BuildRequest
from builder.engine.step_graph import graph_of_record
from builder.engine.why import why
from builder.oci.digest import Digest
from builder.solve.difference import Difference
from builder.solve.events import Event, StepFinished, StepStarted
from builder.store.store import open_store
from tests.builds.base_image import find_base_image
from tests.explain.mutations import MUTATIONS, Mutation, World, lay_out
from tests.support.alone import in_child

AT_ONCE = 16
"""Mutations a child: it has a minute, and needs seconds."""


class Seen(NamedTuple):
    """What was said of one mutation."""

    ran: dict[str, str]
    """Step that ran → the line that displays show."""
    differences: dict[str, tuple[Difference, ...]]
    """Step → what the record keeps."""
    planned: Mapping[str, tuple[str, str]]
    """Step → (outcome, line) of the plan."""
    certain: frozenset[str]
    perhaps: frozenset[str]


def code(title: str) -> str:
    found = re.match(r"\[(\w)\w* (\d+)/", title)
    assert found, title
    return f"{found[1]}{found[2]}"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    folder = tmp_path_factory.mktemp("mutations")
    base = find_base_image(folder)
    rows = iter(MUTATIONS)
    found: dict[str, Seen] = {}
    # In children: a process that has entered its namespaces once can't leave them.
    request = BuildRequest(
        root=str(folder / "store"),
        context=str(folder / "context"),
        build_contexts={"base": f"oci-layout://{folder}/layouts/moving:latest"},
        tags=("it:1",),
        timestamp="0",  # a layer must not hang on the second in which it was made
    )
    in_child(lambda: prepare(folder, request, base.layout))
    while some := tuple(islice(rows, AT_ONCE)):
        found |= in_child(partial(tried, folder, request, some))
    return found


def prepare(folder: Path, request: BuildRequest, layout: Path) -> None:
    """Make the layouts of the base image, as it is and as it will be."""
    context, layouts = folder / "context", folder / "layouts"
    layouts.mkdir()
    shutil.copytree(layout, layouts / "moving")
    lay_out(context)
    for name in ("moved", "other"):
        (context / "Dockerfile").write_text(f"FROM base\nCOPY README /{name}\n")
        build(request._replace(outputs=(f"type=oci,dest={layouts}/{name},tar=false,name=latest",)))


def tried(folder: Path, request: BuildRequest, rows: tuple[Mutation, ...]) -> dict[str, Seen]:
    context, layouts = folder / "context", folder / "layouts"
    found = {}
    for row in rows:
        lay_out(context)
        # What is compared is the last build, also one that had nothing to do: so no store need be copied.
        before = build(request)
        steps = {code(step.title): step for step in before.images[0].steps if step.key}
        keys = {name: step.key for name, step in steps.items()}
        layers = {name: step.layer for name, step in steps.items()}
        certain, perhaps = foretold(request, before.descriptor.digest, row.paths)
        again = row.act(World(context, request, layouts, keys, layers)) or request
        moves = row.kind == "base-moved"
        if moves:
            swap(layouts)
        planned = {
            code(status.step.title): (status.outcome, status.reason)
            for each in dry_run(again)
            for status in each.steps
            if "FROM" not in status.step.title
        }
        events: list[Event] = []
        result = build(again, events.append)
        finished = {event.step for event in events if isinstance(event, StepFinished) and event.key}
        started = {code(e.title): e.reason for e in events if isinstance(e, StepStarted) and e.step in finished}
        with open_store(request.root) as store:
            record = record_of(store, result.descriptor.digest)
        assert record is not None
        differences = {code(each.node.title): each.differences for each in why(record) if each.node.number}
        if moves:
            swap(layouts)
        found[row.name] = Seen(started, differences, planned, certain, perhaps)
    return found


def swap(layouts: Path) -> None:
    for was, now in (("moving", "aside"), ("moved", "moving"), ("aside", "moved")):
        os.rename(layouts / was, layouts / now)


def foretold(request: BuildRequest, manifest: Digest, paths: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    if not paths:
        return frozenset(), frozenset()
    with open_store(request.root) as store:
        record = record_of(store, manifest)
        assert record is not None
        found = foretell(store, graph_of_record(record), paths)
    sides = ([code(step.node.title) for step in found.steps if step.certain is wanted] for wanted in (True, False))
    certain, perhaps = map(frozenset, sides)
    return certain, perhaps


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize("row", MUTATIONS, ids=[row.name for row in MUTATIONS])
def test_what_was_changed_is_the_reason_and_was_foretold(seen: dict[str, Seen], row: Mutation) -> None:
    found = seen[row.name]
    assert set(found.ran) == set(row.ran.split())
    if row.kind is not None:
        (difference,) = found.differences[row.at]
        assert (difference.kind, difference.subject) == (row.kind, row.subject or difference.subject)
        assert found.ran[row.at], "the display says it"
    for step, (outcome, line) in found.planned.items():
        assert outcome == "waits" or (outcome == "miss") is (step in found.ran), step
        if step in found.ran and not line.startswith("waits for "):
            assert line == found.ran[step], step
    if row.paths:
        assert found.perhaps == set(row.perhaps.split())
        assert found.certain == set(found.ran) - found.perhaps
