"""`explain -i` as somebody at a terminal has it: keys, toggles, filter, hostile names, small and changing terminals."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from builder.cli.display.explained_tui import ExplainScreen
from builder.cli.display.explained_widgets import Page
from builder.cli.main import main
from builder.cli.verbs.interactive import look
from builder.engine.explaining import Explained, open_explained, step_named
from builder.errors import PybuildError
from tests.cli.test_explain import NOP, RUN, layer_of, layout

EVIL = "[red]\x1b[2J\u202eexe.\ttxt"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three layers: the second deletes what the first has, and a name in the third one is hostile."""
    layers = [
        layer_of(("app/one", b"1" * 2000), ("app/two", b"22"), ("etc/motd", b"m")),
        layer_of((".wh.app", b""), ("etc/motd", b"mm")),
        layer_of((f"new/{EVIL}", b"3"), *((f"many/{number:03}", b"") for number in range(200))),
    ]
    history: list[dict[str, Any]] = [
        RUN,
        NOP,
        {"created_by": "RUN rm -rf /app"},
        {"created_by": "RUN echo [bold]\x1b[31m\u202eevil"},
    ]
    return layout(tmp_path_factory.mktemp("image") / "layout", layers, history)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("store"))


Talk = Callable[[ExplainScreen, Pilot[None]], Coroutine[None, None, None]]


def talk(root: str, image: str, say: Talk, *, size: tuple[int, int] = (80, 24), step: str = "") -> None:
    """Open an image on a terminal that is none, and press keys."""

    async def run(explained: Explained) -> None:
        app = ExplainScreen(explained, step_named(explained.explanation, step) if step else None)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await say(app, pilot)

    with open_explained(root, image, notify=print) as explained:
        asyncio.run(run(explained))


def lines(app: ExplainScreen) -> list[str]:
    """Return what is on the screen."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def files(app: ExplainScreen) -> list[str]:
    """Return the lines of the files that are seen, without the mark of the cursor: letter, size, name."""
    found = [line for y in range(app.files.size.height) if (line := app.files.render_line(y).text[1:].rstrip())]
    return [f"{line[0]} {line[2:8].strip()}{line[8:]}" for line in found]


def test_the_steps_are_walked_through_and_the_files_follow(root: str, image: str) -> None:
    async def say(app: ExplainScreen, pilot: Pilot[None]) -> None:
        assert "RUN make" in "\n".join(lines(app))
        assert files(app) == [
            "  2kB ▾ app/", "A 2kB     one", "A 2B     two", "  1B ▾ etc/", "A 1B     motd",
        ]  # fmt: skip
        await pilot.press("j", "down")
        assert files(app) == ["D 2kB ▸ app/", "  2B ▾ etc/", "M 2B     motd"]
        await pilot.press("g", "down")
        assert files(app)[0].startswith("x 2kB ▸ app/  deleted by L2")
        await pilot.press("k", "home", "g", "tab", "ctrl+a", "a")
        assert app.step.number == 1
        assert not app.view.hidden
        await pilot.press("tab", "d")
        assert isinstance(app.screen, Page)
        assert "diff ID" in "\n".join(lines(app))
        await pilot.press("q", "?")
        assert "Keys, those of dive" in "\n".join(lines(app))
        await pilot.press("escape", "q")
        assert app._exit

    talk(root, image, say, step="1")


def test_the_keys_of_dive_do_what_they_do_there(root: str, image: str) -> None:
    async def say(app: ExplainScreen, pilot: Pilot[None]) -> None:
        await pilot.press("tab", "ctrl+l")
        assert files(app) == ["D 2kB ▸ app/", "  2B ▾ etc/", "M 2B     motd"]
        await pilot.press("ctrl+r")
        assert files(app) == ["  2B ▾ etc/", "M 2B     motd"]
        await pilot.press("ctrl+r", "m")
        assert files(app) == ["D 2kB ▸ app/"]
        await pilot.press("m", "ctrl+l", "ctrl+u", "home", "space")
        assert files(app)[:3] == ["D 2kB ▾ app/", "D 2kB     one", "D 2B     two"]
        await pilot.press("l", "h", "h")
        assert files(app)[0] == "D 2kB ▸ app/"
        await pilot.press("ctrl+@")
        assert files(app) == ["D 2kB ▸ app/", "  2B ▸ etc/"]
        await pilot.press("ctrl+@", "end", "ctrl+b")
        assert app.row is not None
        assert app.row.story.path == "etc/motd"
        assert "-rw-r--r-- 0:0" in files(app)[-1]

    talk(root, image, say, step="2")


def test_a_filter_is_typed_kept_and_ended(root: str, image: str) -> None:
    async def say(app: ExplainScreen, pilot: Pilot[None]) -> None:
        await pilot.press("/", "m", "o", "t", "q")
        assert files(app) == []
        assert "nothing to be shown" in "\n".join(lines(app))
        await pilot.press("backspace", "enter", "down", "down")
        assert files(app) == ["  2B ▾ etc/", "  2B     motd"]
        await pilot.press("up", "space")
        assert files(app) == ["  2B ▸ etc/"]
        await pilot.press("escape")
        assert len(app.tree_of_paths) > 200
        await pilot.press("end")
        assert app.files.scroll_offset.y > 150
        await pilot.press("pageup", "pageup", "home")
        assert app.files.scroll_offset.y == 0
        await pilot.click("#files", offset=(20, 1))
        assert app.row is not None
        assert (app.row.story.path, app.row.is_open) == ("many", False)

    talk(root, image, say, step="3")


def test_names_are_shown_and_not_obeyed_and_every_size_holds(root: str, image: str) -> None:
    async def say(app: ExplainScreen, pilot: Pilot[None]) -> None:
        for width, height in ((160, 45), (33, 8), (6, 3), (120, 30)):
            await pilot.resize_terminal(width, height)
            await pilot.press("tab", "end", "g")
            shown = lines(app)
            assert all(line.isprintable() for line in shown)
            assert len(shown) == height
        text = "\n".join(lines(app))
        assert r"[red]\x1b[2J\u202eexe.\x09txt" in text
        assert r"echo [bold]\x1b[31m\u202eevil" in text

    talk(root, image, say, step="3")


def test_an_image_of_nothing_is_no_screen(root: str, tmp_path: Path) -> None:
    with (
        open_explained(root, layout(tmp_path / "layout", [], []), notify=print) as explained,
        pytest.raises(PybuildError, match="nothing to look at"),
    ):
        look(explained, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-i"], "-i is for somebody at a terminal, and stdin is none"),
        (["-i", "--waste"], "-i and --waste show different things"),
        (["-i", "--format", "json"], "-i and --format json show different things"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(
    capfd: pytest.CaptureFixture[str], root: str, image: str, words: list[str], said: str
) -> None:
    assert main(["explain", "--root", root, image, *words]) == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("term", "is_installed", "said"),
    [("dumb", True, "needs a terminal with a cursor"), ("xterm", False, "pip install 'pybuild-engine[tui]'")],
)
def test_on_a_terminal_too_there_is_one_line_for_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    root: str, image: str, term: str, is_installed: bool, said: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(os, "isatty", lambda _: True)
    if not is_installed:
        for name in [name for name in sys.modules if name.partition(".")[0] == "textual"]:
            monkeypatch.delitem(sys.modules, name)
        for name in ("verbs.explain_screen", "display.explained_tui", "display.explained_widgets", "display.line_list"):
            monkeypatch.delitem(sys.modules, f"builder.cli.{name}", raising=False)
        monkeypatch.setitem(sys.modules, "textual", None)
    assert main(["explain", "--root", root, image, "-i"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
