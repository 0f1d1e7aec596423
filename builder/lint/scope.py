"""The variables of a stage while its statements are walked: enough to judge, less than the planner knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from builder.dockerfile.instructions import Arg, Dockerfile, Word
from builder.dockerfile.words import Expansion, WordError, expand
from builder.lint.finding import BaseImage, LintInputs

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PLATFORM_ARGS = {
    "BUILDPLATFORM": "linux/amd64", "BUILDOS": "linux", "BUILDOSVERSION": "", "BUILDARCH": "amd64", "BUILDVARIANT": "",
    "TARGETPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETOSVERSION": "", "TARGETARCH": "amd64",
    "TARGETVARIANT": "", "TARGETSTAGE": "default",
}  # fmt: skip
"""The names are what matters; the values stand in when the caller gives none."""
NEVER_JUDGED = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


@dataclass(slots=True)
class Scope:
    """What is set at one point of a stage. `known` is false when the base image is not known."""

    values: dict[str, str] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    known: bool = True
    has_shell: bool = False
    has_workdir: bool = False

    def expand(self, text: str, escape: str, *, is_body: bool = False) -> Expansion | None:
        """Expand a word (or a heredoc body), or return None when that fails: the planner reports why."""
        try:
            quotes = "literal" if is_body else "remove"
            return expand(text, self.values.get, escape="\\" if is_body else escape, quotes=quotes)  # type: ignore[arg-type]
        except WordError:
            return None

    def copy(self) -> Scope:
        """Return what a stage built FROM this one begins with."""
        return Scope(dict(self.values), set(self.declared), self.known, self.has_shell, self.has_workdir)


def global_scope(dockerfile: Dockerfile, inputs: LintInputs, build_args: Mapping[str, str]) -> Scope:
    """Return the variables of FROM lines: platform arguments and the ARGs before the first FROM."""
    values = PLATFORM_ARGS | dict(inputs.platform_args)
    values |= {name: value for name, value in build_args.items() if name in values}
    scope = Scope(values, set(values))
    for arg in dockerfile.global_args:
        define(scope, arg, dockerfile.escape, build_args, {})
    return scope


def define(
    scope: Scope, arg: Arg, escape: str, build_args: Mapping[str, str], inherited: Mapping[str, str]
) -> Iterable[Word]:
    """Carry out an ARG: build argument, else default, else the global value. Returns the defaults that were read."""
    read: list[Word] = []
    for definition in arg.definitions:
        name = definition.name
        scope.declared.add(name)
        if definition.default is not None:
            read.append(definition.default)
        if name in build_args:
            scope.values[name] = build_args[name]
        elif definition.default is not None:
            expansion = scope.expand(definition.default.text, escape)
            scope.values[name] = expansion.text if expansion else ""
        elif name in inherited:
            scope.values[name] = inherited[name]
    return read


def base_scope(image: str, base: BaseImage | None) -> Scope:
    """Return the variables that an image brings: its environment, and PATH, which every image has in a build."""
    known = base is not None or image == "scratch"
    values = dict(base.environment) if base else {}
    values.setdefault("PATH", DEFAULT_PATH)
    return Scope(values, known=known, has_shell=bool(base and base.has_shell))
