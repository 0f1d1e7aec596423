"""Runs the checks over a Dockerfile: findings in the order of the file.

Which rules run is said by the `check` directive; the build argument BUILDKIT_DOCKERFILE_CHECK takes its place.
"""

from __future__ import annotations

from builder.dockerfile.instructions import Add, Copy, Directive, Dockerfile, Stage
from builder.lint import rules
from builder.lint.advice import check_advice
from builder.lint.copy_checks import check_copy
from builder.lint.finding import BaseImage, Finding, LintInputs, Report
from builder.lint.from_checks import (
    check_base_platform,
    check_default_images,
    check_from,
    check_stage_names,
)
from builder.lint.notes import check_notes
from builder.lint.options import CheckOptions, parse_check, unknown_rules
from builder.lint.scope import Scope, base_scope, global_scope
from builder.lint.stage_checks import StageChecks
from builder.lint.syntax_checks import check_instructions, check_syntax

OVERRIDE = "BUILDKIT_DOCKERFILE_CHECK"


def lint(dockerfile: Dockerfile, inputs: LintInputs) -> tuple[Finding, ...]:
    """Return the findings, sorted by line and message. Raises DockerfileSyntaxError for bad check options."""
    report = Report(check_options(dockerfile, inputs))
    _check_names(dockerfile, report)
    check_syntax(dockerfile, report)
    check_stage_names(dockerfile, report)
    check_default_images(dockerfile, inputs, report)
    _check_stages(dockerfile, inputs, report)
    check_advice(dockerfile, report)
    check_notes(dockerfile, inputs, report)
    return _sorted(report)


def lint_until(dockerfile: Dockerfile, line: int, inputs: LintInputs) -> tuple[Finding, ...]:
    """Return what can be said of a file that could not be read beyond `line`. Raises DockerfileSyntaxError."""
    report = Report(check_options(dockerfile, inputs))
    readable = [instruction for instruction in dockerfile.instructions if instruction.location.line <= line]
    check_instructions(dockerfile, readable, report)
    return _sorted(report)


def check_options(dockerfile: Dockerfile, inputs: LintInputs) -> CheckOptions:
    """Return the options in force for the file. Raises DockerfileSyntaxError."""
    directive = _check_directive(dockerfile)
    override = inputs.build_args.get(OVERRIDE)
    if override is not None:
        options = parse_check(override)
    else:
        options = parse_check(directive.value, directive.location) if directive else CheckOptions()
    return CheckOptions(skip=options.skip, enable=options.enable | inputs.enable, error=options.error)


def _check_directive(dockerfile: Dockerfile) -> Directive | None:
    return next((directive for directive in dockerfile.directives if directive.name == "check"), None)


def _check_names(dockerfile: Dockerfile, report: Report) -> None:
    directive = _check_directive(dockerfile)
    if directive is not None:
        for name, suggestion in unknown_rules(parse_check(directive.value, directive.location)):
            report.add_outside(rules.UNKNOWN_CHECK, f"unknown check: {name}{suggestion}", directive.location)


def violation(findings: tuple[Finding, ...]) -> str:
    """Return the message that fails a build under `error=true`, or "" when nothing does."""
    names = dict.fromkeys(finding.rule.name for finding in findings if finding.level == "error")
    return f"lint violation found for rules: {', '.join(names)}" if names else ""


def _sorted(report: Report) -> tuple[Finding, ...]:
    return tuple(sorted(report.findings, key=lambda finding: (finding.instruction.line, finding.message)))


def _check_stages(dockerfile: Dockerfile, inputs: LintInputs, report: Report) -> None:
    outside = global_scope(dockerfile, inputs, inputs.build_args)
    declared = {definition.name for arg in dockerfile.global_args for definition in arg.definitions}
    inherited = {name: outside.values[name] for name in outside.values}
    ends: dict[str, Scope] = {}
    silent = Report(CheckOptions(skip=frozenset({"all"})))
    outside.declared |= declared
    for stage in dockerfile.stages:
        # What is not built is walked all the same, in silence: other stages begin with its variables.
        wanted = inputs.stages is None or stage.index in inputs.stages
        stage_report = report if wanted else silent
        check_from(stage.base, dockerfile.escape, outside, stage_report)
        scope = _start(stage, dockerfile.escape, outside, ends, inputs)
        check_base_platform(stage.base, inputs.base_images.get(stage.index), stage_report)
        _check_copies_and_statements(stage, scope, dockerfile.escape, inherited, inputs, stage_report)
        if stage.name:
            ends[stage.name] = scope


def _start(stage: Stage, escape: str, outside: Scope, ends: dict[str, Scope], inputs: LintInputs) -> Scope:
    expansion = outside.expand(stage.base.image.text, escape)
    image = expansion.text if expansion else ""
    if end := ends.get(image) or ends.get(image.lower()):
        return end.copy()
    base: BaseImage | None = inputs.base_images.get(stage.index)
    return base_scope(image, base)


def _check_copies_and_statements(
    stage: Stage, scope: Scope, escape: str, inherited: dict[str, str], inputs: LintInputs, report: Report
) -> None:
    checks = StageChecks(scope, escape, inputs.build_args, inherited, report)
    for statement in stage.statements:
        if inputs.ignore is not None and isinstance(statement, Copy | Add):
            check_copy(statement, scope, escape, inputs.ignore, report)
        checks.check(statement)
