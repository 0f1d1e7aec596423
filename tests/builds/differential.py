"""Compare pybuild with its peers, case by case, for people.

python -m tests.builds.differential [--peer docker|buildah|recorded] [--jobs N] [CASE…]
python -m tests.builds.differential --refresh [CASE…]      write expected.json from each case's oracle
python -m tests.builds.differential --versus docker buildah [CASE…]    the peers against each other
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.builds.base_image import BaseImage, make_base_image
from tests.builds.builders import give_base_to_peer, peer_version
from tests.builds.cases import Case, case_names, load_case
from tests.builds.compare import Difference, compare, failed_checks, report
from tests.builds.oracle import ask_peer
from tests.builds.verdict import judge_peer, judge_pybuild, tail
from tests.differences import results_table

Judge = Callable[[Case], list[Difference]]


def main() -> int:
    options = parse_arguments()
    cases = [load_case(name) for name in chosen_names(options.cases)]
    if options.differences:
        print("\n".join(results_table(cases)))
        return 0
    with tempfile.TemporaryDirectory(prefix="pybuild-base-") as folder:
        base = make_base_image(Path(folder))
        for peer in peers_of(options, cases):
            give_base_to_peer(peer, base)
        if options.refresh:
            return run_cases(cases, options.jobs, partial(refresh, base=base), "refreshed")
        if options.versus:
            one, other = options.versus
            return run_cases(cases, options.jobs, partial(versus, one=one, other=other, base=base), "alike")
        return run_cases(cases, options.jobs, judge_for(options.peer, base), "as expected")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.builds.differential", description="Differential builds.")
    parser.add_argument("cases", nargs="*", help="names or globs; all without any")
    parser.add_argument("--peer", choices=("docker", "buildah", "recorded"), default="recorded")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--refresh", action="store_true", help="write expected.json from each case's oracle")
    parser.add_argument("--versus", nargs=2, metavar="PEER", help="compare two peers, not pybuild")
    parser.add_argument("--differences", action="store_true", help="print the wanted differences as Markdown")
    return parser.parse_args()


def chosen_names(globs: list[str]) -> list[str]:
    names = case_names()
    chosen = [name for name in names if not globs or any(fnmatch.fnmatchcase(name, glob) for glob in globs)]
    if not chosen:
        sys.exit(f"no case is named {' or '.join(globs)}")
    return chosen


def peers_of(options: argparse.Namespace, cases: list[Case]) -> set[str]:
    if options.versus:
        return set(options.versus)
    if options.refresh:
        return {case.oracle for case in cases} - {"none"}
    return {options.peer} - {"recorded"}


def judge_for(peer: str, base: BaseImage) -> Judge:
    if peer == "recorded":
        return partial(judge_pybuild, base=base)

    def judge(case: Case) -> list[Difference]:
        if case.fails is not None or case.oracle == "none":
            return judge_pybuild(case, base)
        return judge_pybuild(case, base, ask_peer(case, peer, base))

    return judge


def refresh(case: Case, base: BaseImage) -> list[Difference]:
    """Write expected.json; says what changed is git's job."""
    if case.oracle == "none":
        return []
    if case.fails is not None:
        return judge_peer(case, case.oracle, base)
    found = ask_peer(case, case.oracle, base, again=True)
    if "failed" in found:
        return [Difference("build", "an image", tail(found["log"]))]
    kept = {key: value for key, value in found.items() if key not in ("log", "faults")}
    document = {"made_by": peer_version(case.oracle), **kept}
    case.expected_file.write_text(json.dumps(document, indent=1, ensure_ascii=True) + "\n")
    return [item for item in failed_checks(case, found) if item.key not in case.differences]


def versus(case: Case, one: str, other: str, base: BaseImage) -> list[Difference]:
    left, right = ask_peer(case, one, base), ask_peer(case, other, base)
    if "failed" in left or "failed" in right:
        said = [tail(side["log"])[-300:] if "failed" in side else "an image" for side in (left, right)]
        return [] if "failed" in left and "failed" in right else [Difference("build", *said)]
    return [item for item in compare(case, left, right) if not item.key.startswith(("history", "layers"))]


def run_cases(cases: list[Case], jobs: int, judge: Judge, word: str) -> int:
    bad = 0
    with ThreadPoolExecutor(jobs) as pool:
        for case, differences in zip(cases, pool.map(partial(guarded, judge=judge), cases)):
            if differences:
                bad += 1
                print(report(case, f"{len(differences)} differences", differences), flush=True)
    print(f"{len(cases) - bad} of {len(cases)} cases {word}")
    return 1 if bad else 0


def guarded(case: Case, judge: Judge) -> list[Difference]:
    """One broken case must not end the run of all the others."""
    try:
        return judge(case)
    except Exception as error:
        return [Difference("harness", "a verdict", f"{type(error).__name__}: {error}")]


if __name__ == "__main__":
    raise SystemExit(main())
