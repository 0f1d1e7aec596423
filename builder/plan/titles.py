"""What displays call a step: `[stage 2/5] RUN make`, variables filled in as far as they are known.

The number counts the steps of a stage, its image included; several platforms go before it as `linux/amd64->arm64`.
"""

from __future__ import annotations

from collections.abc import Iterable

from builder.dockerfile.instructions import Add, Copy, Run, StageStatement, Statement, Workdir
from builder.dockerfile.words import Lookup
from builder.errors import ReferenceFormatError
from builder.oci.platform import Platform, normalise, parse_platform
from builder.plan.arguments import full_name
from builder.plan.scope import Expander, Scope, shorten
from builder.plan.state import StageState
from builder.web.address import without_credentials

_MASK = "****"
_MAX_TITLE_CHARACTERS = 2000
_MAX_VALUE_CHARACTERS = 200


def count_steps(statements: Iterable[StageStatement]) -> int:
    return sum(isinstance(statement, Add | Copy | Run | Workdir) for statement in statements)


def statement_title(statement: Statement, state: StageState, expander: Expander, secrets: Iterable[str] = ()) -> str:
    """Return an instruction as one line; values of the secret variables `secrets` stay hidden."""
    masked = frozenset(secrets)

    def lookup(name: str) -> str | None:
        value = _MASK if name in masked else state.scope.lookup(name)
        return None if value is None else shorten(value, _MAX_VALUE_CHARACTERS)

    text = _uppercase(_filled(statement, lookup, expander))
    if isinstance(statement, Add) and "://" in text:
        text = without_credentials(text)
    return shorten(text, _MAX_TITLE_CHARACTERS)


def _filled(statement: Statement, lookup: Lookup, expander: Expander) -> str:
    # Of a heredoc the first line; the script of a RUN is told by its own first line below.
    text = statement.syntax.text.partition("\n")[0]
    # Cut before it is expanded, too: a title must not cost more than the step.
    if len(text) > _MAX_TITLE_CHARACTERS:
        return shorten(text, _MAX_TITLE_CHARACTERS)
    if not isinstance(statement, Run):
        # RUN's variables are the shell's, and stay as they are where the stage has none of that name (dispatchRun of
        # BuildKit); other words are expanded as they will be.
        return expander.display(text, lookup, quotes="remove", keep_unset=False)
    shown = expander.display(text, lookup, quotes="keep", keep_unset=True)
    if statement.is_script and statement.heredocs:
        first, newline, _ = statement.heredocs[0].content.strip().partition("\n")
        shown += f" ({first.rstrip()}{'...' if newline else ''})"
    return shown


def _uppercase(text: str) -> str:
    keyword, blank, rest = text.partition(" ")
    return keyword.upper() + blank + rest


def numbered(text: str, state: StageState, *, platform: bool, trigger: bool = False) -> str:
    """Return `text` with its place in the stage before it, and count it."""
    if not state.step_total:
        return text
    state.step_count += 1
    width = len(str(state.step_total))
    parts = [f"{state.step_count:>{width}}/{state.step_total}"]
    if state.name:
        parts.insert(0, state.name)
    if platform:
        parts.insert(0, full_name(state.platform) + _towards(state.platform, state.scope))
    return f"[{' '.join(parts)}] {'ONBUILD ' if trigger else ''}{text}"


def _towards(platform: Platform, scope: Scope) -> str:
    """Return `->arm64` in a stage that knows it builds for another platform than it runs on (cross compilation)."""
    target = _declared_target(scope, platform)
    if target is None:
        return ""
    if target.os != platform.os:
        return f"->{full_name(target)}"
    if target.architecture != platform.architecture:
        # BuildKit's form (formatTargetPlatform): the system is said only where it differs.
        return "->" + "/".join(filter(None, (target.architecture, target.variant)))
    return ""


def _declared_target(scope: Scope, platform: Platform) -> Platform | None:
    if text := scope.lookup("TARGETPLATFORM"):
        try:
            return parse_platform(text)
        except ReferenceFormatError:
            return None
    parts = [scope.lookup(name) for name in ("TARGETOS", "TARGETARCH", "TARGETVARIANT")]
    if all(part is None for part in parts):
        return None
    return normalise(parts[0] or platform.os, parts[1] or platform.architecture, parts[2] or "")
