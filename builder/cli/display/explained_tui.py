"""`pybuild explain -i`: the steps on the left, the files after the chosen one on the right. Keys as in dive.

Colours are the terminal's own, and letters say the same as they do, so that light, dark and NO_COLOR look well.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Static

from builder.cli.display.explained_panes import (
    HELP,
    Line,
    detail_lines,
    head_line,
    image_line,
    path_lines,
    row_line,
    step_line,
    step_widths,
    view_line,
)
from builder.cli.display.explained_tree import ADDED, MODIFIED, REMOVED, UNMODIFIED, PathTree, Row, View, fate_of
from builder.cli.display.explained_widgets import FileList, FilterInput, Page, StepList
from builder.cli.display.line_list import LineList, fitted
from builder.cli.display.text import clean
from builder.engine.explaining import Explained
from builder.errors import PybuildError
from builder.explain.dive import dive_score
from builder.explain.model import ExplainedStep

_KEYS = "tab pane  ^l layer  / filter  g ghosts  ? keys  q end"
_LETTERS = {"added": ADDED, "removed": REMOVED, "modified": MODIFIED, "unmodified": UNMODIFIED}


class ExplainScreen(App[None]):
    """An image, looked at step by step."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: ansi_default; color: ansi_default; layers: base; }
    Static { background: ansi_default; color: ansi_default; }
    LineList, VerticalScroll {
        background: ansi_default; color: ansi_default; scrollbar-size: 1 1;
        scrollbar-color: ansi_bright_black; scrollbar-color-hover: ansi_bright_black;
        scrollbar-color-active: ansi_bright_black; scrollbar-background: ansi_default;
        scrollbar-background-hover: ansi_default; scrollbar-background-active: ansi_default;
    }
    #top, #keys, #steps-head, #files-head { height: 1; }
    #left { width: 1fr; }
    #right { width: 1fr; border-left: solid ansi_bright_black; }
    #steps { height: 1fr; }
    #details { height: 45%; border-top: solid ansi_bright_black; }
    #files { height: 1fr; }
    #path { height: 2; }
    #filter { height: 1; border: none; padding: 0; background: ansi_default; color: ansi_default; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", show=False),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("tab,shift+tab", "other_pane", show=False, priority=True),
        Binding("question_mark", "help", show=False),
        Binding("ctrl+f,slash", "filter", show=False),
        Binding("escape", "end_filter", show=False),
        Binding("d", "details", show=False),
        Binding("ctrl+l", "layer_only", show=False),
        Binding("ctrl+a,a", "show_or_hide('added')", show=False),
        Binding("ctrl+r,r", "show_or_hide('removed')", show=False),
        Binding("ctrl+m,m", "show_or_hide('modified')", show=False),
        Binding("ctrl+u,u", "show_or_hide('unmodified')", show=False),
        Binding("ctrl+b,b", "attributes", show=False),
        Binding("g", "ghosts", show=False),
        Binding("ctrl+space,ctrl+@,ctrl+at,f", "fold_all", show=False),
    ]

    def __init__(self, explained: Explained, step: ExplainedStep | None = None) -> None:
        super().__init__(ansi_color=True)
        self.explained = explained
        self.view = View()
        stories = list(explained.stories())
        self._dive = dive_score(stories)
        self._image_tree = self.tree_of_paths = PathTree(stories)
        self._layers = range(0)
        self._names: list[str] = []
        self._widths = step_widths(explained.explanation)
        self._has_attributes = False
        steps = explained.explanation.steps
        # What people look for is at the end: the last step that made a layer.
        made = [number for number, each in enumerate(steps) if each.layers and each.in_image]
        self._first = steps.index(step) if step is not None else made[-1] if made else 0
        self._turned_to = -1
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Lay out the panes."""
        yield Static(
            Text(image_line(self.explained.explanation), style="reverse", no_wrap=True), id="top", markup=False
        )
        with Horizontal():
            with Vertical(id="left"):
                yield Static(id="steps-head", markup=False)
                yield StepList(self._step_line, id="steps")
                with VerticalScroll(id="details", can_focus=False):
                    yield Static(id="facts", markup=False)
            with Vertical(id="right"):
                yield Static(id="files-head", markup=False)
                yield FileList(self._file_line, id="files")
                yield Static(id="path", markup=False)
        yield FilterInput(id="filter", placeholder="a part of the path, or a pattern: *.py")
        yield Static(Text(_KEYS, style="reverse", no_wrap=True, overflow="ellipsis"), id="keys", markup=False)

    def on_mount(self) -> None:
        """Show the step that is asked for."""
        self._steps.show_lines(len(self.explained.explanation.steps), self._first)
        self._steps.focus()
        self._turn()

    def on_line_list_resized(self) -> None:
        """Fit what stands above and below the lists to their new width."""
        self._say()

    @property
    def _steps(self) -> StepList:
        return self.screen_stack[0].query_one(StepList)

    @property
    def files(self) -> FileList:
        """The list of files."""
        return self.screen_stack[0].query_one(FileList)

    @property
    def step(self) -> ExplainedStep:
        """The step that is chosen."""
        return self.explained.explanation.steps[self._steps.cursor]

    @property
    def row(self) -> Row | None:
        """The row of the tree that is chosen."""
        return self.tree_of_paths.row(self.files.cursor) if len(self.tree_of_paths) else None

    def _step_line(self, at: int, width: int) -> Line:
        explanation = self.explained.explanation
        return step_line(explanation, explanation.steps[at], self._widths, width)

    def _file_line(self, at: int, width: int) -> Line:
        row = self.tree_of_paths.row(at)
        fate = self._fate(row) if self.view.has_ghosts else ""
        return row_line(row, width, has_attributes=self._has_attributes, fate=fate)

    def _fate(self, row: Row) -> str:
        return fate_of(row.story.versions, self._layers, self._names)

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Follow the cursor. Of keys that are held down the last one counts: the tree waits until there are no more."""
        if message.lines.id == "steps":
            self.call_after_refresh(self._turn)
        self._say()

    def on_line_list_clicked(self, message: LineList.Clicked) -> None:
        """Fold or open the folder that is clicked at."""
        if message.lines.id == "files":
            self.action_fold()

    def _turn(self) -> None:
        """Show the files after the step that is chosen, with the cursor where it was."""
        if self._turned_to == self._steps.cursor:
            return
        self._turned_to = self._steps.cursor
        self._problem = ""
        path = row.story.path if (row := self.row) is not None else ""
        stack = self.explained.stack_of(self.step)
        if stack == tuple(range(len(stack))):
            self.tree_of_paths = self._image_tree
            self._names = [f"L{layer.number}" for layer in self.explained.explanation.own]
        else:
            self.tree_of_paths = self._other_tree(stack)
            layers = [self.explained.explanation.layers[at] for at in stack]
            self._names = [f"L{each.number}" if each.in_image else clean(each.stage) for each in layers]
        self._layers = range(len(stack) - len(self.step.layers), len(stack))
        self.tree_of_paths.choose(self._layers)
        self._arrange(path)

    def _other_tree(self, stack: tuple[int, ...]) -> PathTree:
        """Return the paths of another stage, which nobody has read before: what is wrong with them is told."""
        try:
            return PathTree(self.explained.stories(stack))
        except PybuildError as error:
            self._problem = clean(error.message)
            return PathTree(())

    def _arrange(self, path: str | None = None) -> None:
        """Show the rows anew; the cursor stays at its path."""
        if path is None:
            path = row.story.path if (row := self.row) is not None else ""
        self.tree_of_paths.arrange(self.view)
        self.files.show_lines(len(self.tree_of_paths), self.tree_of_paths.at(path))
        self._say()

    def _say(self) -> None:
        """Write what stands above and below the lists."""
        screen, row = self.screen_stack[0], self.row
        explanation = self.explained.explanation
        width = self._steps.columns
        facts = Text("\n").join(_text(line) for line in detail_lines(explanation, self.step, self._dive))
        screen.query_one("#facts", Static).update(facts)
        screen.query_one("#steps-head", Static).update(_text(head_line(self._widths, width - 1), width))
        width = self.files.columns
        head = view_line(self.step, self.view, len(self.tree_of_paths))
        screen.query_one("#files-head", Static).update(_text(head, width))
        lines = (
            path_lines(row, self._fate(row)) if row is not None else [[(self._problem or "nothing to be shown", "dim")]]
        )
        screen.query_one("#path", Static).update(Text("\n").join(_text(line, width) for line in lines))

    def action_other_pane(self) -> None:
        """Go from the steps to the files, or back."""
        if isinstance(self.screen, Page):
            return
        (self._steps if self.files.has_focus else self.files).focus()

    def action_layer_only(self) -> None:
        """Show what the step did, or all that is there after it."""
        self.view.is_layer_only = not self.view.is_layer_only
        self._arrange()

    def action_show_or_hide(self, what: str) -> None:
        """Show or hide the paths of one letter."""
        self.view.hidden ^= {_LETTERS[what]}
        self._arrange()

    def action_ghosts(self) -> None:
        """Show or hide what is gone, and who hides what."""
        self.view.has_ghosts = not self.view.has_ghosts
        self._arrange()

    def action_attributes(self) -> None:
        """Show or hide mode and owner."""
        self._has_attributes = not self._has_attributes
        self.files.refresh()

    def action_fold_all(self) -> None:
        """Fold all folders, or open all."""
        self.view.folding = "none" if self.view.folding == "all" else "all"
        self.view.toggled.clear()
        self._arrange()

    def action_fold(self) -> None:
        """Fold the folder that is chosen, or open it."""
        if (row := self.row) is not None and row.is_folder:
            self._open(row, not row.is_open)

    def action_open(self, is_open: bool) -> None:
        """Open the folder that is chosen, or go into it; fold it, or go to the one it is in."""
        row = self.row
        if row is None:
            return
        if row.is_folder and row.is_open != is_open:
            self._open(row, is_open)
        elif is_open:
            self.files.action_move(1 if row.is_folder else 0)
        elif row.depth:
            self.files.action_go(self.tree_of_paths.at(row.story.path.rpartition("/")[0]))

    def _open(self, row: Row, is_open: bool) -> None:
        self.view.toggled[row.story.path] = is_open
        self.tree_of_paths.fold(self.view)
        self.files.show_lines(len(self.tree_of_paths), self.tree_of_paths.at(row.story.path))
        self._say()

    def action_filter(self) -> None:
        """Ask for a pattern."""
        field = self.query_one(FilterInput)
        field.display = True
        self.screen.set_focus(field)  # at once: what is typed next is meant for it

    def on_input_changed(self, message: Input.Changed) -> None:
        """Show what fits the pattern, while it is typed."""
        self.view.pattern = message.value
        self._arrange()

    def on_input_submitted(self) -> None:
        """Keep the pattern, and go to the files."""
        self.query_one(FilterInput).display = bool(self.view.pattern)
        self.files.focus()

    def action_end_filter(self) -> None:
        """Show everything again."""
        field = self.query_one(FilterInput)
        field.value = ""
        field.display = False
        self.files.focus()

    def action_details(self) -> None:
        """Show all about the step on the whole screen."""
        self.push_screen(
            Page(Text("\n").join(map(_text, detail_lines(self.explained.explanation, self.step, self._dive))))
        )

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Page(Text(HELP)))


def _text(line: Line, width: int = 0) -> Text:
    """Return a line as rich has it, cut to `width`; 0: it is wrapped."""
    return Text.assemble(*(fitted(line, width) if width else line), overflow="fold")
