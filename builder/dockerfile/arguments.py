"""The arguments of one instruction, split as BuildKit's parser splits those of its keyword.

RUN CMD ENTRYPOINT SHELL         the strings of a JSON array, else one text
ADD COPY VOLUME                  the strings of a JSON array, else plain words
FROM EXPOSE                      plain words
ENV LABEL                        name, value, name, value …; or name and the rest (legacy)
ARG                              quoted words
HEALTHCHECK                      the type, then as CMD
USER WORKDIR STOPSIGNAL MAINTAINER   one text
ONBUILD                          the inner keyword, then as that keyword
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from builder.dockerfile import splitting
from builder.dockerfile.instructions import Word, make_word
from builder.dockerfile.lines import LogicalLine
from builder.dockerfile.splitting import JsonStringsOnly, Span
from builder.dockerfile.whitespace import BLANK_RUN, SEPARATORS, trim
from builder.dockerfile.words import go_quote
from builder.errors import DockerfileSyntaxError, Location

_PAIRS = frozenset({"ENV", "LABEL"})
_WITH_HEREDOCS = frozenset({"RUN", "COPY", "ADD"})
_SEPARATOR = re.compile(rf"[{SEPARATORS}]+")


class Fault(Exception):
    """One instruction that can't be read; carries the error to report."""

    def __init__(self, message: str, location: Location, hint: str = "") -> None:
        super().__init__(message)
        self.error = DockerfileSyntaxError(message, location, hint=hint)


@dataclass(slots=True)
class Arguments:
    """What the arguments of an instruction fall into."""

    words: tuple[Word, ...] = ()
    json: bool = False
    legacy: bool = False
    heredocs_from: int | None = None
    """Where in the line heredoc markers may stand from; in an ONBUILD too, when what it keeps takes them."""


def split_arguments(keyword: str, line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    """Split `line.text[start:end]`, which has no blanks at its ends. Raises Fault."""
    if start >= end:
        return Arguments()
    split = _SPLITTERS.get(keyword)
    if split is not None:
        arguments = split(line, start, end)
    elif keyword in _PAIRS:
        arguments = _split_pairs(keyword, line, start, end, escape)
    elif keyword == "ARG":
        arguments = Arguments(_words(line, splitting.split_words(line.text, start, end, escape)))
    else:
        return _split_trigger(line, start, end, escape) if keyword == "ONBUILD" else Arguments()
    if keyword in _WITH_HEREDOCS and not arguments.json:
        arguments.heredocs_from = start
    return arguments


def _words(line: LogicalLine, spans: Iterable[Span]) -> tuple[Word, ...]:
    text, locate = line.text, line.locate
    return tuple([make_word(text[start:end], locate(start, end)) for start, end in spans])


def _split_text(line: LogicalLine, start: int, end: int) -> Arguments:
    return Arguments((make_word(line.text[start:end], line.locate(start, end)),))


def _split_plain(line: LogicalLine, start: int, end: int) -> Arguments:
    return Arguments(_words(line, splitting.split_plain(line.text, start, end)))


def _split_command(line: LogicalLine, start: int, end: int) -> Arguments:
    if line.text[start] == "[" and (array := _split_array(line, start, end)):
        return array
    return _split_text(line, start, end)


def _split_paths(line: LogicalLine, start: int, end: int) -> Arguments:
    if line.text[start] == "[" and (array := _split_array(line, start, end)):
        return array
    return _split_plain(line, start, end)


def _split_array(line: LogicalLine, start: int, end: int) -> Arguments | None:
    try:
        texts = splitting.read_json_array(line.text[start:end])
    except JsonStringsOnly:
        message = "when using JSON array syntax, arrays must be comprised of strings only"
        raise Fault(message, line.locate(start, end), "Put every argument in double quotes.") from None
    if texts is None:
        return None
    spans = splitting.json_string_spans(line.text, start, end)
    words = [make_word(value, line.locate(*span)) for value, span in zip(texts, spans, strict=True)]
    return Arguments(tuple(words), json=True)


def _split_pairs(keyword: str, line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    words = splitting.split_words(line.text, start, end, escape)
    if not words:
        return Arguments()
    if line.text.find("=", *words[0]) < 0:
        separator = _SEPARATOR.search(line.text, start, end)
        if separator is None:
            hint = f"Write `{keyword} {line.text[start:end]}=value`."
            raise Fault(f"{keyword} must have two arguments", line.locate(start, end), hint)
        pair = _words(line, [(start, separator.start()), (separator.end(), end)])
        return Arguments(pair, legacy=True)
    pairs: list[Word] = []
    text, locate = line.text, line.locate
    for word_start, word_end in words:
        equal = text.find("=", word_start, word_end)
        if equal < 0:
            message = (
                f"Syntax error - can't find = in {go_quote(text[word_start:word_end])}. Must be of the form: name=value"
            )
            hint = "Quote values that contain blanks."
            if text.find("$(", start, word_start) >= 0:
                hint = f"No command is run here: give the value from outside, or compute it in a RUN. {hint}"
            raise Fault(message, locate(word_start, word_end), hint)
        pairs.append(make_word(text[word_start:equal], locate(word_start, equal)))
        pairs.append(make_word(text[equal + 1 : word_end], locate(equal + 1, word_end)))
    return Arguments(tuple(pairs))


def _split_healthcheck(line: LogicalLine, start: int, end: int) -> Arguments:
    blank = BLANK_RUN.search(line.text, start, end)
    if blank is None:
        return _split_text(line, start, end)
    kind = make_word(line.text[start : blank.start()], line.locate(start, blank.start()))
    command = _split_command(line, blank.end(), end)
    return Arguments((kind, *command.words), command.json)


def _split_trigger(line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    separator = _SEPARATOR.search(line.text, start, end)
    keyword_end = separator.start() if separator else end
    keyword = make_word(line.text[start:keyword_end], line.locate(start, keyword_end))
    upper = keyword.text.upper()
    if separator is None or upper == "ONBUILD":  # chained triggers are refused later; don't follow the chain
        return Arguments((keyword,))
    _, inner_start = splitting.split_flags(line.text, separator.end())
    inner = split_arguments(upper, line, *trim(line.text, min(inner_start, end), end), escape)
    inner.words = (keyword, *inner.words)
    return inner


_SPLITTERS: dict[str, Callable[[LogicalLine, int, int], Arguments]] = {
    "RUN": _split_command,
    "CMD": _split_command,
    "ENTRYPOINT": _split_command,
    "SHELL": _split_command,
    "ADD": _split_paths,
    "COPY": _split_paths,
    "VOLUME": _split_paths,
    "FROM": _split_plain,
    "EXPOSE": _split_plain,
    "HEALTHCHECK": _split_healthcheck,
    "USER": _split_text,
    "WORKDIR": _split_text,
    "STOPSIGNAL": _split_text,
    "MAINTAINER": _split_text,
}
"""Those that need neither the escape character nor the keyword."""
