"""A command line that begins with no verb: docker's groups, other words for verbs, and what is no command at all.

    pybuild image ls      a group and its word: `pybuild images`
    pybuild ls            another word for a verb
    pybuild exec          a command of docker, podman, buildah or skopeo that is none here: refused (elsewhere.py)
    pybuild imges         nearly a verb: refused, with the verb
    pybuild app           none of these: a context

Loaded by cli/main.py when the first word is none of its verbs. What is a path here is a context, but for a group
followed by one of its words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from builder.cli.elsewhere import ELSEWHERE
from builder.errors import UsageError
from builder.suggest import did_you_mean, levenshtein, nearest

GROUPS: Mapping[str, Mapping[str, str]] = {
    "image": {
        **{name: name for name in ("build", "history", "inspect", "load", "pull", "push", "save", "search")},
        "tag": "tag", "untag": "untag",
        "ls": "images", "list": "images", "rm": "rmi", "remove": "rmi", "prune": "image_prune",
    },
    "container": {
        **{name: name for name in ("run", "create", "start", "ps", "rm", "diff", "commit", "cp", "export", "mount")},
        "ls": "ps", "list": "ps", "remove": "rm",
        "inspect": "container_inspect", "prune": "container_prune",
    },
    "builder": {"build": "build", "prune": "builder_prune", "du": "df"},
    "buildx": {"build": "build", "prune": "builder_prune", "du": "df", "version": "version"},
    "system": {"df": "df", "info": "info", "prune": "system_prune"},
}  # fmt: skip
"""Docker's groups: group → word after it → verb. `pybuild container ls` is `pybuild ps`."""

ALIASES: Mapping[str, str] = {"ls": "images", "bud": "build", "__complete": "complete"}
"""Other words for verbs; the last is for the scripts of `pybuild completion`."""

HIDDEN: Mapping[str, str] = {
    "container_inspect": "containers", "container_prune": "prune_groups",
    **dict.fromkeys(("image_prune", "builder_prune", "system_prune"), "prune_groups"),
    "group_help": "help",
    "complete": "completion",
}  # fmt: skip
"""Verbs that are reached by a group or another word alone → module, as `VERBS` of main.py has the others."""

_ASKS_FOR_HELP = ("", "-h", "--help", "help")
_SHORT_WORD = 4
_OURS_ARE = "'pybuild --help' lists the commands; a folder is written ./NAME."


class Resolved(NamedTuple):
    """The verb that a command line means, the module of it, and the words that are its own."""

    verb: str
    module: str
    words: list[str]


def resolve(words: list[str], verbs: Mapping[str, str]) -> Resolved | None:
    """Return the verb that `words` mean, which begin with none of `verbs`; None for a context. Raises UsageError."""
    first, second = words[0], words[1] if len(words) > 1 else ""
    is_path = os.path.exists(first)
    if first in GROUPS and (second in GROUPS[first] or not is_path):
        return _in_group(first, words[1:], verbs)
    if is_path:
        return None
    if first in ALIASES:
        return _resolved(ALIASES[first], words[1:], verbs)
    if first in ELSEWHERE:
        raise UsageError(f"there is no 'pybuild {first}'", hint=ELSEWHERE[first])
    known = sorted({*verbs, *GROUPS, *(name for name in ALIASES if name.isalnum())})
    if near := _near(first, known):
        raise UsageError(f"there is no command and no folder {first!r} (did you mean '{near}'?)", hint=_OURS_ARE)
    if second and not second.startswith("-"):
        raise UsageError(f"there is no command and no folder {first!r}", hint=_OURS_ARE)
    return None


def words_of(group: str) -> dict[str, list[str]]:
    """Return the verbs of a group, each with the words for it in that group."""
    found: dict[str, list[str]] = {}
    for word, verb in GROUPS[group].items():
        found.setdefault(verb, []).append(word)
    return found


def _in_group(group: str, words: list[str], verbs: Mapping[str, str]) -> Resolved:
    word, known = words[0] if words else "", GROUPS[group]
    if word in known:
        return _resolved(known[word], words[1:], verbs)
    if word in _ASKS_FOR_HELP:
        return _resolved("group_help", [group], verbs)
    if hint := ELSEWHERE.get(f"{group} {word}") or ELSEWHERE.get(word):
        raise UsageError(f"there is no 'pybuild {group} {word}'", hint=hint)
    raise UsageError(
        f"there is no 'pybuild {group} {word}'{did_you_mean(word, known)}",
        hint=f"pybuild {group} {' | '.join(sorted(known))}",
    )


def _resolved(verb: str, words: list[str], verbs: Mapping[str, str]) -> Resolved:
    return Resolved(verb, verbs.get(verb) or HIDDEN[verb], words)


def _near(word: str, known: Iterable[str]) -> str:
    """Return the known word that was meant; of short words, most folders are two letters from one."""
    found = nearest(word, known)
    return found if found and levenshtein(word, found, 3) <= (1 if len(word) <= _SHORT_WORD else 2) else ""
