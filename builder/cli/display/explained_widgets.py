"""The parts of the screen of `pybuild explain -i` with keys of their own; what these do is the screen's affair."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from builder.cli.display.line_list import LineList


class Page(ModalScreen[None]):
    """Text over the whole screen, to scroll through."""

    DEFAULT_CSS = "Page { background: ansi_default; } Page VerticalScroll { padding: 0 1; scrollbar-size: 1 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,d,question_mark,space", "dismiss", show=False),
        Binding("up,k", "scroll('up')", show=False),
        Binding("down,j", "scroll('down')", show=False),
    ]

    def __init__(self, text: Text) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._text, markup=False)

    def action_scroll(self, to: str) -> None:
        getattr(self.query_one(VerticalScroll), f"scroll_{to}")(animate=False)


class FilterInput(Input):
    """Where the pattern is typed: Escape ends it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.end_filter", show=False)]


class FileList(LineList):
    """The rows of the tree."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "app.fold", show=False),
        Binding("right,l", "app.open(True)", show=False),
        Binding("left,h", "app.open(False)", show=False),
    ]


class StepList(LineList):
    """The steps."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,d", "app.details", show=False),
        Binding("right,l", "app.other_pane", show=False),
    ]
