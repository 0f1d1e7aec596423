"""What a RUN writes, as lines that may be shown: values of secrets are hidden, the last lines kept for the error.

Output arrives in pieces that end anywhere. A line is given out when it is complete, so that a secret can't hide between
two pieces; a line that never ends is given out in parts, each held back by the length of the longest secret.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

HIDDEN = b"***"
_TAIL_LINES = 30
_MAX_LINE_BYTES = 1 << 16
_MIN_SECRET_BYTES = 3
"""Shorter values are not hidden: that would blot out half of the output, and they are no secrets."""


class Redactor:
    """Hides values. A value of several lines is hidden line by line."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        # Without the blanks around them, which editors add (secret_watch.py); line by line, since output comes so.
        words = {line.strip() for secret in secrets for line in secret.splitlines()}
        # Longest first: one secret may contain another.
        self._words = sorted((word for word in words if len(word) >= _MIN_SECRET_BYTES), key=len, reverse=True)
        self.longest = len(self._words[0]) if self._words else 0

    def hide(self, line: bytes) -> bytes:
        """Return the line with every secret in it replaced."""
        for word in self._words:
            if word in line:
                line = line.replace(word, HIDDEN)
        return line

    def screen(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of some output may be shown, and its end, as it is: a secret may go on in the next piece."""
        cut = len(data) - max((_begun(word, data) for word in self._words), default=0)
        whole = True
        while whole:
            # One that ends behind the cut is held whole: two halves of it nobody would recognise.
            starts = (data.find(word, max(cut - len(word) + 1, 0), cut + len(word) - 1) for word in self._words)
            found = [start for start in starts if start >= 0]
            whole = bool(found)
            cut = min(found, default=cut)
        return self.hide(data[:cut]), data[cut:]


def _begun(word: bytes, data: bytes) -> int:
    """Return how many bytes of `word`, less than all, `data` ends with."""
    return next((size for size in range(min(len(word) - 1, len(data)), 0, -1) if data.endswith(word[:size])), 0)


class RunOutput:
    """Takes what stdout and stderr say, and passes lines without line ends to `emit`."""

    def __init__(self, emit: Callable[[bytes], None], redactor: Redactor) -> None:
        self._emit = emit
        self._redactor = redactor
        self._rest: dict[int, bytearray] = {}
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, secrets hidden."""
        return tuple(self._tail)

    def write(self, stream: int, data: bytes) -> None:
        """Take a piece of the stream 1 (stdout) or 2 (stderr)."""
        rest = self._rest.setdefault(stream, bytearray())
        rest += data
        *lines, last = rest.split(b"\n")
        for line in lines:
            self._give(bytes(line))
        if len(last) > _MAX_LINE_BYTES:
            last = self._give_part(bytes(last))
        self._rest[stream] = bytearray(last)

    def finish(self) -> None:
        """Give out what has no line end."""
        for rest in self._rest.values():
            if rest:
                self._give(bytes(rest))
        self._rest.clear()

    def _give(self, line: bytes) -> None:
        shown = self._redactor.hide(line.removesuffix(b"\r"))
        self._tail.append(shown.decode("utf-8", "replace"))
        self._emit(shown)

    def _give_part(self, line: bytes) -> bytearray:
        """Give out a line that is too long, all but its end: a secret may have begun there."""
        # Hidden before it is cut: a cut through a secret would leave two halves that nobody recognises.
        hidden = self._redactor.hide(line)
        held = max(self._redactor.longest - 1, 0)
        cut = len(hidden) - held
        self._emit(hidden[:cut])
        return bytearray(hidden[cut:])
