"""Which rule of the Dockerfile language is proved by what.

    docs/rules.toml                      the rules, their titles, and the decisions
    @pytest.mark.rule("C-6")             a test that proves a rule
    fixtures/builds/*/case.json          "rule": "C-6, C-7: what the case shows"
    fixtures/words/cases.txt             "# V-2, V-3: what the rows show"

    python -m tests.rules                say how many rules are proved, and what is missing
    python -m tests.rules --refresh      write the pages of docs/ that come from tables

Markers are read from the source, so nothing is imported and a docstring proves nothing.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
RULES_FILE = CHECKOUT / "docs" / "rules.toml"
LANGUAGE_FILE = CHECKOUT / "docs" / "language.md"
BESIDE = ("same", "more", "warned", "other", "refused")
_IDS = re.compile(r"((?:[A-Z]-|X)[0-9]+(?:, (?:[A-Z]-|X)[0-9]+)*): ")


@dataclass(frozen=True, slots=True)
class Decision:
    beside: str
    """How the result stands beside BuildKit's: one of BESIDE."""
    choice: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    title: str
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class Proof:
    """`rule` is named by `test` (path::name, a build case, or a part of the table of words), a thing of `kind`."""

    rule: str
    kind: str
    test: str


Sections = dict[str, tuple[Rule, ...]]


def load_rules() -> Sections:
    """Read the rules by section, in their order. Raises KeyError for a decision about no rule."""
    document = tomllib.loads(RULES_FILE.read_text("utf-8"))
    decisions = {rule: Decision(**fields) for rule, fields in document["decisions"].items()}
    sections = {
        section["name"]: tuple(Rule(rule, title, decisions.pop(rule, None)) for rule, title in section["rules"].items())
        for section in document["section"]
    }
    if decisions:
        raise KeyError(f"decisions about no rule: {', '.join(decisions)}")
    return sections


def collect_proofs() -> tuple[Proof, ...]:
    """Return every test and case that names a rule, sorted."""
    found = [*_marked_tests(), *_build_cases(), *_word_tables()]
    return tuple(sorted(set(found), key=lambda proof: (proof.rule, proof.kind, proof.test)))


def _marked_tests() -> Iterator[Proof]:
    for path in sorted((CHECKOUT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"), str(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                test = f"{path.relative_to(CHECKOUT)}::{node.name}"
                yield from (Proof(rule, "test", test) for rule in rules_of(node))


def rules_of(test: ast.FunctionDef) -> Iterator[str]:
    """Yield what the markers of a test name, those of single parameters too. Raises ValueError unless literal."""
    for decorator in test.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.rule":
                yield from (ast.literal_eval(argument) for argument in node.args)


def _build_cases() -> Iterator[Proof]:
    for path in sorted((CHECKOUT / "fixtures" / "builds").glob("*/case.json")):
        shows = json.loads(path.read_text("utf-8"))["rule"]
        yield from (Proof(rule, "build", path.parent.name) for rule in ids_before(shows))


def _word_tables() -> Iterator[Proof]:
    path = CHECKOUT / "fixtures" / "words" / "cases.txt"
    for line in path.read_text("utf-8").split("\n"):
        if line.startswith("# "):
            yield from (Proof(rule, "words", line.partition(": ")[2]) for rule in ids_before(line[2:]))


def ids_before(text: str) -> tuple[str, ...]:
    """Return the ids that `text` begins with: `C-6, C-7: …`; none where it begins otherwise."""
    match = _IDS.match(text)
    return tuple(match[1].split(", ")) if match else ()


def missing_rules(sections: Sections, proofs: tuple[Proof, ...]) -> list[str]:
    """Return the ids that have neither a test nor a decision."""
    proved = {proof.rule for proof in proofs}
    return [rule.id for rules in sections.values() for rule in rules if rule.id not in proved and not rule.decision]


def unknown_rules(sections: Sections, proofs: tuple[Proof, ...]) -> list[str]:
    """Return the tests that name an id which is no rule."""
    known = {rule.id for rules in sections.values() for rule in rules}
    return [f"{proof.rule} of {proof.test}" for proof in proofs if proof.rule not in known]


def render_language(sections: Sections, proofs: tuple[Proof, ...]) -> str:
    """Return docs/language.md."""
    rules = [rule for section in sections.values() for rule in section]
    proved = {proof.rule for proof in proofs}
    decided = sum(1 for rule in rules if rule.decision)
    lines = [
        "# The Dockerfile language, rule by rule",
        "",
        "<!-- written by python -m tests.rules --refresh -->",
        "",
        f"{len(rules)} rules, {sum(rule.id in proved for rule in rules)} of them with tests, {decided} with a decision"
        " where there was a choice. *build* names",
        "a case of `fixtures/builds/`, compared with what docker made of it; *words* a part of `fixtures/words/`.",
        "Results that differ from docker's or buildah's on purpose are in [differences.md](differences.md).",
    ]
    for name, section in sections.items():
        lines += ["", f"## {name}", "", "| id | rule | proved by |", "|---|---|---|"]
        lines += [_row(rule, [proof for proof in proofs if proof.rule == rule.id]) for rule in section]
    lines += ["", "## What builds show beside these rules", "", *_other_builds()]
    return "\n".join(lines) + "\n"


def _row(rule: Rule, proofs: list[Proof]) -> str:
    title = rule.title.replace("|", "\\|")
    if rule.decision:
        title += f"<br>**Decision ({rule.decision.beside}):** {rule.decision.choice} *{rule.decision.reason}*"
    named = [f"{_SHOWN[proof.kind]}`{proof.test.removeprefix('tests/')}`" for proof in proofs]
    return f"| {rule.id} | {title} | {'<br>'.join(named) or 'the decision'} |"


def _other_builds() -> Iterator[str]:
    """Yield the cases that are about layers, processes and history: what no rule of the language speaks of."""
    for path in sorted((CHECKOUT / "fixtures" / "builds").glob("*/case.json")):
        shows = json.loads(path.read_text("utf-8"))["rule"]
        if not ids_before(shows):
            yield f"- `{path.parent.name}`: {shows}"


_SHOWN = {"test": "", "build": "build ", "words": "words "}


def main() -> int:
    from tests.differences import DIFFERENCES_FILE, render_differences  # it reads the rules from here
    from tests.elsewhere import HABITS_FILE, render_habits
    from tests.flags import FLAGS_FILE, render_flags
    from tests.manual import MANUAL_FILE, render_manual

    parser = argparse.ArgumentParser(prog="python -m tests.rules", description="The rules and what proves them.")
    parser.add_argument("--refresh", action="store_true", help="write the pages of docs/ that come from tables")
    refresh = parser.parse_args().refresh
    sections, proofs = load_rules(), collect_proofs()
    missing, unknown = missing_rules(sections, proofs), unknown_rules(sections, proofs)
    if refresh:
        LANGUAGE_FILE.write_text(render_language(sections, proofs), "utf-8")
        DIFFERENCES_FILE.write_text(render_differences(sections), "utf-8")
        FLAGS_FILE.write_text(render_flags(), "utf-8")
        HABITS_FILE.write_text(render_habits(), "utf-8")
        MANUAL_FILE.write_text(render_manual(), "utf-8")
    print(f"{len({proof.rule for proof in proofs})} rules are named by {len(proofs)} tests and cases")
    print(f"without test or decision: {', '.join(missing) or 'none'}")
    print(f"unknown: {', '.join(unknown) or 'none'}")
    return 1 if missing or unknown else 0


if __name__ == "__main__":
    raise SystemExit(main())
