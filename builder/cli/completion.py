"""The words that may stand where somebody presses Tab: from the parsers of the verbs, the store, and the Dockerfile.

What a value may be is told by its flag, or by its metavar, which says the same thing in every verb.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from builder.cli.groups import GROUPS
from builder.cli.main import VERBS, parser_of, verb_of
from builder.engine.completion import argument_words, container_words, image_words, stage_words
from builder.engine.location import store_root

TRANSPORTS = (
    "docker://", "oci:", "oci-archive:", "docker-archive:", "dir:", "docker-daemon:", "containers-storage:",
)  # fmt: skip
_ON_DISK = ("oci:", "oci-archive:", "docker-archive:", "dir:")
_CONTEXTS = ("docker-image://", "oci-layout://", "https://")
_VALUES = {
    "--network": ("default", "host", "none"), "--net": ("default", "host", "none"),
    "--isolation": ("native", "oci", "chroot"),
    "--progress": ("auto", "tty", "plain", "rawjson", "quiet"),
    "--on-error": ("shell",),
    "--call": ("build", "check", "outline", "targets"), "--print": ("build", "check", "outline", "targets"),
    "--allow": ("network.host", "security.insecure"),
    "--platform": ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/s390x"),
    "--output": (*(f"type={kind},dest=" for kind in ("docker", "local", "oci", "tar")), "type=image", "type=registry"),
    "--secret": ("id=",), "--ssh": ("default",), "--timestamp": ("git",), "--source-date-epoch": ("git",),
}  # fmt: skip
"""What flags take whose values are few."""
_UNENDED = ("=", ":", "/")
"""More is to follow after a word that ends with one of these."""


class Completion(NamedTuple):
    """Words with what they mean ("" where nothing is to be said), and what the shell is to add by itself."""

    words: tuple[tuple[str, str], ...] = ()
    adds: str = ""
    """`files`, `folders` or nothing."""

    @property
    def is_unended(self) -> bool:
        """Whether no space is to follow."""
        return any(word.endswith(_UNENDED) for word, _ in self.words)


class _Line(NamedTuple):
    """What of a command line is known before the word that is completed."""

    parser: argparse.ArgumentParser
    values: dict[str, list[str]]
    """By dest; of a switch, empty texts."""
    positionals: list[str]
    waits: argparse.Action | None
    """The flag whose value is completed."""
    is_closed: bool
    """No flags can follow."""


def complete(words: Sequence[str], current: str) -> Completion:
    """Return what `current` may become after `words` (without the program's name). May raise whatever a parser does."""
    rest = list(words)
    root = [rest.pop(0), rest.pop(0)] if rest[:1] == ["--root"] and len(rest) > 1 else []
    if not rest and not current.startswith("-"):
        return _starting(current, [*VERBS, *GROUPS, "ls"], "folders")
    if rest and rest[0] in GROUPS and len(rest) == 1:
        return _starting(current, GROUPS[rest[0]])
    verb, module, own = verb_of(rest) or ("build", "build", rest)
    line = _read(parser_of(verb, module), [*root, *own], takes_command=verb in ("run", "create"))
    return _complete(line, verb, current)


def _read(parser: argparse.ArgumentParser, words: Sequence[str], *, takes_command: bool) -> _Line:
    known = parser._option_string_actions  # argparse shows nobody the flags it knows
    values: dict[str, list[str]] = {}
    positionals: list[str] = []
    waits: argparse.Action | None = None
    is_closed = False
    for word in words:
        if waits is not None:
            values.setdefault(waits.dest, []).append(word)
            waits = None
        elif is_closed or not word.startswith("-") or word == "-":
            positionals.append(word)
            is_closed = is_closed or takes_command
        elif word == "--":
            is_closed = True
        else:
            name, equals, value = word.partition("=") if word.startswith("--") else (_last_letter(word, known), "", "")
            action = known.get(name)
            if action is not None and action.nargs != 0 and not equals:
                waits = action
            elif action is not None:
                values.setdefault(action.dest, []).append(value)
    return _Line(parser, values, positionals, waits, is_closed)


def _last_letter(word: str, known: dict[str, argparse.Action]) -> str:
    """Return the flag that a word of short flags ends with: -it is -i -t. One with its value in the word is none."""
    for position, letter in enumerate(word[1:], 2):
        action = known.get(f"-{letter}")
        if action is None or (action.nargs != 0 and position < len(word)):
            return ""
    return f"-{word[-1]}"


def _complete(line: _Line, verb: str, current: str) -> Completion:
    if line.waits is not None:
        return _value(line, verb, line.waits, current)
    name, equals, value = current.partition("=")
    if current.startswith("--") and equals and not line.is_closed:
        action = line.parser._option_string_actions.get(name)
        if action is None or action.nargs == 0:
            return Completion()
        return _prefixed(f"{name}=", _value(line, verb, action, value), value)
    if current.startswith("-") and not line.is_closed:
        return Completion(tuple(sorted(_flags(line, current))))
    places = [action for action in line.parser._actions if not action.option_strings]
    if verb in ("run", "create"):
        if line.positionals:
            return Completion(adds="files")
        return _starting(current, image_words(_root(line), current))
    if verb == "mount" and line.is_closed:
        return Completion(adds="files")
    many = [action for action in places if action.nargs in ("+", "*")]
    after = places[len(line.positionals) : len(line.positionals) + 1] or many[-1:]
    return _value(line, verb, after[0], current) if after else Completion()


def _flags(line: _Line, current: str) -> Iterator[tuple[str, str]]:
    for action in line.parser._actions:
        is_taken = action.dest in line.values and not isinstance(action, argparse._AppendAction)
        for name in action.option_strings:
            if name.startswith(current) and not is_taken and action.help != argparse.SUPPRESS:
                yield name, action.help or ""


def _value(line: _Line, verb: str, action: argparse.Action, current: str) -> Completion:
    """Return what the value of a flag or an argument may be."""
    if action.choices is not None:
        return _starting(current, [str(choice) for choice in action.choices])
    for name in action.option_strings:
        if name in _VALUES:
            return _starting(current, _VALUES[name])
    if verb == "help":
        return complete(line.positionals, current)._replace(adds="")
    kind = str(action.metavar or action.dest)
    by_kind: dict[str, Callable[[], Completion]] = {
        "FILE": lambda: Completion(adds="files"),
        "DIR": lambda: Completion(adds="folders"),
        "PATH": lambda: Completion(adds="folders"),
        "STAGE": lambda: _starting(current, stage_words(*_dockerfile(line))),
        "CONTAINER": lambda: _starting(current, container_words(_root(line), current)),
        "SRC": lambda: _image(line, current),
        "DST": lambda: _image(line, current),
        "NAME=WHERE": lambda: _where(line, current),
        "SOURCE": lambda: _copied(line, current),
        "DEST": lambda: _copied(line, current),
    }
    if kind in by_kind:
        return by_kind[kind]()
    if "--build-arg" in action.option_strings:
        given = {word.partition("=")[0] for word in line.values.get(action.dest, ())}
        return _starting(current, [f"{name}=" for name in argument_words(*_dockerfile(line)) if name not in given])
    if kind.startswith("IMAGE"):
        return _image(line, current) if verb == "inspect" else _starting(current, image_words(_root(line), current))
    if kind.startswith("NAME[:TAG"):
        return _starting(current, image_words(_root(line), current))
    return Completion()


def _image(line: _Line, current: str) -> Completion:
    """Complete an image wherever it is: in the store, after a transport's prefix, or in a file."""
    for prefix in _ON_DISK:
        if current.startswith(prefix):
            return _prefixed(prefix, _paths(current.removeprefix(prefix)), "")
    return _starting(current, [*image_words(_root(line), current), *TRANSPORTS])


def _where(line: _Line, current: str) -> Completion:
    """Complete NAME=WHERE of --build-context: an image of the store, an address, a folder."""
    name, equals, where = current.partition("=")
    if not equals:
        return Completion()
    if where.startswith("docker-image://"):
        names = [f"docker-image://{image}" for image in image_words(_root(line), "")]
        return _prefixed(f"{name}=", _starting(where, names), "")
    if where.startswith("oci-layout://"):
        return _prefixed(f"{name}=oci-layout://", _paths(where.removeprefix("oci-layout://")), "")
    found = _paths(where, folders_only=True)
    return _prefixed(f"{name}=", found._replace(words=found.words + _starting(where, _CONTEXTS).words), "")


def _copied(line: _Line, current: str) -> Completion:
    """Complete a side of cp: CONTAINER: or a path of this machine."""
    names = [f"{name}:" for name in container_words(_root(line), current)]
    paths = _paths(current)
    return paths._replace(words=paths.words + (_starting(current, names).words if current.find(":") < 0 else ()))


def _paths(text: str, *, folders_only: bool = False) -> Completion:
    """Return the files that a path may become, for words of which it is a part: shells know whole words alone."""
    folder, slash, begin = text.rpartition("/")
    found = []
    try:
        with os.scandir(os.path.expanduser(f"{folder}{slash}") or ".") as entries:
            for entry in entries:
                is_shown = entry.name.startswith(begin) and (begin or not entry.name.startswith("."))
                if is_shown and (entry.is_dir() or not folders_only):
                    found.append((f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}", ""))
    except OSError:
        pass
    return Completion(tuple(sorted(found)))


def _prefixed(prefix: str, found: Completion, rest: str) -> Completion:
    """Return what completes a value, as what completes the word that it is the end of."""
    if found.adds:
        found = _paths(rest, folders_only=found.adds == "folders")
    return Completion(tuple((f"{prefix}{word}", meaning) for word, meaning in found.words))


def _starting(current: str, words: Iterable[str], adds: str = "") -> Completion:
    return Completion(tuple((word, "") for word in sorted(set(words)) if word.startswith(current)), adds)


def _root(line: _Line) -> str:
    return store_root(line.values.get("root", [""])[-1], os.environ)


def _dockerfile(line: _Line) -> tuple[str | None, str]:
    """Return what -f says, and the context: here as long as there is none."""
    return line.values.get("file", [None])[-1], (line.positionals or ["."])[0]
