"""A lesson on a terminal: its Markdown with answers folded away, drawn by rich in the width that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown
from rich.text import Text

_DETAILS = re.compile(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>\n\n?", re.DOTALL)
_MARKUP = re.compile(r"^<(?:a id=\"[\w-]+\"></a|!--.*?--)>\n", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^]]+)\]\((?:\d\d)-[\w-]+\.md\)")
_WIDEST = 100
"""Columns. Longer lines of prose are hard to read."""


def folded(markdown: str, *, answers: bool) -> str:
    """Return a lesson without what only a browser folds: with its answers, or with none of them."""
    text = _DETAILS.sub(r"→ \2\n\n" if answers else "", markdown)
    return _LINK.sub(r"\1", _MARKUP.sub("", text))


def drawn(text: str, *, width: int, colour: bool) -> str:
    """Draw Markdown for a terminal of `width` columns."""
    console = Console(
        width=max(min(width, _WIDEST), 20),
        force_terminal=True,
        no_color=not colour,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(_Lesson(text, hyperlinks=False))
    return capture.get()


class _Block(CodeBlock):
    """Code as it is: no line is lost, no colour of a theme fights with the terminal's."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(options.max_width - len(_BAR), 10)
        for line in str(self.text).rstrip("\n").split("\n"):
            style = "bold" if line.startswith(("$ ", "> ")) or self.lexer_name != "console" else ""
            for count, part in enumerate(_pieces(line, width)):
                yield Text(_BAR_AGAIN if count else _BAR, "dim") + Text(part, style)


_BAR, _BAR_AGAIN = "│ ", "┊ "
"""Before a line, and before what goes on from the line above."""


def _pieces(line: str, width: int) -> Iterator[str]:
    """Yield what fits on a line of the terminal at a time. Lessons hold no wide characters in their blocks."""
    yield from (line[start : start + width] for start in range(0, max(len(line), 1), width))


class _Lesson(Markdown):
    elements = Markdown.elements | {"fence": _Block, "code_block": _Block}
