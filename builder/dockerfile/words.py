"""Word expansion: quotes, escapes, `$name` and `${name…}`, as the Dockerfile reference and BuildKit define them.

    expand("a-$b", lookup)         one word in, its text out, with the names it used and those it missed
    expand_words("$a b", lookup)   the same, split at blanks that are neither quoted nor escaped (EXPOSE)

The forms are `${v}`, `:-` `-`, `:+` `+`, `:?` `?`, `#` `##`, `%` `%%`, `/p/r` and `//p/r`; words inside braces are
expanded in turn, whether they are needed or not. A stack of frames takes the place of recursion, and every text that is
produced counts against one limit, so no word can exhaust the stack, the memory or the patience of the caller.

Substring forms, arithmetic and command substitution don't exist in Dockerfiles.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from builder.dockerfile.patterns import PatternError, parse_pattern
from builder.errors import Location, SourceError

Lookup = Callable[[str], str | None]
Quotes = Literal["remove", "keep", "literal"]
"""What quotes do: quote and disappear; quote and stay (displays); nothing at all (heredoc bodies)."""

MAX_EXPANDED_CHARACTERS = 16 << 20
"""Most characters produced for one word beyond its own, parts included. Linux takes 128 KiB in one variable."""
MAX_DEPTH = 2000
"""Deepest nesting of `${…}` and quotes."""

# Unicode's White_Space, which is what Go splits at; str.isspace() knows four control characters more.
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_SPLIT = re.compile(f"([{_BLANKS}]+)")
_QUOTED = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
    "\v": "\\v",
}  # fmt: skip
_NAME = re.compile(r"\d+|[@*#?\-$!]|\w+")
_PLAIN = {escape: re.compile(rf"[^$'\"}}/{re.escape(escape)}]+") for escape in "\\`"}
_SPECIAL = {escape: re.compile(rf"[$'\"{re.escape(escape)}]") for escape in "\\`"}


class WordError(SourceError):
    """A word that can't be expanded. `offset` is where in the word the fault begins, `variable` the name concerned."""

    def __init__(
        self,
        reason: str,
        location: Location | None = None,
        *,
        word: str = "",
        offset: int = 0,
        variable: str = "",
        hint: str = "",
    ) -> None:
        one_line = reason.replace("\n", "\\n")  # a reason quotes the word, which may be a whole heredoc
        super().__init__(f"failed to process {go_quote(word)}: {one_line}", location, hint=hint)
        self.reason = reason
        self.offset = offset
        self.variable = variable


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a word became. `unset` holds the unset variables in it, `missing` those of them without a fall-back."""

    text: str
    used: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()


def expand(
    word: str, lookup: Lookup, *, escape: str = "\\", quotes: Quotes = "remove", keep_unset: bool = False
) -> Expansion:
    """Expand one word; `lookup` gives a variable's value or None. Raises WordError.

    `keep_unset` leaves substitutions of unset variables as they are written, for displays.
    """
    if not _SPECIAL[escape].search(word):
        return Expansion(word)
    machine = _Machine(word, lookup, escape=escape, quotes=quotes, keep_unset=keep_unset)
    text = machine.run()
    return Expansion(text, tuple(machine.used), tuple(machine.missing), tuple(machine.unset))


def expand_words(text: str, lookup: Lookup, *, escape: str = "\\") -> tuple[str, ...]:
    """Expand `text` and split the result; blanks that come out of a variable split too. Raises WordError."""
    machine = _Machine(text, lookup, escape=escape, quotes="remove", keep_unset=False)
    machine.run()
    return tuple(machine.words())


def go_quote(text: str) -> str:
    """Return `text` in double quotes as Go's %q prints it; the form of history records and of messages."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_quoted_character, text)) + '"'


