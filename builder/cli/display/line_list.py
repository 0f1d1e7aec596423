"""A list of lines on a screen, with a cursor: only the lines that are seen are made. Text is taken as it is, no markup.

Keys: arrows, page keys, home, end, and j and k as in vi.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

Part = tuple[str, str]
"""Text, and its style as rich names it."""


class LineList(ScrollView, can_focus=True):
    """Lines of which one is chosen. `line` makes a line of its number and the columns there are."""

    DEFAULT_CSS = "LineList { scrollbar-size: 1 1; overflow-x: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "go(0)", show=False),
        Binding("end", "go(1000000000)", show=False),
    ]

    class Moved(Message):
        """Another line is chosen."""

        def __init__(self, lines: LineList) -> None:
            super().__init__()
            self.lines = lines

        @property
        def control(self) -> LineList:
            return self.lines

    class Clicked(Moved):
        """A line was clicked at."""

    class Resized(Moved):
        """There is another number of columns or lines."""

    def __init__(self, line: Callable[[int, int], Sequence[Part]], *, id: str) -> None:
        super().__init__(id=id)
        self._line = line
        self.count = 0
        self.cursor = 0

    @property
    def columns(self) -> int:
        """How many there are for a line, beside the scroll bar."""
        return self.scrollable_content_region.width

    def show_lines(self, count: int, cursor: int) -> None:
        """Show other lines."""
        self.count = count
        self.cursor = max(0, min(cursor, count - 1))
        self.virtual_size = Size(self.columns, count)
        self._reveal()
        self.refresh()

    def on_resize(self, _: events.Resize) -> None:
        self.virtual_size = Size(self.columns, self.count)
        self._reveal()
        self.refresh()
        self.post_message(self.Resized(self))

    def action_move(self, by: int) -> None:
        self.action_go(self.cursor + by)

    def action_page(self, by: int) -> None:
        self.action_go(self.cursor + by * max(1, self.size.height - 1))

    def action_go(self, to: int) -> None:
        to = max(0, min(to, self.count - 1))
        if to != self.cursor:
            self.cursor = to
            self._reveal()
            self.refresh()
            self.post_message(self.Moved(self))

    def on_click(self, event: events.Click) -> None:
        at = event.y + self.scroll_offset.y
        if at < self.count:
            self.action_go(at)
            self.post_message(self.Clicked(self))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def _reveal(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """Make the line that is seen in row `y`."""
        at, width = y + self.scroll_offset.y, self.columns
        if at >= self.count or width < 2:
            return Strip.blank(width)
        is_chosen = at == self.cursor
        base = Style(reverse=is_chosen and self.has_focus, bold=is_chosen)
        segments = [Segment(">" if is_chosen else " ", base)]
        segments += [
            Segment(text, base + Style.parse(style)) for text, style in fitted(self._line(at, width - 1), width - 1)
        ]
        return Strip(segments).adjust_cell_length(width, base)


def fitted(parts: Sequence[Part], width: int) -> list[Part]:
    """Return the parts of a line that fit into `width` columns, the last of them cut with an ellipsis."""
    found: list[Part] = []
    for text, style in parts:
        length = cell_len(text)
        if length > width:
            return [*found, (set_cell_size(text, max(0, width - 1)) + "…" * (width > 0), style)]
        found.append((text, style))
        width -= length
    return found
