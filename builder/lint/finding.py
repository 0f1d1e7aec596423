"""What a check says, and what it is told about the build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from builder.dockerfile.instructions import Instruction
from builder.errors import Location
from builder.lint.options import CheckOptions
from builder.lint.rules import Rule

Level = Literal["note", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. `location` is the words concerned, `instruction` the whole instruction (BuildKit's span)."""

    rule: Rule
    message: str
    location: Location
    instruction: Location
    level: Level = "warning"
    hint: str = ""
    """What to write instead, in a sentence."""

    def short(self) -> str:
        """Return the line that a build shows: `Rule: message (line N)`."""
        return f"{self.rule.name}: {self.message} (line {self.instruction.line})"


class IgnoreRules(Protocol):
    """What the ignore file says; paths are relative and clean."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns that exclude, cleaned."""
        ...

    @property
    def has_exceptions(self) -> bool:
        """Whether a rule begins with `!`."""
        ...

    def excludes(self, path: str) -> bool:
        """Whether the path, or a directory above it, is excluded."""
        ...


class ContextFiles(Protocol):
    """What lies in the build context; paths are relative and clean, "" is its root."""

    def kind(self, path: str) -> Literal["file", "directory", ""]:
        """Return what is at `path`, links followed; "" for nothing that a build would see."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """What is known of the image of a FROM. Platforms as text; empty when they need no check."""

    environment: Mapping[str, str] = field(default_factory=dict)
    has_shell: bool = False
    cmd: tuple[str, ...] = ()
    has_triggers: bool = False
    """Whether ONBUILD of the image does something here that the file does not say."""
    platform: str = ""
    expected_platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintInputs:
    """What the checks need beyond the text. Everything is optional; what isn't known is not judged."""

    build_args: Mapping[str, str] = field(default_factory=dict)
    platform_args: Mapping[str, str] = field(default_factory=dict)
    """Values of BUILDPLATFORM, TARGETPLATFORM and so on."""
    base_images: Mapping[int, BaseImage] = field(default_factory=dict)
    """By index of the stage. Variables are not judged in a stage whose base is unknown."""
    ignore: IgnoreRules | None = None
    context: ContextFiles | None = None
    """None where it is not known; what depends on it is not judged then."""
    dockerfile_folder: str = "."
    """Where the Dockerfile lies, as a path from the root of the build context; `..` leads out of it."""
    stages: frozenset[int] | None = None
    """The stages that are built; None is all of them, as `--check` has it. Other stages get no stage-level checks."""
    enable: frozenset[str] = frozenset()
    """Optional rules to run besides those the file asks for; "advice" is all of ours, "notes" those that teach."""


class Report:
    """Collects findings; each is weighed against the options of its instruction."""

    def __init__(self, options: CheckOptions) -> None:
        self.findings: list[Finding] = []
        self._options = options
        self._of: dict[tuple[str, ...], CheckOptions] = {}

    def add(
        self,
        rule: Rule,
        message: str,
        instruction: Instruction,
        location: Location | None = None,
        *,
        span: Location | None = None,
        hint: str = "",
    ) -> None:
        """Add a finding unless the rule is off here. `location` None is `span`, that of the whole instruction."""
        options = self._options
        if instruction.comments:
            options = self._of.setdefault(instruction.comments, options.skipping(instruction.comments))
        if not options.runs(rule):
            return
        whole = span or instruction.location
        is_note = rule.note and not options.asks_for(rule)
        self._keep(rule, message, location or whole, whole, hint, is_note=is_note)

    def add_outside(self, rule: Rule, message: str, location: Location) -> None:
        """Add a finding of what is no instruction, unless the rule is off."""
        if self._options.runs(rule):
            self._keep(rule, message, location, location)

    def _keep(
        self,
        rule: Rule,
        message: str,
        location: Location,
        instruction: Location,
        hint: str = "",
        *,
        is_note: bool = False,
    ) -> None:
        level: Level = "note" if is_note else "error" if self._options.error else "warning"
        finding = Finding(
            rule=rule, message=message, location=location, instruction=instruction, level=level, hint=hint
        )
        # The same is found again close to where it was found; to look at all would cost the square of a long file.
        if finding not in self.findings[-64:]:
            self.findings.append(finding)
