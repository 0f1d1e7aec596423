"""Race the builders and print a table of medians.

    python -m benchmarks [--rounds N] [--only NAME,…] [--builders pybuild,docker,buildah] [--json FILE]

Builders take turns within a round, and the one that begins changes from round to round, so that a busy moment of the
machine hits all alike. The ratio is pybuild's median divided by docker's; the aim stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.contestants import Contestant, Measure, clean_up, contestants, versions
from benchmarks.workloads import WORKLOADS, Workload
from tests.builds.base_image import make_base_image
from tests.support.remove import remove_tree

Results = dict[str, dict[str, list[Measure]]]


def main() -> int:
    options = parse_arguments()
    names = options.builders.split(",")
    chosen = [workload for workload in WORKLOADS if not options.only or workload.name in options.only.split(",")]
    folder = Path(tempfile.mkdtemp(prefix="pybuild-benchmark-"))
    folder.chmod(0o755)
    try:
        base = make_base_image(folder)
        racers = contestants(folder, base, names)
        results: Results = {}
        print(head(racers))
        for workload in chosen:
            results[workload.name] = race(workload, racers, options.rounds, folder)
            print(row(workload, results[workload.name], racers), flush=True)
        if options.json:
            options.json.write_text(json.dumps(document(results, racers), indent=1) + "\n")
    finally:
        clean_up(names)
        remove_tree(folder)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Race pybuild against its peers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="names of workloads: " + ", ".join(w.name for w in WORKLOADS))
    parser.add_argument("--builders", default="pybuild,docker,buildah")
    parser.add_argument("--json", type=Path, help="write every measure to this file too")
    return parser.parse_args()


def race(workload: Workload, racers: list[Contestant], rounds: int, folder: Path) -> dict[str, list[Measure]]:
    """Build one workload with everyone, several times."""
    context = folder / f"context-{workload.name}"
    context.mkdir()
    workload.prepare(context)
    measures: dict[str, list[Measure]] = {racer.name: [] for racer in racers}
    if workload.cached:
        for racer in racers:
            racer.get_ready(cached=False)
            racer.build(context, cached=True)
    for turn in range(rounds):
        shift = turn % len(racers)
        for racer in [*racers[shift:], *racers[:shift]]:
            if not workload.cached:  # a new name: nobody may know this folder from the round before
                context = context.rename(folder / f"context-{workload.name}-{turn}-{racer.name}")
            racer.get_ready(cached=workload.cached)
            progress(f"{workload.name}: round {turn + 1} of {rounds}, {racer.name}")
            measures[racer.name].append(racer.build(context, cached=workload.cached))
    progress("")
    remove_tree(context)
    return measures


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def median(measures: list[Measure]) -> float:
    return statistics.median(measure.seconds for measure in measures)


def head(racers: list[Contestant]) -> str:
    cells = "".join(f"{racer.name:>10}" for racer in racers)
    return f"{'seconds, median':<50}{cells}{'ratio':>8}{'aim':>6}{'pybuild MiB':>13}"


def row(workload: Workload, measures: dict[str, list[Measure]], racers: list[Contestant]) -> str:
    cells = "".join(f"{median(measures[racer.name]):>10.2f}" for racer in racers)
    ratio, peak = "-", "-"
    if "pybuild" in measures:
        peak = f"{max(measure.peak_mib for measure in measures['pybuild']):.0f}"
        if "docker" in measures:
            ratio = f"{median(measures['pybuild']) / median(measures['docker']):.2f}"
    return f"{workload.title:<50}{cells}{ratio:>8}{workload.target_ratio:>6}{peak:>13}"


def document(results: Results, racers: list[Contestant]) -> dict[str, Any]:
    """Return everything that was measured, and on what."""
    return {
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count()},
        "versions": versions([racer.name for racer in racers]),
        "workloads": {
            name: {
                builder: {
                    "seconds": [round(measure.seconds, 4) for measure in measures],
                    "median": round(median(measures), 4),
                    "peak_mib": round(max(measure.peak_mib for measure in measures), 1),
                }
                for builder, measures in by_builder.items()
            }
            for name, by_builder in results.items()
        },
    }


if __name__ == "__main__":
    raise SystemExit(main())
