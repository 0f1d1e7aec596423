"""Parser directives: the `# key=value` comments at the very top of a file.

    # syntax=docker/dockerfile:1      which frontend should read the file; never run
    # escape=`                        the escape and continuation character
    # check=skip=all;error=true       configuration of the build checks

The first line that is not one of the three ends them: another comment, a blank line, an unknown key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal

from builder.dockerfile.instructions import Directive
from builder.dockerfile.lines import LineReader
from builder.dockerfile.whitespace import BLANKS
from builder.errors import DockerfileSyntaxError, Location

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S(?:.*\S)?)\s*")
_SLASHED_SYNTAX = re.compile(r"//\s*syntax\s*=\s*(\S(?:.*\S)?)\s*", re.IGNORECASE)
_OUR_DIALECTS = frozenset({"dockerfile", "dockerfile-upstream"})
_NAMES: dict[str, Literal["syntax", "escape", "check"]] = {"syntax": "syntax", "escape": "escape", "check": "check"}


def read_directives(reader: LineReader, faults: list[DockerfileSyntaxError]) -> Iterator[Directive]:
    """Yield the directives at the top and leave `reader` behind them; faults are added to the list."""
    seen: set[str] = set()
    while (line := reader.peek()) is not None:
        stripped = line.lstrip(BLANKS)
        match = _DIRECTIVE.fullmatch(stripped)
        name = _NAMES.get(match[1].lower()) if match else None
        if match is None or name is None:
            return
        reader.skip()
        indent = len(line) - len(stripped)
        number = reader.line
        location = Location(reader.file, number, indent + 1, number, indent + match.end(2) + 1)
        value_location = Location(reader.file, number, indent + match.start(2) + 1, number, indent + match.end(2) + 1)
        if name in seen:
            faults.append(DockerfileSyntaxError(f"only one {name} parser directive can be used", location))
            return
        if name == "escape" and match[2] not in ("\\", "`"):
            message = f"invalid escape token '{match[2]}' does not match ` or \\"
            faults.append(
                DockerfileSyntaxError(message, value_location, hint="There are two: # escape=\\ and # escape=`.")
            )
        else:
            seen.add(name)
            yield Directive(name=name, value=match[2], location=location)


def detect_syntax(text: str) -> str:
    """Return the frontend image a file asks for, or "".

    Besides the directive: after a `#!` line, as `//syntax=…` on top, as the "syntax" key of a JSON document.
    """
    first, _, rest = text.partition("\n")
    body = rest if first.startswith("#!") else text
    for directive in read_directives(LineReader(body, ""), []):
        if directive.name == "syntax":
            return directive.value
    for line in body.split("\n"):
        if match := _SLASHED_SYNTAX.fullmatch(line.rstrip("\r")):
            return match[1]
        if not line.startswith("//"):
            break
    return _syntax_key(text)


def is_foreign(frontend: str) -> bool:
    """Say whether a frontend is another one than BuildKit's for Dockerfiles, which this language is.

    A mirror may hold that one under another registry or prefix; what follows the name is meant for the frontend.
    """
    name, *_ = frontend.split() or [""]
    repository = name.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return bool(name) and repository not in _OUR_DIALECTS


def _syntax_key(text: str) -> str:
    if not text.lstrip(BLANKS).startswith("{"):
        return ""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    value = document.get("syntax", "") if isinstance(document, dict) else ""
    return value if isinstance(value, str) else ""
