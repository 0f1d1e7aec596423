"""Physical lines in, logical lines out: comments and continuations resolved, every character's origin remembered.

    RUN a \\              LogicalLine("RUN a  b") at line 1, column 1; what begins at its offset 6 is at 3, 1
    # a comment
     b

A physical line ends at LF; carriage returns before it are dropped. There is no limit to its length (BuildKit stops at
65,535 bytes). Heredoc bodies are taken by `LineReader.take_body`, because only the instruction knows that it has any.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from builder.dockerfile.whitespace import BLANKS
from builder.errors import Location

_new_tuple = tuple.__new__
BYTE_ORDER_MARK = "\ufeff"


def decode(source: bytes | str) -> str:
    """Return the text of a Dockerfile: UTF-8, what is not stays as surrogates; a leading byte order mark goes."""
    text = source.decode("utf-8", "surrogateescape") if isinstance(source, bytes) else source
    return text.removeprefix(BYTE_ORDER_MARK)


@dataclass(slots=True)
class Pieces:
    """Where the parts of a continued line stand: their offsets in its text, and the place of each first character."""

    offsets: list[int]
    lines: list[int]
    columns: list[int]

    def locate(self, file: str, start: int, end: int) -> Location:
        """Return the place of a span, which may begin in one piece and end in another."""
        first = bisect_right(self.offsets, start) - 1
        last = bisect_right(self.offsets, max(start, end - 1)) - 1
        return Location(
            file,
            self.lines[first],
            self.columns[first] + start - self.offsets[first],
            self.lines[last],
            self.columns[last] + end - self.offsets[last],
        )


@dataclass(slots=True)
class LogicalLine:
    """One instruction's text; `line` and `column` are those of its first character, counted from 1."""

    file: str
    text: str
    line: int
    column: int
    comments: tuple[str, ...]
    pieces: Pieces | None = None
    """None when all of it stands in one line."""
    blank_lines: int = 0
    """How many lines without content are inside the continuation (NoEmptyContinuation)."""

    def locate(self, start: int, end: int) -> Location:
        """Return where `text[start:end]` stands in the file."""
        if self.pieces is not None:
            return self.pieces.locate(self.file, start, end)
        line, column = self.line, self.column
        # The constructor of a named tuple takes twice as long, and every instruction has several places.
        return _new_tuple(Location, (self.file, line, column + start, line, column + end))


class LineReader:
    """Walks the physical lines of one file once, front to back."""

    def __init__(self, text: str, file: str, escape: str = "\\", first_line: int = 1) -> None:
        self.file = file
        self.escape = escape
        self._lines = text.split("\n")
        if self._lines[-1] == "":
            self._lines.pop()
        self._next = 0
        self._offset = first_line
        self._last_seen: dict[str, int] | None = None

    @property
    def line(self) -> int:
        """Number of the last line that was read."""
        return self._next - 1 + self._offset

    def peek(self) -> str | None:
        """Return the next physical line, without its end, or None after the last."""
        return self._lines[self._next].rstrip("\r") if self._next < len(self._lines) else None

    def skip(self) -> None:
        """Pass over one physical line."""
        self._next += 1

    def skip_all(self) -> None:
        """Pass over all that is left."""
        self._next = len(self._lines)

    def read(self) -> LogicalLine | None:
        """Return the next logical line, or None after the last one."""
        comments: list[str] = []
        position, end = self._next, len(self._lines)
        while position < end:
            raw = self._lines[position].rstrip("\r")
            position += 1
            text = raw.lstrip(BLANKS)
            if text.startswith("#"):
                # An empty comment ends the block; a blank line doesn't, whatever BuildKit's documentation says.
                comment = text[1:].strip(BLANKS)
                if comment:
                    comments.append(comment)
                else:
                    comments.clear()
            elif text:
                self._next = position
                column = len(raw) - len(text) + 1
                line = LogicalLine(self.file, text, position - 1 + self._offset, column, tuple(comments))
                if self.escape in text:
                    self._join(line)
                return line
        self._next = position
        return None

    def _join(self, logical: LogicalLine) -> None:
        """Add to `logical` the physical lines that it goes on in."""
        text, continued = self._strip_continuation(logical.text)
        if not continued:
            return
        offsets, lines, columns = [0], [logical.line], [logical.column]
        parts, length = [text], len(text)
        while continued and (raw := self.peek()) is not None:
            self._next += 1
            stripped = raw.lstrip(BLANKS)
            if stripped.startswith("#"):
                continue
            if not stripped:
                logical.blank_lines += 1
                continue
            text, continued = self._strip_continuation(raw)
            if text:
                offsets.append(length)
                lines.append(self.line)
                columns.append(1)
                parts.append(text)
                length += len(text)
        logical.text = "".join(parts)
        if len(offsets) > 1:
            logical.pieces = Pieces(offsets, lines, columns)

    def _strip_continuation(self, line: str) -> tuple[str, bool]:
        body = line.rstrip(" \t")
        if not body.endswith(self.escape):
            return line, False
        escapes = len(body) - len(body.rstrip(self.escape))
        # An escaped escape character is text. BuildKit looks at two characters only and misreads three in a row.
        return (body[:-1], True) if escapes % 2 else (line, False)

    def take_body(self, name: str, chomp: bool) -> str | None:
        """Take the lines of a heredoc body up to its terminator; None, with nothing taken, when there is none."""
        if not self.has_terminator(name, chomp):
            return None
        start = self._next
        while True:
            line = self._lines[self._next].rstrip("\r")
            self._next += 1
            if (line.lstrip("\t") if chomp else line) == name:
                break
        # The body keeps its carriage returns and, here, the tabs that `<<-` drops.
        return "".join(f"{line}\n" for line in self._lines[start : self._next - 1])

    def has_terminator(self, name: str, chomp: bool) -> bool:
        """Whether a line still to be read ends a heredoc `name`; known without another scan of the file."""
        if self._last_seen is None:
            self._last_seen = _last_occurrences(self._lines)
        last = max(self._last_seen.get(name, -1), self._last_seen.get("\t" + name, -1) if chomp else -1)
        return last >= self._next


def _last_occurrences(lines: Iterable[str]) -> dict[str, int]:
    """Map each line to its last position; lines that begin with tabs also under one tab and the rest."""
    last: dict[str, int] = {}
    for number, line in enumerate(lines):
        line = line.rstrip("\r")
        last[line] = number
        if line.startswith("\t"):
            last["\t" + line.lstrip("\t")] = number
    return last
