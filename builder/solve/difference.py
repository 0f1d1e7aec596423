"""One thing that is not as it was when a step was last made: the closed list of kinds, and the value.

docs/reasons.md is the list for people; tests/explain/test_kinds.py holds one against the other.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Kind = Literal[
    # the step as a whole
    "first-build", "step-added", "no-cache", "pruned", "layer-gone", "cache-format", "instruction",
    # what it stands on
    "follows-step", "base-moved", "base-changed", "step-removed", "step-order",
    # RUN
    "command", "shell", "heredoc", "heredoc-name",
    "argument-added", "argument-removed", "argument-changed",
    "variable-added", "variable-removed", "variable-changed", "variable-order",
    "mount-added", "mount-removed", "mount-changed", "mount-source", "mount-order",
    "network", "security", "platform", "hostname", "hosts", "shm-size", "ulimit", "isolation",
    # RUN, COPY, ADD, WORKDIR
    "user", "workdir", "destination", "source-changed", "source-added", "source-removed", "source-order",
    "chown", "chmod", "link", "parents", "exclude", "unpack", "timestamp", "user-ids", "other",
    # files
    "file-added", "file-removed", "file-changed", "file-mode", "file-owner", "file-kind", "file-link", "file-device",
    "hard-link", "file-attribute", "ignore-rule", "repository",
    # what a dry run cannot say more of
    "not-fetched", "waits",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

FIRST_BUILD = "not built here before"
"""The words for a step that has nothing to be compared with."""

MOST = 200
"""Differences that are kept of one step."""
LONGEST = 2000
"""Characters that are kept of a value."""


class Difference(NamedTuple):
    kind: Kind
    words: str
    """One clause, values cut: what a display shows."""
    subject: str = ""
    """What differs: a path, a variable, a mount, a step, a flag."""
    was: str = ""
    now: str = ""


class Reasons(NamedTuple):
    """Why a step must run."""

    words: str = ""
    """The clause a display shows, with how many more there are; "" for no reason."""
    differences: tuple[Difference, ...] = ()
    """Everything that differs, the nearest to the user's hand first; at most MOST."""
    unsaid: int = 0
    """How many more there are than that."""


NO_REASONS = Reasons()


def reasons_of(found: tuple[Difference, ...]) -> Reasons:
    """Return what is kept, and what is shown in one line, of all that differs."""
    if not found:
        return NO_REASONS
    first = found[0]
    words = f"{first.words} and {len(found) - 1} more" if len(found) > 1 else first.words
    # Where nothing else has changed that is worth saying: whoever touched a mode seldom knows.
    if len(found) == 1 and first.kind in ("file-mode", "file-owner"):
        words = f"only the {first.kind[5:]} differs: {first.subject} {first.was} → {first.now}"
    kept = tuple(each._replace(was=_kept(each.was), now=_kept(each.now)) for each in found[:MOST])
    return Reasons(words, kept, len(found) - len(kept))


def only(kind: Kind, words: str, subject: str = "") -> Reasons:
    """Return the one reason that there is."""
    return Reasons(words, (Difference(kind, words, subject),))


def _kept(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
