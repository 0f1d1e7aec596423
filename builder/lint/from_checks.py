"""Checks of FROM lines: undeclared arguments, defaults that name no image, platforms, names of stages."""

from __future__ import annotations

from builder.dockerfile.instructions import Dockerfile, From
from builder.dockerfile.words import go_quote
from builder.errors import ReferenceFormatError
from builder.lint import rules
from builder.lint.finding import BaseImage, LintInputs, Report
from builder.lint.scope import Scope, global_scope
from builder.oci.platform import parse_platform
from builder.oci.reference import parse_reference
from builder.suggest import did_you_mean

_RESERVED = ("scratch", "context")
_TARGET_PLATFORM = "TARGETPLATFORM"


def check_stage_names(dockerfile: Dockerfile, report: Report) -> None:
    """Check the names of all stages against each other."""
    seen: set[str] = set()
    for stage in dockerfile.stages:
        syntax = stage.base.syntax
        name = stage.name
        if not name:
            continue
        location = syntax.arguments[-1].location
        if name in _RESERVED:
            message = f"Stage name should not use the same name as reserved stage {go_quote(name)}"
            report.add(rules.RESERVED_STAGE_NAME, message, syntax, location)
        if name in seen:
            message = f"Duplicate stage name {go_quote(name)}, stage names should be unique"
            report.add(rules.DUPLICATE_STAGE_NAME, message, syntax, location)
        seen.add(name)


def check_default_images(dockerfile: Dockerfile, inputs: LintInputs, report: Report) -> None:
    """Check what each FROM names when no build argument is given."""
    scope = global_scope(dockerfile, inputs, {})
    stages: set[str] = set()
    for stage in dockerfile.stages:
        written = stage.base.image.text
        expansion = scope.expand(written, dockerfile.escape) if "$" in written else None
        if expansion and expansion.text.lower() not in stages and not _is_reference(expansion.text):
            message = f"Default value for ARG {written} results in empty or invalid base image name"
            report.add(rules.INVALID_DEFAULT_ARG_IN_FROM, message, stage.base.syntax, stage.base.image.location)
        stages |= {stage.name} - {""}


def _is_reference(text: str) -> bool:
    try:
        parse_reference(text)
    except ReferenceFormatError:
        return False
    return True


def check_from(base: From, escape: str, scope: Scope, report: Report) -> None:
    """Check the variables and the platform of one FROM."""
    for word in filter(None, (base.image, base.platform)):
        expansion = scope.expand(word.text, escape)
        # A fall-back is no excuse here: no --build-arg reaches a name that no ARG declares.
        for name in sorted(set(expansion.unset) - scope.declared) if expansion else ():
            message = f"FROM argument '{name}' is not declared{did_you_mean(name, scope.values | _names(scope))}"
            report.add(rules.UNDEFINED_ARG_IN_FROM, message, base.syntax, word.location)
    _check_platform(base, escape, scope, report)


def _names(scope: Scope) -> dict[str, str]:
    return dict.fromkeys(sorted(scope.declared), "")


def _check_platform(base: From, escape: str, scope: Scope, report: Report) -> None:
    word = base.platform
    expansion = scope.expand(word.text, escape) if word else None
    if word is None or expansion is None or expansion.missing:
        return
    if "$" not in word.text:
        if _names_its_platform(base.alias, expansion.text):
            return
        message = f"FROM --platform flag should not use constant value {go_quote(expansion.text)}"
        report.add(rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, message, base.syntax, word.location)
    elif expansion.used == (_TARGET_PLATFORM,) and expansion.text == scope.values.get(_TARGET_PLATFORM):
        message = f"Setting platform to predefined {word.text} in FROM is redundant as this is the default behavior"
        report.add(rules.REDUNDANT_TARGET_PLATFORM, message, base.syntax, word.location)


def _names_its_platform(alias: str, text: str) -> bool:
    """Whether the stage's name says that it is for this platform, or the platform is none (reported elsewhere)."""
    try:
        platform = parse_platform(text)
    except ReferenceFormatError:
        return True
    return platform.os in alias or platform.architecture in alias


def check_base_platform(base: From, image: BaseImage | None, report: Report) -> None:
    """Check that the image found for FROM is of the platform that was asked for."""
    if image is None or not image.platform or not image.expected_platform or image.platform == image.expected_platform:
        return
    message = (
        f"Base image {base.image.text} was pulled with platform {go_quote(image.platform)}, "
        f"expected {go_quote(image.expected_platform)} for current build"
    )
    report.add(rules.INVALID_BASE_IMAGE_PLATFORM, message, base.syntax, base.image.location)
