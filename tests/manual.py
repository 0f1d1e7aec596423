"""The manual page, docs/pybuild.1: from the parsers that --help is printed from, in the macros of man(7).

python -m tests.rules --refresh     writes it with the pages of docs/

It is a file of the checkout, so that a wheel and a package have it without running pybuild.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Collection, Iterator
from pathlib import Path

from builder import __version__
from builder.cli.arguments import EPILOG, build_parser
from builder.cli.groups import ALIASES, GROUPS, HIDDEN, words_of
from builder.cli.main import VERBS, parser_of

MANUAL_FILE = Path(__file__).resolve().parents[1] / "docs" / "pybuild.1"
_DAY = "2026-11-28"
"""Of the release that it describes, in .TH."""

_COLUMNS = 78
_NOT_SHOWN = ("group_help", "complete")
_FILES = (
    ("/var/lib/pybuild", "the store of root"),
    ("~/.local/share/pybuild", "the store of others; below $XDG_DATA_HOME where that is set"),
    ("PATH/Dockerfile, PATH/Containerfile", "what is built"),
    ("<Dockerfile>.dockerignore, PATH/.dockerignore", "what of the context is not seen by a build"),
    ("~/.docker/config.json", "credentials and credential helpers; in $DOCKER_CONFIG where that is set"),
    ("$XDG_RUNTIME_DIR/containers/auth.json", "those of podman, buildah and skopeo"),
    ("/etc/containers/registries.conf", "mirrors, blocked and insecure registries, short names"),
    ("/etc/containers/certs.d, /etc/docker/certs.d", "certificates for single registries"),
    ("/etc/subuid, /etc/subgid", "the ids that an ordinary user has for RUN"),
)
_SEE_ALSO = ("docker", "podman", "buildah", "skopeo", "crun", "subuid", "containers-registries.conf")
_SECTIONS = {"subuid": 5, "containers-registries.conf": 5}


def render_manual() -> str:
    """Return the page."""
    lines, is_filled = list[str](), True
    for line in _lines():
        is_filled = {".nf": False, ".fi": True}.get(line, is_filled)
        lines += _wrapped(line) if is_filled and not line.startswith(".") else [line]
    return "\n".join(lines) + "\n"


def _wrapped(line: str) -> list[str]:
    """Break a line of text where formatters wish it, and let none of its ends look like a request."""
    found = textwrap.wrap(line, _COLUMNS, break_long_words=False, break_on_hyphens=False)
    return [f"\\&{part}" if part.startswith(".") else part for part in found]


def _lines() -> Iterator[str]:
    build = build_parser()
    yield '.\\" written by python -m tests.rules --refresh'
    yield f'.TH PYBUILD 1 {_DAY} "pybuild {__version__}" "User Commands"'
    yield ".SH NAME"
    yield rf"pybuild \- {_text(_lower(build.description or '').rstrip('.'))}"
    yield ".SH SYNOPSIS"
    for number, usage in enumerate(("[OPTIONS] PATH | URL | -", "COMMAND [OPTIONS] [ARGUMENT...]")):
        yield from [".br"] if number else []
        yield rf"\fBpybuild\fR {_text(usage)}"
    yield ".SH DESCRIPTION"
    yield _text(
        "Without a command, pybuild builds the image that a Dockerfile describes, and keeps it in a store of its own. "
        "The other commands show, fetch, send, copy, run and remove images; their words are those of docker, podman "
        "and skopeo where these have them. There is no daemon, and root is not needed."
    )
    yield ".SH OPTIONS"
    yield from _options(build)
    yield ".SH COMMANDS"
    for verb in sorted(set(VERBS) - {"build"}):
        yield from _command(verb, VERBS[verb], {*build._option_string_actions} if verb == "plan" else {"-h"})
    yield ".SH GROUPS"
    yield _text("Docker's groups are known; what a word means is told above. A group alone lists its words.")
    for group in GROUPS:
        yield from _group(group)
    shared = ", ".join(f"'pybuild {word}' is 'pybuild {verb}'" for word, verb in ALIASES.items() if word.isalnum())
    yield ".PP"
    yield _text(f"{shared}, and 'pybuild build PATH' is 'pybuild PATH'.")
    for verb in sorted(set(HIDDEN) - set(_NOT_SHOWN)):
        yield from _command(verb, HIDDEN[verb], {"-h"})
    yield from _of_the_epilog()
    yield ".SH FILES"
    for path, meaning in _FILES:
        yield from _entry(rf"\fI{_text(path)}\fR", meaning)
    yield ".SH SEE ALSO"
    yield ",\n".join(rf"\fB{_text(name)}\fR({_SECTIONS.get(name, 1)})" for name in _SEE_ALSO)


def _command(verb: str, module: str, known: set[str]) -> Iterator[str]:
    """Yield the part about one verb; flags among `known` were told before."""
    parser = parser_of(verb, module)
    yield f".SS {_text(parser.prog)}"
    yield rf"\fB{_text(parser.prog)}\fR {_text(_arguments(parser))}"
    yield ".PP"
    yield _text(parser.description or "")
    if len(known) > 1:
        yield _text("All options of a build, and:")
    yield from _options(parser, known)
    if parser.epilog:
        yield from (".PP", ".nf", *(_text(line) for line in parser.epilog.rstrip().splitlines()), ".fi")


def _arguments(parser: argparse.ArgumentParser) -> str:
    """Return what follows a verb, as a usage has it."""
    if parser.usage:
        return parser.usage.splitlines()[0].removeprefix(parser.prog).strip()
    shown = {None: "{}", "?": "[{}]", "+": "{}...", "*": "[{}...]"}
    places = [action for action in parser._actions if not action.option_strings]
    return " ".join(["[OPTIONS]", *(shown[_count(action)].format(_metavar(action)) for action in places)])


def _count(action: argparse.Action) -> str | None:
    return action.nargs if isinstance(action.nargs, str) else None


def _metavar(action: argparse.Action) -> str:
    return " | ".join(map(str, action.choices)) if action.choices else str(action.metavar or action.dest.upper())


def _options(parser: argparse.ArgumentParser, known: Collection[str] = ()) -> Iterator[str]:
    """Yield arguments and flags, group by group, without those that are `known`."""
    for group in parser._action_groups:
        actions = [
            action
            for action in group._group_actions
            if action.help != argparse.SUPPRESS and not {*known}.intersection(action.option_strings)
        ]
        if parser.prog == "pybuild" and actions and group.title not in ("positional arguments", "options"):
            yield f".SS {_text(_upper(group.title or ''))}"
        for action in actions:
            yield from _entry(_tag(action), action.help or "")


def _tag(action: argparse.Action) -> str:
    if not action.option_strings:
        return rf"\fI{_text(_metavar(action))}\fR"
    names = ", ".join(rf"\fB{_text(name)}\fR" for name in action.option_strings)
    return names if action.nargs == 0 else rf"{names} \fI{_text(_metavar(action))}\fR"


def _group(group: str) -> Iterator[str]:
    words = [(", ".join(words), verb) for verb, words in words_of(group).items()]
    meanings = [f"{said} ({verb})" if said != verb and verb in VERBS else said for said, verb in sorted(words)]
    yield from _entry(rf"\fBpybuild {_text(group)}\fR", "; ".join(meanings))


def _of_the_epilog() -> Iterator[str]:
    """Yield environment and exit codes, which --help has as tables of two columns."""
    parts = dict(re.findall(r"^(environment|exit codes):\n((?:  .*\n)+)", EPILOG, re.M))
    yield ".SH EXIT STATUS"
    for code, meaning in re.findall(r"(\d+) (.*?)(?=   |\n)", parts["exit codes"]):
        yield from _entry(rf"\fB{code}\fR", meaning)
    yield ".PP"
    yield _text("The exit codes of 'pybuild run' and 'pybuild start' are those of the command: see there.")
    yield ".SH ENVIRONMENT"
    for name, meaning in re.findall(r"^  (\S+)\s+(.*)$", parts["environment"], re.M):
        yield from _entry(rf"\fB{_text(name)}\fR", meaning)


def _entry(tag: str, meaning: str) -> Iterator[str]:
    yield from (".TP", tag, _text(meaning))


def _text(text: str) -> str:
    """Return text as roff has it: nothing of it is a request, and each hyphen is one that can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    escaped = escaped.replace("~", "\\(ti").replace("^", "\\(ha")
    escaped = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in escaped)
    return f"\\&{escaped}" if escaped.startswith((".", " ")) else escaped


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
