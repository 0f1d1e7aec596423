"""Where results differ from docker's (BuildKit) and buildah's on purpose: the text of docs/differences.md.

fixtures/builds/*/case.json       what a build makes otherwise, and why ("differences", "peer_builds")
fixtures/builds/buildah.toml      where docker and buildah differ from each other, so that one must be chosen
docs/rules.toml                   decisions whose result is not simply BuildKit's
docs/isolation.toml               what a RUN finds otherwise than in docker
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence

from tests.builds.cases import CASES, Case, case_names, load_case
from tests.rules import CHECKOUT, Sections

DIFFERENCES_FILE = CHECKOUT / "docs" / "differences.md"
BUILDAH_FILE = CASES / "buildah.toml"
ISOLATION_FILE = CHECKOUT / "docs" / "isolation.toml"
_HEADINGS = {
    "more": "Accepted beyond BuildKit",
    "warned": "The same, and said aloud",
    "other": "Different on purpose",
    "refused": "Refused here",
}


def render_differences(sections: Sections) -> str:
    """Return docs/differences.md."""
    lines = [
        "# Deliberate differences",
        "",
        "<!-- written by python -m tests.rules --refresh -->",
        "",
        "Everything that `pybuild` makes otherwise than `docker build` (BuildKit), and where it follows BuildKit and"
        " not `buildah`.",
        "What is not listed here and differs is a mistake.",
        "",
        "## The language",
    ]
    for beside, heading in _HEADINGS.items():
        lines += ["", f"### {heading}", "", "| id | choice | reason |", "|---|---|---|", *_decided(sections, beside)]
    cases = [load_case(name) for name in case_names()]
    lines += ["", "## Results of builds, beside docker", "", *results_table(cases)]
    lines += ["", "## What a RUN finds", "", *_isolation_table()]
    lines += ["", "## Where buildah is not followed", "", *_buildah_table()]
    return "\n".join(lines) + "\n"


def _decided(sections: Sections, beside: str) -> Iterator[str]:
    for rules in sections.values():
        for rule in rules:
            if rule.decision and rule.decision.beside == beside and not rule.decision.choice.startswith("See "):
                yield f"| {rule.id} | {rule.title}: {rule.decision.choice} | {rule.decision.reason} |"


def results_table(cases: Sequence[Case]) -> list[str]:
    """Return a table of the wanted differences, one row for each reason of a case."""
    lines = ["| case | what it shows | what differs | why |", "|---|---|---|---|"]
    for case in cases:
        reasons: dict[str, list[str]] = {}
        for key, reason in case.differences.items():
            reasons.setdefault(reason, []).append(f"`{key}`")
        if case.fails and case.fails.peer_builds:
            reasons[case.fails.peer_builds] = ["the build fails"]
        lines += [f"| {case.name} | {case.rule} | {'<br>'.join(keys)} | {why} |" for why, keys in reasons.items()]
    return lines


def _isolation_table() -> Iterator[str]:
    yield from ("| what | here | why |", "|---|---|---|")
    for row in tomllib.loads(ISOLATION_FILE.read_text("utf-8"))["difference"]:
        yield f"| {row['what']} | {row['here']} | {row['why']} |"


def _buildah_table() -> Iterator[str]:
    yield from ("| what | buildah | docker, and so pybuild | shown by |", "|---|---|---|---|")
    for row in tomllib.loads(BUILDAH_FILE.read_text("utf-8"))["difference"]:
        shown = "<br>".join(row["cases"])
        yield f"| {row['what']} | {row['buildah']} | {row['docker']} | {shown} |"
