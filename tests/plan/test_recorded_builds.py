"""Config and history of every case of fixtures/builds, compared with what the peer made of it. No build needed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from builder.dockerfile.parser import parse_dockerfile
from builder.errors import PlanError, PybuildError
from builder.oci.config import DEFAULT_PATH, RuntimeConfig
from builder.plan.options import PlanOptions
from builder.plan.plan import Plan
from builder.plan.planner import make_plan
from tests.builds.cases import BASE_NAME, Case, case_names, load_case
from tests.builds.results import normal_config
from tests.plan.resolver import AMD64, FakeResolver, image_config

CASES = [case for case in map(load_case, case_names()) if (case.folder / "Dockerfile").exists()]
BASE = image_config(runtime=RuntimeConfig(env=(f"PATH={DEFAULT_PATH}",), cmd=("sh",)))


def planned(case: Case) -> Plan:
    options: dict[str, Any] = {"labels": {}}
    words = iter(case.options)
    for word in words:
        name, _, value = word.partition("=")
        if name == "--label":
            key, _, text = (value or next(words)).partition("=")
            options["labels"][key] = text
        elif name == "--platform":
            options["explicit_platform"] = True
    named = {n: f"docker-image://{v}" if v == BASE_NAME else f"/dir/{v}" for n, v in case.contexts.items()}
    build_args = {name: value.replace("$URL", "http://127.0.0.1:0") for name, value in case.build_args.items()}
    platforms = {"platform": AMD64, "build_platform": AMD64}
    options |= platforms | {"build_args": build_args, "target": case.target, "named_contexts": named}
    dockerfile = parse_dockerfile((case.folder / "Dockerfile").read_bytes(), "Dockerfile")
    return make_plan(dockerfile, PlanOptions(**options), FakeResolver({BASE_NAME: BASE}))


def peer_made(case: Case) -> dict[str, Any] | None:
    """Return the record of a case that docker (BuildKit) built."""
    if case.fails or case.oracle != "docker" or case.differences or not case.expected_file.exists():
        return None
    found: dict[str, Any] = json.loads(case.expected_file.read_text())
    return found if "history" in found else None


RECORDED = [(case, record) for case in CASES if (record := peer_made(case))]
FAILING = [case for case in CASES if case.fails]


def without_healthcheck(text: str) -> str:
    """The peer at hand prints a Go pointer here; newer frontends print the fields by name, as we do."""
    return "HEALTHCHECK" if text.startswith("HEALTHCHECK") else text


def test_there_are_records_to_compare_with() -> None:
    assert len(RECORDED) > 300


@pytest.mark.parametrize(("case", "record"), RECORDED, ids=[case.name for case, _ in RECORDED])
def test_config_and_history_are_what_the_peer_made(case: Case, record: dict[str, Any]) -> None:
    plan = planned(case)
    history = [
        (without_healthcheck(re.sub(" # pybuild$", " # (builder)", entry.created_by)), entry.step is None)
        for entry in plan.image.history
    ]
    wanted = [(without_healthcheck(entry["created_by"]), entry["empty_layer"]) for entry in record["history"]]
    assert history == wanted
    assert normal_config(plan.image.config.to_json()) == record["config"]


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
def test_a_plan_that_must_fail_fails_with_the_words_of_its_case_or_leaves_it_to_the_build(case: Case) -> None:
    assert case.fails is not None
    wanted = re.compile(case.fails.message.replace("(?i)", ""), re.IGNORECASE)
    try:
        planned(case)
    except PlanError as error:
        message = error.message
    except PybuildError:
        return  # the reader's errors have tests of their own
    else:
        return
    assert wanted.search(message)
