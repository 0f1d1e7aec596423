"""Every rule of the language is proved or decided, and the pages that say so are up to date."""

from __future__ import annotations

import ast
import fnmatch
import tomllib

import pytest

from tests.builds.cases import case_names
from tests.differences import BUILDAH_FILE, DIFFERENCES_FILE, render_differences
from tests.flags import FLAGS_FILE, render_flags
from tests.rules import (
    BESIDE,
    LANGUAGE_FILE,
    Proof,
    collect_proofs,
    ids_before,
    load_rules,
    missing_rules,
    render_language,
    rules_of,
    unknown_rules,
)

REFRESH = "write it again: python -m tests.rules --refresh"


def test_every_rule_has_a_test_or_a_decision() -> None:
    assert missing_rules(load_rules(), collect_proofs()) == []


def test_every_marker_names_a_rule() -> None:
    assert unknown_rules(load_rules(), collect_proofs()) == []


def test_the_page_of_the_language_is_up_to_date() -> None:
    assert LANGUAGE_FILE.read_text("utf-8") == render_language(load_rules(), collect_proofs()), REFRESH


def test_the_page_of_differences_is_up_to_date() -> None:
    assert DIFFERENCES_FILE.read_text("utf-8") == render_differences(load_rules()), REFRESH


def test_the_page_of_flags_is_up_to_date() -> None:
    assert FLAGS_FILE.read_text("utf-8") == render_flags(), REFRESH


def test_differences_from_buildah_are_shown_by_cases() -> None:
    rows = tomllib.loads(BUILDAH_FILE.read_text("utf-8"))["difference"]
    globs = [glob for row in rows for glob in row["cases"]]
    assert [glob for glob in globs if not fnmatch.filter(case_names(), glob)] == []


def test_every_decision_says_how_it_stands_beside_buildkit() -> None:
    decisions = {rule.id: rule.decision for rules in load_rules().values() for rule in rules if rule.decision}
    assert {id: decision.beside for id, decision in decisions.items() if decision.beside not in BESIDE} == {}


def test_a_rule_without_a_test_and_a_marker_without_a_rule_are_noticed() -> None:
    sections = load_rules()
    first = next(rule for rules in sections.values() for rule in rules if rule.decision is None)
    others = tuple(proof for proof in collect_proofs() if proof.rule != first.id)
    assert missing_rules(sections, others) == [first.id]
    assert unknown_rules(sections, (Proof("C-99", "test", "test_x.py::test_y"),)) == ["C-99 of test_x.py::test_y"]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("C-6: parents", ("C-6",)),
        ("C-6, X2: parents", ("C-6", "X2")),
        ("C-6 parents", ()),
        ("parents: C-6", ()),
        ("LY10: not one of these", ()),
    ],
)
def test_the_ids_of_a_case_stand_before_what_it_shows(text: str, ids: tuple[str, ...]) -> None:
    assert ids_before(text) == ids


@pytest.mark.parametrize(
    ("source", "ids"),
    [
        ('@pytest.mark.rule("C-6", "C-7")\n@pytest.mark.rule("X2")\ndef test_x(): ...', ["C-6", "C-7", "X2"]),
        (
            '@pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.rule("C-6"))])\ndef test_x(a): ...',
            ["C-6"],
        ),
        ('def test_x():\n    """Like @pytest.mark.rule("C-6")."""', []),
        ("@pytest.mark.skip\ndef test_x(): ...", []),
    ],
)
def test_markers_are_found_in_the_source_and_not_in_its_texts(source: str, ids: list[str]) -> None:
    (test,) = ast.parse(source).body
    assert isinstance(test, ast.FunctionDef)
    assert list(rules_of(test)) == ids


def test_a_marker_that_is_computed_is_refused() -> None:
    (test,) = ast.parse("@pytest.mark.rule(*names)\ndef test_x(): ...").body
    assert isinstance(test, ast.FunctionDef)
    with pytest.raises(ValueError, match="malformed node"):
        list(rules_of(test))
