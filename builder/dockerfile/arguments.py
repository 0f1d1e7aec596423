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
from dataclasses import dataclass

from builder.dockerfile import splitting
from builder.dockerfile.blanks import BLANK_RUN, SEPARATORS, trim
from builder.dockerfile.instructions import Word
from builder.dockerfile.lines import LogicalLine
from builder.dockerfile.splitting import JsonStringsOnly, Span
from builder.dockerfile.words import go_quote
from builder.errors import DockerfileSyntaxError, Location

_JSON_OR_TEXT = frozenset({"RUN", "CMD", "ENTRYPOINT", "SHELL"})
_JSON_OR_WORDS = frozenset({"ADD", "COPY", "VOLUME"})
_PLAIN_WORDS = frozenset({"FROM", "EXPOSE"})
_PAIRS = frozenset({"ENV", "LABEL"})
_TEXT = frozenset({"USER", "WORKDIR", "STOPSIGNAL", "MAINTAINER"})
_SEPARATOR = re.compile(rf"[{SEPARATORS}]+")


class Fault(Exception):
    """One instruction that can't be read; carries the error to report."""

    def __init__(self, message: str, location: Location, hint: str = "") -> None:
        super().__init__(message)
        self.error = DockerfileSyntaxError(message, location, hint=hint)


@dataclass(slots=True)
class Arguments:
    """Spans in the logical line, and what differs from the text there."""

    spans: list[Span]
    texts: list[str] | None = None
    """The strings of a JSON array; None when the spans say it all."""
    json: bool = False
    legacy: bool = False
    heredoc_keyword: str = ""
    """The keyword that decides whether there may be heredocs: the inner one of ONBUILD."""
    heredoc_start: int = 0

    def words(self, line: LogicalLine) -> tuple[Word, ...]:
        """Return the arguments as words with their places."""
        text, locate = line.text, line.locate
        if self.texts is not None:
            return tuple([Word(value, locate(*span)) for value, span in zip(self.texts, self.spans, strict=True)])
        return tuple([Word(text[start:end], locate(start, end)) for start, end in self.spans])


def split_arguments(keyword: str, line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    """Split `line.text[start:end]`, which has no blanks at its ends. Raises Fault."""
    if start >= end:
        return Arguments([])
    if keyword == "ONBUILD":
        return _split_trigger(line, start, end, escape)
    arguments = _split_plainly(keyword, line, start, end, escape)
    if not arguments.json:
        arguments.heredoc_keyword, arguments.heredoc_start = keyword, start
    return arguments


def _split_plainly(keyword: str, line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    if keyword in _JSON_OR_TEXT:
        return _json(line, start, end) or Arguments([(start, end)])
    if keyword in _JSON_OR_WORDS:
        return _json(line, start, end) or Arguments(splitting.split_plain(line.text, start, end))
    if keyword in _PLAIN_WORDS:
        return Arguments(splitting.split_plain(line.text, start, end))
    if keyword in _PAIRS:
        return _split_pairs(keyword, line, start, end, escape)
    if keyword == "ARG":
        return Arguments(splitting.split_words(line.text, start, end, escape))
    if keyword == "HEALTHCHECK":
        return _split_healthcheck(line, start, end)
    return Arguments([(start, end)] if keyword in _TEXT else [])


def _json(line: LogicalLine, start: int, end: int) -> Arguments | None:
    if line.text[start] != "[":
        return None
    try:
        texts = splitting.read_json_array(line.text[start:end])
    except JsonStringsOnly:
        message = "when using JSON array syntax, arrays must be comprised of strings only"
        raise Fault(message, line.locate(start, end), "put every argument in double quotes") from None
    if texts is None:
        return None
    return Arguments(splitting.json_string_spans(line.text, start, end), texts, json=True)


def _split_pairs(keyword: str, line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    words = splitting.split_words(line.text, start, end, escape)
    if not words:
        return Arguments([])
    if line.text.find("=", *words[0]) < 0:
        separator = _SEPARATOR.search(line.text, start, end)
        if separator is None:
            hint = f"write {keyword} {line.text[start:end]}=value"
            raise Fault(f"{keyword} must have two arguments", line.locate(start, end), hint)
        return Arguments([(start, separator.start()), (separator.end(), end)], legacy=True)
    spans: list[Span] = []
    for word_start, word_end in words:
        equal = line.text.find("=", word_start, word_end)
        if equal < 0:
            word = line.text[word_start:word_end]
            message = f"Syntax error - can't find = in {go_quote(word)}. Must be of the form: name=value"
            raise Fault(message, line.locate(word_start, word_end), "quote values that contain blanks")
        spans += [(word_start, equal), (equal + 1, word_end)]
    return Arguments(spans)


def _split_healthcheck(line: LogicalLine, start: int, end: int) -> Arguments:
    blank = BLANK_RUN.search(line.text, start, end)
    if blank is None:
        return Arguments([(start, end)])
    kind = (start, blank.start())
    command = _json(line, blank.end(), end)
    if command is None:
        return Arguments([kind, (blank.end(), end)])
    return Arguments([kind, *command.spans], [line.text[slice(*kind)], *(command.texts or [])], json=True)


def _split_trigger(line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    separator = _SEPARATOR.search(line.text, start, end)
    keyword = (start, separator.start() if separator else end)
    upper = line.text[slice(*keyword)].upper()
    if separator is None or upper == "ONBUILD":  # chained triggers are refused later; don't follow the chain
        return Arguments([keyword])
    _, inner_start = splitting.split_flags(line.text, separator.end())
    inner = split_arguments(upper, line, *trim(line.text, min(inner_start, end), end), escape)
    inner.spans.insert(0, keyword)
    if inner.texts is not None:
        inner.texts.insert(0, line.text[slice(*keyword)])
    return inner
