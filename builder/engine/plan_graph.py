"""The graph of a build: steps by stage, what each stands on, copies and mounts; what the cache has; how long each took.

    base ──▶ RUN make ──▶ …          stands on
                 ╲
                  ╲ copies           COPY --from
                   ▼
    scratch ─▶ COPY --from=build …

Times are of the last run of each step, so the critical path is that of a build that has nothing in the cache.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, assert_never

from builder.engine.build import dry_run
from builder.engine.foretell import longest_ways
from builder.engine.request import BuildRequest
from builder.engine.step_graph import StepNode
from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    ImageOp,
    Mount,
    Op,
    RunOp,
    SecretMount,
    SshMount,
    Step,
    StepSource,
    TmpfsMount,
    does,
    steps_read,
)
from builder.solve import events
from builder.solve.dry_run import DryRun, Outcome
from builder.solve.reason.facts import find_facts
from builder.store.store import Store, open_store

Relation = Literal["stands on", "copies from", "mounts"]


class GraphStep(NamedTuple):
    node: StepNode
    outcome: Outcome
    reason: str
    seconds: float | None
    """What it took when it was last made; None where nobody knows."""
    notes: tuple[str, ...]
    """What it reads of contexts, and its mounts: "cache /root/.cache", "secret token"."""
    is_critical: bool


class GraphEdge(NamedTuple):
    """From the step that is needed to the one that needs it, by their numbers in the plan."""

    needed: int
    step: int
    relation: Relation
    is_critical: bool


class PlanGraph(NamedTuple):
    """Of one platform."""

    platform: str
    target: str
    steps: tuple[GraphStep, ...]
    edges: tuple[GraphEdge, ...]
    skipped: tuple[str, ...]
    """Stages that nothing of the target needs."""
    critical_seconds: float
    work_seconds: float
    """Of all steps together."""

    def stages(self) -> tuple[str, ...]:
        """Return the names of the stages in the order of the plan; "" for images that are only copied from."""
        return tuple(dict.fromkeys(step.node.stage for step in self.steps))


def plan_graphs(request: BuildRequest, sink: events.EventSink = events.ignore_events) -> tuple[PlanGraph, ...]:
    """Return the graph of what a build would do, one a platform; nothing is executed. Raises PybuildError."""
    found = dry_run(request, sink)
    with open_store(request.root) as store:
        return tuple(graph_of(store, each) for each in found)


def graph_of(store: Store, plan: DryRun) -> PlanGraph:
    """Return the graph of a dry run; the store says how long its steps took."""
    nodes = _nodes_of(plan)
    seconds: dict[int, float | None] = {
        status.step.id: find_facts(store, status.last_key).seconds for status in plan.steps if status.last_key
    }
    ways = longest_ways(nodes, seconds)
    critical = _critical(nodes, ways)
    critical_edges = set(zip(critical[1:], critical))
    steps = tuple(
        GraphStep(
            *(node, status.outcome, status.reason, seconds.get(node.step), _notes(status.step)),
            is_critical=node.step in critical,
        )
        for node, status in zip(nodes, plan.steps, strict=True)
    )
    edges = tuple(
        GraphEdge(needed, node.step, relation, (needed, node.step) in critical_edges)
        for node, status in zip(nodes, plan.steps, strict=True)
        for needed, relation in _needs(node, status.step)
    )
    return PlanGraph(
        str(plan.plan.platform),
        plan.plan.target,
        steps,
        edges,
        plan.plan.skipped,
        critical_seconds=max(ways.values(), default=0.0),
        work_seconds=sum(known or 0.0 for known in seconds.values()),
    )


def _needs(node: StepNode, step: Step[Op]) -> tuple[tuple[int, Relation], ...]:
    relation: Relation = "mounts" if isinstance(step.op, RunOp) else "copies from"
    own: tuple[tuple[int, Relation], ...] = () if node.parent is None else ((node.parent, "stands on"),)
    return own + tuple((read, relation) for read in node.reads)


def _critical(nodes: tuple[StepNode, ...], ways: dict[int, float]) -> list[int]:
    """Return the steps of the longest way, the last first; none where no time is known."""
    by_number = {node.step: node for node in nodes}
    steps: list[int] = []
    at = max(ways, key=lambda number: ways[number], default=None)
    while at is not None and ways[at] > 0:
        steps.append(at)
        at = max(by_number[at].needs(), key=lambda number: ways.get(number, 0.0), default=None)
    return steps


def _notes(step: Step[Op]) -> tuple[str, ...]:
    contexts = [
        f"reads {path or '.'} of {f'context {source.name}' if source.name else 'the context'}"
        for source, path in step.op.reads()
        if isinstance(source, ContextSource)
    ]
    mounts = [_mount_note(mount) for mount in step.op.mounts] if isinstance(step.op, RunOp) else []
    return tuple(dict.fromkeys([*mounts, *(() if mounts else contexts)]))


def _mount_note(mount: Mount) -> str:
    match mount:
        case BindMount():
            return f"bind {mount.target} ← {_source(mount.source)}/{mount.subpath.lstrip('/')}"
        case CacheMount():
            named = "" if mount.identifier == mount.target else f" ({mount.identifier})"
            return f"cache {mount.target}{named}"
        case TmpfsMount():
            return f"tmpfs {mount.target}"
        case SecretMount():
            return f"secret {mount.identifier}"
        case SshMount():
            return f"ssh {mount.identifier}"
        case _:
            assert_never(mount)


def _source(source: ContextSource | StepSource) -> str:
    if isinstance(source, ContextSource):
        return f"context {source.name}:" if source.name else "context:"
    return "step:" if source.step is not None else "scratch:"


def _nodes_of(dry_run: DryRun) -> tuple[StepNode, ...]:
    platform = str(dry_run.plan.platform)
    return tuple(
        StepNode(
            *(platform, status.step.id, status.step.title, status.step.label.stage, status.key),
            *(status.step.parent, tuple(dict.fromkeys(steps_read(status.step))), does(status.step, ImageOp)),
            status.step.label.location.line if status.step.label.location else 0,
        )
        for status in dry_run.steps
    )