def _quoted_character(character: str) -> str:
    code = ord(character)
    if character in _QUOTED:
        return _QUOTED[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(slots=True)
class _Frame:
    """A text being collected until `stop`: the word itself, a double-quoted part, or a word inside braces."""

    stop: str
    raw: bool
    """Escapes stay in the text: patterns read them again."""
    start: int
    name: str = ""
    modifier: str = ""
    pattern: str | None = None
    """The finished pattern, while the replacement of `/p/r` is being collected."""
    parts: list[str] = field(default_factory=list)


class _Machine:
    """One expansion. `stack[0]` collects the result; a frame on top of it is something not yet closed."""

    def __init__(self, word: str, lookup: Lookup, *, escape: str, quotes: Quotes, keep_unset: bool) -> None:
        self.word, self.position = word, 0
        self.used: dict[str, None] = {}
        self.missing: dict[str, None] = {}
        self.unset: dict[str, None] = {}
        self._lookup, self._escape, self._quotes, self._keep_unset = lookup, escape, quotes, keep_unset
        self._stack = [_Frame("", False, 0)]
        self._split: list[tuple[str, bool]] = []
        self._produced = -len(word)

    def run(self) -> str:
        word, plain = self.word, _PLAIN[self._escape]
        while self.position < len(word):
            frame = self._stack[-1]
            character = word[self.position]
            if match := plain.match(word, self.position):
                self.position = match.end()
                self._add(match.group(), splits=True)
            elif character == frame.stop:
                self.position += 1
                self._close()
            elif character == "$":
                self._dollar()
            elif character == self._escape:
                self._escaped(frame)
            elif character in "'\"" and frame.stop != '"' and self._quotes != "literal":
                self._quote(character)
            else:
                self.position += 1
                self._add(character, splits=True)
        if len(self._stack) > 1:
            reason = "unexpected end of statement while looking for matching double-quote"
            raise self._error(reason, self._stack[-1].start)
        return "".join(self._stack[0].parts)

    def words(self) -> list[str]:
        """Split the result where a blank was neither quoted nor escaped; empty words don't exist."""
        words, current = [], ""
        for text, splits in self._split:
            for part in _SPLIT.split(text) if splits else (text,):
                if splits and part and part[0] in _BLANKS:
                    words.append(current)
                    current = ""
                else:
                    current += part
        return [word for word in [*words, current] if word]

    def _add(self, text: str, *, splits: bool) -> None:
        self._produced += len(text)
        if self._produced > MAX_EXPANDED_CHARACTERS:
            raise self._error("the result is too long", self._stack[-1].start)
        self._stack[-1].parts.append(text)
        if len(self._stack) == 1:
            self._split.append((text, splits))

    def _push(self, frame: _Frame) -> None:
        if len(self._stack) > MAX_DEPTH:
            raise self._error(f"substitutions are nested deeper than {MAX_DEPTH}", frame.start)
        self._stack.append(frame)

    def _escaped(self, frame: _Frame) -> None:
        """Take the escape character and what it protects: anything, or in double quotes `"`, `$` and itself."""
        following = self.word[self.position + 1 : self.position + 2]
        quoted = frame.stop == '"'
        self.position += 1 + bool(following)
        kept = self._escape if frame.raw else ""
        if quoted and following and following not in f'"${self._escape}':
            self.position -= 1
            following = self._escape
        if kept or following:
            self._add(kept + following, splits=False)

    def _quote(self, quote: str) -> None:
        start = self.position
        if quote == '"':
            self.position += 1
            self._push(_Frame('"', self._stack[-1].raw, start))
            return
        end = self.word.find("'", start + 1)
        if end < 0:
            self.position = len(self.word)
            raise self._error("unexpected end of statement while looking for matching single-quote", start)
        self.position = end + 1
        self._add(self.word[start : end + 1] if self._quotes == "keep" else self.word[start + 1 : end], splits=False)

    def _dollar(self) -> None:
        start = self.position
        self.position += 1
        following = self.word[self.position : self.position + 1]
        if following != "{":
            name = self._name()
            if not name:
                self._add("$", splits=True)
                return
            self._add(self._value(name, f"${name}"), splits=True)
            return
        self.position += 1
        following = self.word[self.position : self.position + 1]
        if following in ("{", "}", ":"):
            raise self._error("syntax error: bad substitution", start)
        self._modifier(self._name(), start)

    def _name(self) -> str:
        """Read a name: digits, one special parameter, or letters, digits and `_`; empty when there is none."""
        match = _NAME.match(self.word, self.position)
        name = match.group() if match else ""
        if not name.isascii():
            # \w knows more digits (², Ⅷ) than names may have.
            end = next((i for i, c in enumerate(name) if not (c.isalpha() or c.isdecimal() or c == "_")), len(name))
            name = name[:end]
        self.position += len(name)
        return name

    def _modifier(self, name: str, start: int) -> None:
        """Read what follows the name in `${name…` and open a frame for the word behind it."""
        modifier = self.word[self.position : self.position + 1]
        self.position += 1
        if modifier == ":":
            modifier += self.word[self.position : self.position + 1]
            self.position += 1
        self.position = min(self.position, len(self.word))
        if modifier in ("", ":", ":}"):
            raise self._error("syntax error: missing '}'", start, name)
        if modifier == "}":
            self._add(self._value(name, f"${{{name}}}"), splits=True)
        elif modifier == "/":
            if self.word.startswith("/", self.position):
                self.position += 1
                modifier = "//"
            self._push(_Frame("/", True, start, name, modifier))
        elif modifier in ("-", "+", "?", "#", "%", ":-", ":+", ":?"):
            self._push(_Frame("}", modifier in "#%", start, name, modifier))
        else:
            raise self._error(f"unsupported modifier ({modifier}) in substitution", start, name)

    def _close(self) -> None:
        """Finish the frame on top: its text goes where the frame began."""
        frame = self._stack.pop()
        text = "".join(frame.parts)
        if frame.stop == '"':
            self._add(f'"{text}"' if self._quotes == "keep" else text, splits=False)
        elif frame.stop == "/":
            frame.stop, frame.pattern, frame.parts = "}", text, []
            self._stack.append(frame)
        else:
            self._add(self._apply(frame, text), splits=True)

    def _apply(self, frame: _Frame, text: str) -> str:
        """Return what a closed `${…}` stands for."""
        name, modifier = frame.name, frame.modifier
        value = self._find(name)
        if value is None and self._keep_unset:
            middle = f"{modifier}{frame.pattern}/{text}" if frame.pattern is not None else modifier + text
            return f"${{{name}{middle}}}"
        present = value is not None and not (modifier[0] == ":" and value == "")
        match modifier[-1]:
            case "-":
                return value if present and value is not None else text
            case "+":
                return text if present else ""
            case "?":
                if present and value is not None:
                    return value
                reason = text or f"is not allowed to be {'unset' if value is None else 'empty'}"
                raise self._error(f"{name}: {reason}", frame.start, name)
        if value is None:
            self.missing[name] = None
        pattern, replacement = (frame.pattern, text) if frame.pattern is not None else (text, "")
        return self._matched(frame, value or "", pattern, replacement)

    def _matched(self, frame: _Frame, value: str, text: str, replacement: str) -> str:
        longest = frame.modifier in "#%" and text.startswith(frame.modifier)
        text = text[1:] if longest else text
        try:
            pattern = parse_pattern(text)
            match frame.modifier:
                case "#":
                    return pattern.trim_prefix(value, longest=longest)
                case "%":
                    return pattern.trim_suffix(value, longest=longest)
            return pattern.replace(
                value, replacement, every=frame.modifier == "//", limit=MAX_EXPANDED_CHARACTERS - self._produced
            )
        except PatternError as error:
            shown = text if len(text) < 80 else text[:80] + "…"
            reason = f"invalid pattern ({shown}) in substitution: {error}"
            raise self._error(reason, frame.start, frame.name) from error

    def _find(self, name: str) -> str | None:
        value = self._lookup(name)
        (self.unset if value is None else self.used)[name] = None
        return value

    def _value(self, name: str, written: str) -> str:
        value = self._find(name)
        if value is None:
            self.missing[name] = None
            return written if self._keep_unset else ""
        return value

    def _error(self, reason: str, start: int, variable: str = "") -> WordError:
        """Make the error. At the end of the word a brace that is still open is the first thing to be said."""
        if self.position >= len(self.word):
            for frame in self._stack:
                if frame.name or frame.modifier:
                    missing = "missing '/' in ${}" if frame.stop == "/" else "missing '}'"
                    reason, start, variable = f"syntax error: {missing}", frame.start, frame.name
                    break
        word = self.word if len(self.word) <= 1000 else self.word[:1000] + "…"
        return WordError(reason, word=word, offset=start, variable=variable)
