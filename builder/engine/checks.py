"""Build checks: the Dockerfile, and what the plan and the context know, in; findings out.

During a build the stages that are built are checked; `check` looks at all of them. What can't be known (a base image
that cannot be reached) is not judged.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from builder.context.directory import DirectoryTree
from builder.context.ignore import IgnorePatterns
from builder.dockerfile.directives import is_foreign
from builder.dockerfile.instructions import Dockerfile
from builder.dockerfile.parser import parse_partially
from builder.errors import DockerfileSyntaxError, PybuildError, SourceError
from builder.lint.finding import BaseImage, Finding, LintInputs
from builder.lint.linter import lint, lint_until, violation
from builder.lint.options import ADVICE, NOTES
from builder.lint.rules import RULES
from builder.oci.config import ImageConfig
from builder.oci.image_place import is_place
from builder.oci.platform import Platform, parse_platform
from builder.plan.image_resolver import ImageResolver
from builder.plan.plan import Plan, Warning
from builder.plan.predefined import SYNTAX

if TYPE_CHECKING:
    from builder.context.load import BuildContext

Stages = tuple[tuple[int, str, str], ...]
"""(index, image reference or "", platform), as `Plan.stages` has them."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `--check` found. `error` is what would keep the build from starting, or None.

    `is_whole` says that everything was looked at: an error is then only that findings count as such.
    """

    file: str
    source: str
    findings: tuple[Finding, ...]
    error: PybuildError | None = None
    is_whole: bool = False

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that count: all but the notes."""
        return tuple(finding for finding in self.findings if finding.level != "note")


def check_build(
    dockerfile: Dockerfile, plan: Plan, resolver: ImageResolver, context: BuildContext, build_args: Mapping[str, str]
) -> tuple[Warning, ...]:
    """Return the findings for the stages that `plan` builds. Raises DockerfileSyntaxError under `error=true`."""
    inputs = LintInputs(
        build_args=build_args,
        platform_args={},
        base_images=_base_images(plan.stages, resolver),
        ignore=_ignore_rules(context),
        stages=frozenset(index for index, _, _ in plan.stages),
    )
    findings = lint(dockerfile, inputs)
    # While planning, and so before any step runs: under `error=true` nothing is built that is found wanting.
    if fault := violation_of(findings):
        raise fault
    found = (Warning(finding.rule.name, finding.message, finding.instruction) for finding in findings)
    # The planner notices some of the same things on its way; what the checks say of them is exact.
    planned = (warning for warning in plan.warnings if warning.rule not in RULES)
    return (*_frontend_warnings(dockerfile, build_args), *planned, *found)


def _frontend_warnings(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> Iterator[Warning]:
    """Warn of a frontend that the file or the user asks for. It is not run: it would act with our rights."""
    directive = next((directive for directive in dockerfile.directives if directive.name == "syntax"), None)
    # BUILDKIT_SYNTAX takes the place of the directive.
    frontend = build_args.get(SYNTAX) or (directive.value if directive else "")
    if is_foreign(frontend):
        message = f"the frontend {frontend} is not run; the file is read as a Dockerfile"
        yield Warning("ForeignFrontend", message, directive.location if directive else None)


def check_all(
    dockerfile: Dockerfile,
    stages: Stages,
    resolver: ImageResolver,
    context: BuildContext,
    build_args: Mapping[str, str],
    *,
    advice: bool,
    only_these: bool = False,
) -> tuple[Finding, ...]:
    """Return the findings for the whole file, notes as well; `advice` adds the other checks that are ours.

    Raises DockerfileSyntaxError.

    `stages` are those that could be planned: of their images alone something is known. `only_these` judges no others.
    """
    inputs = LintInputs(
        build_args=build_args,
        base_images=_base_images(stages, resolver),
        ignore=_ignore_rules(context),
        context=_ContextFiles(context),
        dockerfile_folder=_dockerfile_folder(context),
        stages=frozenset(index for index, _, _ in stages) if only_these else None,
        enable=frozenset({NOTES, ADVICE} if advice else {NOTES}),
    )
    return lint(dockerfile, inputs)


def check_broken(text: str, fault: SourceError, build_args: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return the findings for a file that is in error, up to its first fault."""
    if fault.location is None:
        return ()
    try:
        # What stands above the fault is judged; below it, text could mean anything.
        dockerfile, _ = parse_partially(text, fault.location.file)
        return lint_until(dockerfile, fault.location.line, LintInputs(build_args=build_args))
    except DockerfileSyntaxError:
        return ()  # there is nothing in the file, or the check directive itself is at fault


def violation_of(findings: tuple[Finding, ...]) -> DockerfileSyntaxError | None:
    """Return the error that a build stops with under `error=true`, if there is one."""
    message = violation(findings)
    hint = "The check directive asks for errors."
    # The message is BuildKit's (frontend/dockerfile/linter/linter.go).
    return DockerfileSyntaxError(message, findings[0].instruction, hint=hint) if message else None


def _base_images(stages: Stages, resolver: ImageResolver) -> dict[int, BaseImage]:
    found = {}
    for index, reference, platform in stages:
        if reference:
            wanted = parse_platform(platform)
            config = resolver.resolve(reference, wanted).config
            # Whoever puts what lies somewhere in the place of an image has chosen its platform.
            chosen = is_place(reference)
            found[index] = _base_image(config, config.platform if chosen else wanted)
    return found


def _base_image(config: ImageConfig, wanted: Platform) -> BaseImage:
    # A config that names no system is taken for any, as in the plan (planner.py, _with_platform).
    fits = wanted.accepts(config.platform) is not None or not config.platform.os
    return BaseImage(
        environment=dict(item.partition("=")[::2] for item in config.runtime.env),
        has_shell=config.runtime.shell is not None,
        cmd=config.runtime.cmd or (),
        has_triggers=bool(config.runtime.on_build),
        platform="" if fits else str(config.platform),
        expected_platform="" if fits else str(wanted),
    )


@dataclass(frozen=True, slots=True)
class _IgnoreRules:
    rules: IgnorePatterns

    @property
    def patterns(self) -> tuple[str, ...]:
        # Where there are exceptions no COPY is judged (lint/copy_checks.py): so these are all.
        return tuple(rule.pattern for rule in self.rules.rules if not rule.is_exception)

    @property
    def has_exceptions(self) -> bool:
        return self.rules.has_exceptions

    def excludes(self, path: str) -> bool:
        return self.rules.decide(path).excluded


@dataclass(frozen=True, slots=True)
class _ContextFiles:
    context: BuildContext

    def kind(self, path: str) -> Literal["file", "directory", ""]:
        tree = self.context.tree("")
        try:
            entry = tree.find(tree.resolve(path))
        except PybuildError:
            return ""  # a link in a circle, or a file where a folder should be
        return "" if entry is None else "directory" if entry.kind == "directory" else "file"


def _dockerfile_folder(context: BuildContext) -> str:
    root, _, file = context.identity.partition("\0")
    if os.path.isabs(root) and os.path.isabs(file):
        return os.path.relpath(os.path.dirname(file), root)
    return posixpath.dirname(context.dockerfile_name) or "."


def ignore_patterns(context: BuildContext) -> IgnorePatterns | None:
    """Return the ignore rules of the main context; None for a context that has no ignore file."""
    tree = context.tree("")
    return tree.ignore if isinstance(tree, DirectoryTree) and tree.ignore else None


def _ignore_rules(context: BuildContext) -> _IgnoreRules | None:
    patterns = ignore_patterns(context)
    return _IgnoreRules(patterns) if patterns else None
