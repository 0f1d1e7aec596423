"""What keeps a text that begins like a JSON array of strings from being one: a sentence for whoever wrote it.

BuildKit takes such a text as plain words, or gives it to the shell, without a remark; what fails then is another thing.
"""

from __future__ import annotations

import re

from builder.dockerfile.words import go_quote

_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_QUOTED = re.compile("'[^']*'")
_BLANKS = re.compile(r"[ \t\r\n]*")
_LONGEST_SHOWN = 40


def array_fault(text: str) -> str:
    """Return why `text`, which begins with a bracket, is no JSON array of strings; "" when it is one."""
    position, wants_string = _BLANKS.match(text, 1).end(), False  # type: ignore[union-attr]  # it matches everywhere
    if text[position : position + 1] == "]":
        return _behind(text[position + 1 :])
    while True:
        if reason := _no_string(text, position, after_comma=wants_string):
            return reason
        position = _skip(text, _STRING.match(text, position).end())  # type: ignore[union-attr]  # as was just tested
        following = text[position : position + 1]
        if following == "]":
            return _behind(text[position + 1 :])
        if following != ",":
            return f"a comma is missing before {_word(text, position)}" if following else "its last bracket is missing"
        position, wants_string = _skip(text, position + 1), True


def is_meant_as_array(text: str) -> bool:
    """Say whether a shell could not have been meant: a quote follows the bracket at once."""
    return text.startswith(('["', "['"))


def _no_string(text: str, position: int, *, after_comma: bool) -> str:
    """Return what stands where a string should, "" when one does."""
    if _STRING.match(text, position):
        return ""
    first = text[position : position + 1]
    if first == '"':
        end = text.find('"', position + 1)
        if end >= 0 and "\\" in text[position:end]:
            return f"in {_shown(text[position : end + 1])} a backslash must be written twice"
        return "a string has no closing quote"
    if first == "]" and after_comma:
        return "a comma stands before its last bracket"
    if not first:
        return "its last bracket is missing"
    return f"{_word(text, position)} is not in double quotes"


def _word(text: str, position: int) -> str:
    """Return what stands at `position`, up to what ends it in an array, as it is shown."""
    match = _STRING.match(text, position) or _QUOTED.match(text, position)
    return _shown(match[0] if match else re.split(r"[,\]]", text[position:])[0])


def _behind(rest: str) -> str:
    rest = rest.strip()
    if rest.startswith("#"):
        return "a comment stands behind it, which needs a line of its own"
    return f"{_shown(rest)} stands behind it" if rest else ""


def _skip(text: str, position: int) -> int:
    return _BLANKS.match(text, position).end()  # type: ignore[union-attr]  # it matches everywhere


def _shown(text: str) -> str:
    text = text.strip()
    return text if text[:1] in "\"'" and len(text) <= _LONGEST_SHOWN else go_quote(text[:_LONGEST_SHOWN])
