"""Text → `Instruction`s: syntax alone, split as BuildKit's parser splits it.

What comes out is what `pybuild parse` prints and what the lexer turns into tokens. Unknown flags, wrong numbers of
arguments and a missing FROM are no concern here; what BuildKit's parser itself refuses is: ENV without `=`, JSON arrays
that hold more than strings, heredocs without an end, bad directives, and (earlier than BuildKit) unknown instructions.
A fault is recorded and reading goes on with the next instruction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from builder.dockerfile import splitting
from builder.dockerfile.arguments import Arguments, Fault, split_arguments
from builder.dockerfile.directives import read_directives
from builder.dockerfile.heredocs import Marker, find_markers
from builder.dockerfile.instructions import Directive, Flag, Heredoc, Instruction, make_instruction
from builder.dockerfile.lines import LineReader, LogicalLine
from builder.dockerfile.whitespace import BLANKS
from builder.errors import DockerfileSyntaxError, Location
from builder.suggest import did_you_mean

KEYWORDS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_KNOWN = frozenset(KEYWORDS)
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)
EMPTY_CONTINUATION = "Empty continuation line"

MAX_FAULTS = 100
"""Faults reported for one file; a text that is no Dockerfile has one on every line."""


@dataclass(slots=True)
class Source:
    """What was read of one file."""

    file: str
    directives: tuple[Directive, ...] = ()
    escape: str = "\\"
    instructions: list[Instruction] = field(default_factory=list)
    faults: list[DockerfileSyntaxError] = field(default_factory=list)
    warnings: list[tuple[str, Location]] = field(default_factory=list)
    last_line: int = 0


def read_source(text: str, file: str, *, first_line: int = 1, escape: str = "") -> Source:
    """Read a whole file. With `escape` given, directives are not looked for (an ONBUILD trigger)."""
    reader = LineReader(text, file, escape or "\\", first_line)
    source = Source(file)
    if not escape:
        source.directives = tuple(read_directives(reader, source.faults))
        reader.escape = next((d.value for d in source.directives if d.name == "escape"), "\\")
    source.escape = reader.escape
    while len(source.faults) < MAX_FAULTS and (line := reader.read()) is not None:
        if line.blank_lines:
            last = reader.line
            # The place is the end of the continuation, as BuildKit has it, not the blank line itself.
            source.warnings.append((EMPTY_CONTINUATION, Location(file, last, 1, last, 1)))
        try:
            source.instructions.append(read_instruction(line, reader))
        except Fault as fault:
            source.faults.append(fault.error)
    source.last_line = reader.line
    return source


def read_instruction(line: LogicalLine, reader: LineReader) -> Instruction:
    """Split one logical line; takes its heredoc bodies from `reader`. Raises Fault."""
    text = line.text
    written, start = splitting.split_keyword(text)
    keyword = written.upper()
    if keyword not in _KNOWN:
        raise _unknown_instruction(line, written)
    flags: tuple[Flag, ...] = ()
    if text.startswith("--", start):
        spans, start = splitting.split_flags(text, start)
        flags = tuple([_flag(line, span) for span in spans])
    start = splitting.skip_blanks(text, start)
    end = len(text.rstrip(BLANKS))
    arguments = split_arguments(keyword, line, start, end, reader.escape)
    heredocs = _read_heredocs(line, reader, arguments, end) if "<<" in text else ()
    return make_instruction(
        keyword=keyword,
        written_keyword=written,
        flags=flags,
        arguments=arguments.words,
        json=arguments.json,
        heredocs=heredocs,
        text=text,
        comments=line.comments,
        legacy=arguments.legacy,
        location=_whole(line, end, reader, heredocs),
        keyword_location=line.locate(0, len(written)),
    )


def _flag(line: LogicalLine, span: splitting.FlagSpan) -> Flag:
    name, equal, value = span.text[2:].partition("=")
    return Flag(name, value if equal else None, line.text[span.start : span.end], line.locate(span.start, span.end))


def _whole(line: LogicalLine, end: int, reader: LineReader, heredocs: tuple[Heredoc, ...]) -> Location:
    location = line.locate(0, end)
    if location.line != line.line:  # it begins with lines that hold the escape character alone
        location = location._replace(line=line.line, column=line.column)
    if reader.line == location.end_line:
        return location
    return location._replace(end_line=reader.line, end_column=len(heredocs[-1].name) + 1 if heredocs else 1)


def _read_heredocs(line: LogicalLine, reader: LineReader, arguments: Arguments, end: int) -> tuple[Heredoc, ...]:
    if arguments.heredocs_from is None:
        return ()
    heredocs: list[Heredoc] = []
    for marker in find_markers(line.text, arguments.heredocs_from, end, reader.escape):
        body = reader.take_body(marker.name, marker.chomp)
        if body is not None:
            heredocs.append(_heredoc(line, marker, body))
        elif not marker.spaced:
            reader.skip_all()
            location = line.locate(marker.start, marker.end)
            raise Fault("unterminated heredoc", location, f"End it with a line that is exactly {marker.name!r}.")
    return tuple(heredocs)


def _heredoc(line: LogicalLine, marker: Marker, body: str) -> Heredoc:
    return Heredoc(
        name=marker.name,
        content=_LEADING_TABS.sub("", body) if marker.chomp else body,
        written=body,
        expand=marker.expand,
        chomp=marker.chomp,
        file_descriptor=marker.file_descriptor,
        location=line.locate(marker.start, marker.end),
    )


def _unknown_instruction(line: LogicalLine, written: str) -> Fault:
    near = did_you_mean(written, KEYWORDS, case_sensitive=False)
    hint = ""
    if any(blank in written for blank in BLANKS[6:]):
        hint = "The blank after the keyword is not an ordinary space."
    elif any(written.upper().startswith((f"{keyword}[", f'{keyword}"')) for keyword in KEYWORDS):
        hint = "Put a blank after the keyword."
    elif not written:
        hint = "The line holds nothing but the escape character."
    elif not near and line.line > 1:
        hint = "An instruction goes on in the next line only when its line ends with the escape character."
    return Fault(f"unknown instruction: {written}{near}", line.locate(0, max(1, len(written))), hint)
