"""The check of COPY and ADD against the ignore file (CopyIgnoredFile).

An ignore file with exceptions is not judged: a directory may be excluded for the sake of what an exception brings back.
"""

from __future__ import annotations

import posixpath
import re

from builder.dockerfile.instructions import Add, Copy
from builder.dockerfile.words import go_quote
from builder.lint import rules
from builder.lint.finding import IgnoreRules, Report
from builder.lint.scope import Scope

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|[A-Za-z0-9_-]+@[A-Za-z0-9.-]+:", re.IGNORECASE)
_EVERYTHING = frozenset({"*", "**", "**/*"})
"""The patterns that leave nothing of a context, whose root itself no pattern excludes."""


def check_copy(statement: Copy | Add, scope: Scope, escape: str, ignore: IgnoreRules, report: Report) -> None:
    """Check that no source in the build context is hidden from the build."""
    if ignore.has_exceptions or (isinstance(statement, Copy) and statement.source_stage is not None):
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
    return ignore.excludes(relative) if relative else not _EVERYTHING.isdisjoint(ignore.patterns)
