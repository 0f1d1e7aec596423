"""Run the checks over a text and show the findings short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from builder.dockerfile.parser import parse_dockerfile
from builder.lint.finding import BaseImage, Finding, LintInputs
from builder.lint.linter import lint


class EveryBase(Mapping[int, BaseImage]):
    """Says of every base image that it is known and holds nothing."""

    def __getitem__(self, index: int) -> BaseImage:
        return BaseImage()

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    def get(self, index: int, default: Any = None) -> Any:
        return self[index]


def findings(text: str, **inputs: Any) -> tuple[Finding, ...]:
    """Return the findings; base images are taken as known and empty unless `base_images` is given."""
    return lint(parse_dockerfile(text), LintInputs(**({"base_images": EveryBase()} | inputs)))


def found(text: str, **inputs: Any) -> list[tuple[int, str, str]]:
    """Return (line, rule, message) of each finding."""
    return [(f.instruction.line, f.rule.name, f.message) for f in findings(text, **inputs)]


def names(text: str, **inputs: Any) -> list[tuple[int, str]]:
    """Return (line, rule) of each finding."""
    return [(line, rule) for line, rule, _ in found(text, **inputs)]
