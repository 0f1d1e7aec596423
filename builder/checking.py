"""Build checks: the Dockerfile, and what the plan and the context know, in; findings out.

During a build the stages that are built are checked; `check` looks at all of them. What can't be known (a base image
that cannot be reached) is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.context.directory import DirectoryTree
from builder.context.ignore import IgnorePatterns
from builder.dockerfile.instructions import Dockerfile
from builder.dockerfile.lint.finding import BaseImage, Finding, LintInputs
from builder.dockerfile.lint.linter import lint, violation
from builder.dockerfile.lint.rules import RULES
from builder.errors import DockerfileSyntaxError, PybuildError
from builder.oci.config import ImageConfig
from builder.oci.platform import Platform, parse_platform
from builder.plan.plan import ImageResolver, Plan, Warning

if TYPE_CHECKING:
    from builder.context.load import BuildContext


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `--check` found. `error` is what would keep the build from starting, or None."""

    file: str
    source: str
    findings: tuple[Finding, ...]
    error: PybuildError | None = None


def check_build(
    dockerfile: Dockerfile, plan: Plan, resolver: ImageResolver, context: BuildContext, build_args: Mapping[str, str]
) -> tuple[Warning, ...]:
    """Return the findings for the stages that `plan` builds. Raises DockerfileSyntaxError under `error=true`."""
    inputs = LintInputs(
        build_args=build_args,
        platform_args={},
        base_images=_base_images(plan, resolver),
        ignore=_ignore_rules(context),
        stages=frozenset(index for index, _, _ in plan.stages),
    )
    findings = lint(dockerfile, inputs)
    message = violation(findings)
    if message:
        raise DockerfileSyntaxError(message, findings[0].instruction, hint="The check directive asks for errors.")
    found = (Warning(finding.rule.name, finding.message, finding.instruction) for finding in findings)
    # The planner notices some of the same things on its way; what the checks say of them is exact.
    return (*(warning for warning in plan.warnings if warning.rule not in RULES), *found)


def check_all(
    dockerfile: Dockerfile,
    plan: Plan | None,
    resolver: ImageResolver,
    context: BuildContext,
    build_args: Mapping[str, str],
    *,
    advice: bool,
) -> tuple[Finding, ...]:
    """Return the findings for the whole file; `advice` adds the checks that are ours. Raises DockerfileSyntaxError."""
    inputs = LintInputs(
        build_args=build_args,
        base_images=_base_images(plan, resolver) if plan else {},
        ignore=_ignore_rules(context),
        enable=frozenset({"advice"}) if advice else frozenset(),
    )
    return lint(dockerfile, inputs)


def _base_images(plan: Plan, resolver: ImageResolver) -> dict[int, BaseImage]:
    return {
        index: _base_image(resolver.resolve(reference, parse_platform(platform)).config, parse_platform(platform))
        for index, reference, platform in plan.stages
        if reference
    }


def _base_image(config: ImageConfig, wanted: Platform) -> BaseImage:
    fits = wanted.accepts(config.platform) is not None or not config.platform.os
    return BaseImage(
        environment=dict(item.partition("=")[::2] for item in config.runtime.env),
        has_shell=config.runtime.shell is not None,
        platform="" if fits else str(config.platform),
        expected_platform="" if fits else str(wanted),
    )


@dataclass(frozen=True, slots=True)
class _IgnoreRules:
    patterns: IgnorePatterns

    def excludes(self, path: str) -> bool:
        return self.patterns.state_of(path)[0]

    def may_reinclude_below(self, path: str) -> bool:
        return self.patterns.has_exceptions


def ignore_patterns(context: BuildContext) -> IgnorePatterns | None:
    """Return the ignore rules of the main context; None for a context that has no ignore file."""
    tree = context.tree("")
    return tree.ignore if isinstance(tree, DirectoryTree) and tree.ignore else None


def _ignore_rules(context: BuildContext) -> _IgnoreRules | None:
    patterns = ignore_patterns(context)
    return _IgnoreRules(patterns) if patterns else None
