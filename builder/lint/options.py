"""Which rules run: the `check` directive, BUILDKIT_DOCKERFILE_CHECK, and the comment above an instruction.

# check=skip=JSONArgsRecommended,StageNameCasing;error=true;experimental=all
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from builder.dockerfile.words import go_quote
from builder.errors import DockerfileSyntaxError, Location
from builder.lint.rules import RULES, Rule
from builder.suggest import did_you_mean
from builder.truth import truth_of

ALL = "all"
ADVICE = "advice"
"""All checks of ours."""
NOTES = "notes"
"""Those of ours that a check shows unasked. No word of the directive: only a caller says it."""
_MOST_PARTS = 3
_COMMENT = re.compile(r"check\s*=\s*(\S*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """`skip` and `enable` hold names of rules; "all" stands for every rule."""

    skip: frozenset[str] = frozenset()
    enable: frozenset[str] = frozenset()
    error: bool = False

    def runs(self, rule: Rule) -> bool:
        """Whether a rule is on. An optional rule is on when it is asked for; only a note can be skipped otherwise."""
        skipped = ALL in self.skip or rule.name in self.skip
        if rule.optional:
            return self.asks_for(rule) or (rule.note and NOTES in self.enable and not skipped)
        return not skipped

    def asks_for(self, rule: Rule) -> bool:
        """Whether somebody has asked for an optional rule: by its name, or with others of its kind."""
        wanted = ALL in self.enable and not rule.ours
        return wanted or rule.name in self.enable or (rule.ours and ADVICE in self.enable)

    def skipping(self, comments: Iterable[str]) -> CheckOptions:
        """Return these options with what the comments above an instruction skip; a malformed one is ignored."""
        options = self
        for comment in comments:
            match = _COMMENT.match(comment)
            if match is None:
                continue
            try:
                more = parse_check(match[1])
            except DockerfileSyntaxError:
                continue
            options = replace(options, skip=options.skip | more.skip, enable=options.enable | more.enable)
        return options


def parse_check(text: str, location: Location | None = None) -> CheckOptions:
    """Parse the value of `check`. Raises DockerfileSyntaxError."""
    options = CheckOptions()
    if not text.strip():
        return options
    for part in text.strip().split(";", _MOST_PARTS - 1):
        key, equal, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equal:
            raise _refused(f"invalid check option {go_quote(part)}", location)
        if key == "skip":
            options = replace(options, skip=_names(value))
        elif key == "experimental":
            options = replace(options, enable=_names(value))
        elif key == "error":
            if (error := truth_of(value)) is None:
                reason = f"strconv.ParseBool: parsing {go_quote(value)}: invalid syntax"
                raise _refused(f"failed to parse check option {go_quote(part)}: {reason}", location)
            options = replace(options, error=error)
        else:
            near = did_you_mean(key, ("skip", "error", "experimental"))
            raise _refused(f"invalid check option {go_quote(key)}{near}", location)
    return options


def unknown_rules(options: CheckOptions) -> tuple[tuple[str, str], ...]:
    """Return the names in the options that belong to no rule, in order, each with " (did you mean …?)" or ""."""
    known = {*RULES, ALL, ADVICE, ""}
    unknown = sorted((options.skip | options.enable) - known)
    return tuple((name, did_you_mean(name, RULES)) for name in unknown)


def _names(value: str) -> frozenset[str]:
    return frozenset(name.strip() for name in value.split(","))


def _refused(message: str, location: Location | None) -> DockerfileSyntaxError:
    hint = "Write `# check=skip=RuleA,RuleB;error=true`."
    return DockerfileSyntaxError(f"failed to parse check options: {message}", location, hint=hint)
