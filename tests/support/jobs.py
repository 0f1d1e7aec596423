"""Two programs about jobs: an ordinary build that tells its jobs, and a worker that is given one, and nothing else.

    python -m tests.support.jobs build STORE CONTEXT [ID=SECRET …]     a line {"job": …, "result": …} for each step
    python -m tests.support.jobs execute STORE [ID=SECRET …] < JOB     a line for each event, then {"result": …}

Both enter the namespaces that RUN needs, so tests start them as processes of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from builder.errors import PybuildError
from builder.linux.single_id import one_id_only
from builder.solve.event_json import error_to_json, event_to_json
from builder.solve.events import EventSink, ignore_events
from builder.solve.job import NO_SECRETS, JobResult, RunSettings, StepJob, StepSecrets, job_from_json
from builder.solve.worker import Worker
from builder.store.store import open_store

ROOT = Path(__file__).parents[2]
EPOCH = 1_000_000_000


class TellingWorker(Worker):
    """A worker that prints what it was given, and what it gave back."""

    def execute(self, job: StepJob, sink: EventSink, secrets: StepSecrets = NO_SECRETS) -> JobResult:
        result = super().execute(job, sink, secrets)
        _print({"job": job.to_json(), "result": result.to_json()})
        return result


def run_program(*words: str, given: str = "") -> list[dict[str, Any]]:
    """Run one of the programs; return the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.jobs", *words], cwd=ROOT, input=given, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def _secrets(words: list[str]) -> StepSecrets:
    return StepSecrets({name: value.encode() for name, _, value in (word.partition("=") for word in words)})


def _build(root: str, folder: str, secrets: StepSecrets) -> None:
    # What builds is no part of the worker's program.
    from builder.context.load import load_context
    from builder.dockerfile.parser import parse_dockerfile
    from builder.oci.platform import host_platform
    from builder.plan.options import PlanOptions
    from builder.plan.planner import make_plan
    from builder.solve.context import SolveContext
    from builder.solve.solver import solve
    from builder.transport.resolver import Resolver
    from tests.plan.resolver import FakeResolver

    with open_store(root) as store, store.lease(), load_context(folder, None, {}, store) as contexts:
        plan = make_plan(
            parse_dockerfile(contexts.dockerfile, "Dockerfile"), PlanOptions(platform=host_platform()), FakeResolver()
        )
        worker = TellingWorker(store, None, one_id_only())
        context = SolveContext(
            store=store, cache=store.records, resolver=Resolver(store), contexts=contexts, settings=RunSettings(),
            secrets=secrets, worker=worker, sink=ignore_events, build_name="jobs", epoch=EPOCH,
        )  # fmt: skip
        try:
            solve(plan, context, jobs=1)
        finally:
            context.close()
            worker.close()


def _execute(root: str, secrets: StepSecrets) -> None:
    job = job_from_json(json.load(sys.stdin))
    with open_store(root) as store, store.lease():
        worker = Worker(store, None, one_id_only())
        try:
            result = worker.execute(job, lambda event: _print(event_to_json(event)), secrets)
            _print({"result": result.to_json(), "modules": sorted(name for name in sys.modules if "builder" in name)})
        except PybuildError as error:
            _print({"error": error_to_json(error)})
        finally:
            worker.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build", store_root, context_folder, *given]:
            _build(store_root, context_folder, _secrets(given))
        case ["execute", store_root, *given]:
            _execute(store_root, _secrets(given))
