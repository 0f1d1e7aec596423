"""From the Dockerfile's text to a plan, a check report, an outline: whatever has to parse it."""

from __future__ import annotations

from dataclasses import replace

from builder.dockerfile.instructions import Dockerfile
from builder.dockerfile.parser import parse_dockerfile
from builder.engine.checks import CheckReport, Stages, check_all, check_broken, check_build, violation_of
from builder.engine.session import BuildSession
from builder.errors import PybuildError, SourceError
from builder.oci.platform import Platform
from builder.plan.options import PlanOptions
from builder.plan.outline import Outline, Targets, list_targets, make_outline
from builder.plan.plan import Plan
from builder.plan.planner import Planner, make_plan


def new_plan(session: BuildSession, platform: Platform) -> Plan:
    """Parse and plan for one platform; the warnings of the checks are in the plan. Raises SourceError, PybuildError."""
    dockerfile = _parse(session)
    plan = make_plan(dockerfile, _options(session, platform), session.resolver, session.timestamps)
    found = check_build(dockerfile, plan, session.resolver, session.context, session.request.build_args)
    return replace(plan, warnings=found)


def check_whole(session: BuildSession, *, advice: bool) -> CheckReport:
    """Check the whole Dockerfile; what would keep it from being built is part of the report."""
    text = session.context.dockerfile.decode("utf-8", "surrogateescape")
    name = session.context.dockerfile_name
    build_args = session.request.build_args
    try:
        dockerfile = _parse(session)
    except SourceError as fault:
        return CheckReport(name, text, check_broken(text, fault, build_args), fault)
    stages, error = _plan_all(session, dockerfile)
    # With a target its stages alone are judged; where none could be planned, all are, rather than none.
    only = bool(session.request.target and stages)
    try:
        findings = check_all(
            dockerfile, stages, session.resolver, session.context, build_args, advice=advice, only_these=only
        )
    except SourceError as fault:
        return CheckReport(name, text, (), fault)  # of the check directive itself
    return CheckReport(name, text, findings, error or violation_of(findings), is_whole=error is None)


def outline(session: BuildSession) -> Outline:
    """Return what the target uses. Raises PlanError."""
    return make_outline(_parse(session), _options(session, session.platforms[0]), session.resolver)


def targets(session: BuildSession) -> Targets:
    """Return the stages of the Dockerfile. Raises SourceError."""
    return list_targets(_parse(session))


def _parse(session: BuildSession) -> Dockerfile:
    return parse_dockerfile(session.context.dockerfile, session.context.dockerfile_name)


def _plan_all(session: BuildSession, dockerfile: Dockerfile) -> tuple[Stages, PybuildError | None]:
    """Plan the target; without one, the other stages too. Return the stages with known images, and the first error."""
    options = _options(session, session.platforms[0])
    try:
        planner = Planner(dockerfile, options, session.resolver, session.timestamps)
    except PybuildError as fault:
        return (), fault
    error: PybuildError | None = None
    for plan in (planner.plan, *([] if session.request.target else [planner.plan_rest])):
        try:
            plan()
        except PybuildError as fault:
            error = error or fault
    return planner.stages(), error


def _options(session: BuildSession, platform: Platform) -> PlanOptions:
    request = session.request
    return PlanOptions(
        platform=platform,
        explicit_platform=bool(request.platforms),
        multi_platform=session.makes_index,
        build_args=request.build_args,
        target=request.target,
        labels=request.labels,
        no_cache=request.no_cache,
        no_cache_filter=request.no_cache_filter,
        network=request.network,
        named_contexts=request.build_contexts,
    )
