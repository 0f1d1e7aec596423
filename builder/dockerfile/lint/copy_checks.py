"""The check of COPY and ADD against the ignore file (CopyIgnoredFile)."""

from __future__ import annotations

import posixpath
import re

from builder.dockerfile.instructions import Add, Copy
from builder.dockerfile.lint import rules
from builder.dockerfile.lint.finding import IgnoreRules, Report
from builder.dockerfile.lint.scope import Scope
from builder.dockerfile.words import go_quote

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@[^/]+:", re.IGNORECASE)
_WILDCARD = re.compile(r"[*?\[\\]")
_PROBE = "\x01"
"""A name that only a pattern for every name matches."""


def check_copy(statement: Copy | Add, scope: Scope, escape: str, ignore: IgnoreRules, report: Report) -> None:
    """Check that no source in the build context is hidden from the build."""
    if isinstance(statement, Copy) and statement.source_stage is not None:
        return
    command = "Add" if isinstance(statement, Add) else "Copy"
    for word in statement.sources:
        expansion = scope.expand(word.text, escape)
        if expansion is None or expansion.missing or _REMOTE.match(expansion.text):
            continue
        path = posixpath.normpath(expansion.text)
        if _is_hidden(path, ignore):
            message = f"Attempting to {command} file {go_quote(path)} that is excluded by .dockerignore"
            report.add(rules.COPY_IGNORED_FILE, message, statement.syntax, word.location)


def _is_hidden(path: str, ignore: IgnoreRules) -> bool:
    relative = posixpath.normpath("/" + path).lstrip("/")
    if not relative:
        # The whole context is hidden only when any name at all would be, and no exception brings something back.
        return ignore.excludes(_PROBE) and not ignore.may_reinclude_below("")
    if not ignore.excludes(relative):
        return False
    wildcard = _WILDCARD.search(relative)
    directory = posixpath.dirname(relative[: wildcard.start()]) if wildcard else relative
    return not ignore.may_reinclude_below(directory)
