"""Race pybuild and its peers, in building and in carrying images, and print a table of medians.

    python -m benchmarks [--rounds N] [--only NAME,…] [--builders pybuild,docker,buildah,skopeo] [--json FILE]

They take turns within a round, and the one that begins changes from round to round, so that a busy moment of the
machine hits all alike. The ratio is pybuild's time divided by docker's (of pulls and pushes: by that of the faster one
of docker and skopeo), in the median of the rounds; the aim stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import Contestant, Measure, clean_up, contestants, versions
from benchmarks.transfers import LAYERS, TRANSFERS, Transfer, carriers, race_transfers
from benchmarks.workloads import WORKLOADS, Workload
from tests.builds.base_image import make_base_image
from tests.support.remove import remove_tree

Results = dict[str, dict[str, list[Measure]]]


def main() -> int:
    options = parse_arguments()
    names = options.builders.split(",")
    wanted = options.only.split(",") if options.only else [each.name for each in (*WORKLOADS, *TRANSFERS)]
    folder = Path(tempfile.mkdtemp(prefix="pybuild-benchmark-"))
    folder.chmod(0o755)
    # pip compiles what it installs, whatever this machine wants of a checkout.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    try:
        print(head(names))
        results = race_builders(wanted, names, options.rounds, folder)
        results |= race_carriers(wanted, names, options.rounds, folder)
        if options.json:
            options.json.write_text(json.dumps(document(results, names), indent=1) + "\n")
    finally:
        clean_up(names)
        remove_tree(folder)
    return 0


def parse_arguments() -> argparse.Namespace:
    known = ", ".join(each.name for each in (*WORKLOADS, *TRANSFERS))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Race pybuild against its peers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help=f"what to race: {known}")
    parser.add_argument("--builders", default="pybuild,docker,buildah,skopeo")
    parser.add_argument("--json", type=Path, help="write every measure to this file too")
    return parser.parse_args()


def race_builders(wanted: list[str], names: list[str], rounds: int, folder: Path) -> Results:
    """Race those workloads that are wanted, and print a row of each."""
    chosen = [workload for workload in WORKLOADS if workload.name in wanted]
    if not chosen:
        return {}
    racers = contestants(folder, make_base_image(folder), names)
    results: Results = {}
    for workload in chosen:
        results[workload.name] = race(workload, racers, rounds, folder)
        print(row(workload, results[workload.name], names, ("docker",)), flush=True)
    return results


def race_carriers(wanted: list[str], names: list[str], rounds: int, folder: Path) -> Results:
    """Race those transfers that are wanted, all in one, and print a row of each."""
    chosen = [transfer for transfer in TRANSFERS if transfer.name in wanted]
    program = shutil.which("docker-registry")
    if chosen and program is None:
        print("without transfers: docker-registry is not on the PATH", file=sys.stderr)
    if not chosen or program is None:
        return {}
    results = race_transfers(program, carriers(folder, names), rounds, folder)
    for transfer in chosen:
        print(row(transfer, results[transfer.name], names, transfer.rivals), flush=True)
        for racer, measures in results[transfer.name].items():
            if measures[0].requests is not None:
                print(f"    {racer}: {measures[0].requests} requests for {LAYERS} layers, a config and a manifest")
    return {transfer.name: results[transfer.name] for transfer in chosen}


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


def head(names: list[str]) -> str:
    cells = "".join(f"{name:>10}" for name in names)
    return f"{'seconds, median':<50}{cells}{'ratio':>8}{'aim':>6}{'pybuild MiB':>13}"


def row(raced: Workload | Transfer, measures: dict[str, list[Measure]], names: list[str], rivals: Sequence[str]) -> str:
    cells = "".join(f"{median(measures[name]):>10.2f}" if name in measures else f"{'-':>10}" for name in names)
    ratio, peak = "-", "-"
    if "pybuild" in measures:
        peak = f"{max(measure.peak_mib for measure in measures['pybuild']):.0f}"
        if others := [measures[name] for name in rivals if name in measures]:
            ratio = f"{paired_ratio(measures['pybuild'], others):.2f}"
    return f"{raced.title:<50}{cells}{ratio:>8}{raced.target_ratio:>6}{peak:>13}"


def paired_ratio(own: list[Measure], others: list[list[Measure]]) -> float:
    """Return the median, over the rounds, of our time as a part of the fastest other one's in the same round."""
    fastest = (min(measure.seconds for measure in turn) for turn in zip(*others, strict=True))
    ratios = [mine.seconds / theirs for mine, theirs in zip(own, fastest, strict=True)]
    return float(statistics.median(ratios))


def document(results: Results, names: list[str]) -> dict[str, Any]:
    """Return everything that was measured, and on what."""
    return {
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count()},
        "versions": versions(names),
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
