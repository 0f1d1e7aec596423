"""From the Dockerfile's text to a plan, a check report, an outline: whatever has to parse it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builder.dockerfile.instructions import Dockerfile
from builder.dockerfile.parser import parse_dockerfile
from builder.engine.checks import CheckReport, Stages, check_all, check_broken, check_build, violation_of
from builder.errors import PybuildError, SourceError
from builder.oci.platform import Platform
from builder.plan.options import PlanOptions
from builder.plan.outline import Outline, Targets, list_targets, make_outline
from builder.plan.plan import Plan
from builder.plan.planner import Planner, make_plan

if TYPE_CHECKING:
    from builder.engine.session import BuildSession


class Planning:
    """What a session does with its Dockerfile."""

    def __init__(self, session: BuildSession) -> None:
        self._session = session

    def new_plan(self, platform: Platform) -> Plan:
        """Parse and plan for one platform; the warnings of the checks are in the plan.

        Raises SourceError, PybuildError.
        """
        session = self._session
        dockerfile = self._parse()
        plan = make_plan(dockerfile, self._options(platform), session.resolver, session.timestamps)
        found = check_build(dockerfile, plan, session.resolver, session.context, session.request.build_args)
        # Kept with the plan: a build that takes it from the store warns as well.
        return replace(plan, warnings=found)

    def check(self, *, advice: bool) -> CheckReport:
        """Check the whole Dockerfile; what would keep it from being built is part of the report."""
        session = self._session
        text = session.context.dockerfile.decode("utf-8", "surrogateescape")
        name = session.context.dockerfile_name
        build_args = session.request.build_args
        try:
            dockerfile = self._parse()
        except SourceError as fault:
            return CheckReport(name, text, check_broken(text, fault, build_args), fault)
        stages, error = self._plan_all(dockerfile)
        # With a target its stages alone are judged; where none could be planned, all are, rather than none.
        only = bool(session.request.target and stages)
        try:
            findings = check_all(
                dockerfile, stages, session.resolver, session.context, build_args, advice=advice, only_these=only
            )
        except SourceError as fault:
            return CheckReport(name, text, (), fault)  # of the check directive itself
        return CheckReport(name, text, findings, error or violation_of(findings), is_whole=error is None)

    def outline(self) -> Outline:
        """Return what the target uses. Raises PlanError."""
        return make_outline(self._parse(), self._options(self._session.platforms[0]), self._session.resolver)

    def targets(self) -> Targets:
        """Return the stages of the Dockerfile. Raises SourceError."""
        return list_targets(self._parse())

    def _parse(self) -> Dockerfile:
        return parse_dockerfile(self._session.context.dockerfile, self._session.context.dockerfile_name)

    def _plan_all(self, dockerfile: Dockerfile) -> tuple[Stages, PybuildError | None]:
        """Plan the target, and without one the other stages too; return those whose images are known, and what is
        wrong first.
        """
        session = self._session
        options = self._options(session.platforms[0])
        try:
            # Arguments and the stage graph are read here: a fault in them is one of the file, and no
            # stage can be planned.
            planner = Planner(dockerfile, options, session.resolver, session.timestamps)
        except PybuildError as fault:
            return (), fault
        error: PybuildError | None = None
        for plan in (planner.plan, *([] if session.request.target else [planner.plan_rest])):
            try:
                plan()
            except PybuildError as fault:
                # The first fault is what keeps a build from starting; the rest is planned all the same, for the checks.
                error = error or fault
        return planner.stages(), error

    def _options(self, platform: Platform) -> PlanOptions:
        request = self._session.request
        return PlanOptions(
            platform=platform,
            explicit_platform=bool(request.platforms),
            multi_platform=self._session.makes_index,
            build_args=request.build_args,
            target=request.target,
            labels=request.labels,
            no_cache=request.no_cache,
            no_cache_filter=request.no_cache_filter,
            network=request.network,
            named_contexts=request.build_contexts,
            meant=self._session.resolver.meant,
        )
