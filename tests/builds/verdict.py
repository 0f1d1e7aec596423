"""Judge what a builder made of a case: a list of differences, empty when all is well."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from tests.builds.base_image import BaseImage
from tests.builds.cases import Case
from tests.builds.compare import Difference, compare, failed_checks
from tests.builds.oracle import ask_peer, build_case
from tests.builds.results import Result

LOG_TAIL_CHARACTERS = 1500


def judge_pybuild(case: Case, base: BaseImage, expected: Result | None = None) -> list[Difference]:
    """Build with pybuild and compare with expected.json, or with a result given."""
    found = build_case(case, "pybuild", base)
    if case.fails is not None:
        return judge_failure(case.fails.message, found)
    if "failed" in found:
        return [Difference("build", "an image", tail(found["log"]))]
    differences = [Difference("well-formed", [], found["faults"])] if found["faults"] else []
    differences += failed_checks(case, found)
    if case.oracle != "none":
        differences += compare(case, expected or load_expected(case), found)
    return differences


def judge_failure(message: str, found: Result) -> list[Difference]:
    if "failed" not in found:
        return [Difference("build", f"fails with /{message}/", "an image")]
    if "Traceback (most recent call last)" in found["log"]:
        return [Difference("build", "an error of our own", tail(found["log"]))]
    if not re.search(message, found["log"]):
        return [Difference("message", f"/{message}/", tail(found["log"]))]
    return []


def judge_peer(case: Case, peer: str, base: BaseImage) -> list[Difference]:
    """Tell whether expected.json is still what the peer makes of the case."""
    found = ask_peer(case, peer, base)
    if case.fails is not None:
        if ("failed" in found) == bool(case.fails.peer_builds):
            said = tail(found["log"]) if "failed" in found else f"{peer} builds it"
            return [Difference("build", "failure", said)]
        return []
    if "failed" in found:
        return [Difference("build", "an image", tail(found["log"]))]
    expected = load_expected(case)
    return compare_exactly(case, expected, found)


def compare_exactly(case: Case, expected: Result, found: Result) -> list[Difference]:
    """Compare a peer with its own record: wanted differences do not count here."""
    return compare(replace(case, differences={}), expected, found)


def load_expected(case: Case) -> Result:
    if not case.expected_file.exists():
        return {"base": "?", "config": {}, "history": [], "layers": 0, "removed": [], "tree": {}}
    expected: Result = json.loads(case.expected_file.read_text())
    return expected


def tail(log: str) -> str:
    """Return the end of a log, where the error is."""
    return log.strip()[-LOG_TAIL_CHARACTERS:]
