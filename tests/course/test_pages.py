"""The course in two languages and three forms: the same lessons, on a terminal, as pages and as files."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from builder.cli.display.lesson import drawn, folded
from builder.cli.main import main
from builder.cli.verbs.course import list_lines
from builder.course.lessons import LANGUAGES, Lesson, load_introduction, load_lessons
from builder.course.page import page_name, render_page
from tests.cli.program import Program
from tests.support.terminal import Terminal

ALL = [each for language in LANGUAGES for each in (load_introduction(language), *load_lessons(language))]
ENGLISH, SPANISH = load_lessons("en"), load_lessons("es")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
ANSWER = re.compile(r"<details><summary>.*?</summary>\n\n.*?\n\n</details>", re.DOTALL)
QUESTION = re.compile(r"^\*\*\d+\.\*\* ", re.MULTILINE)
PARTS = 8
"""Headings of each lesson below its title."""


def name_of(lesson: Lesson) -> str:
    return f"{lesson.language}-{lesson.name}"


class Page(HTMLParser):
    """What matters of a page: text, IDs, links, and whether tags are closed as they were opened."""

    VOID = frozenset({"meta", "hr", "br"})

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.text = ""
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.policy = ""
        self.used: set[str] = set()
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found: dict[str, Any] = dict(attrs)
        self.used |= {tag, *found}
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_there_are_eight_lessons_and_fifty_six_questions() -> None:
    assert [lesson.number for lesson in ENGLISH] == list(range(1, 9))
    assert sum(len(QUESTION.findall(lesson.text)) for lesson in ENGLISH) == 56


@pytest.mark.parametrize(("english", "spanish"), list(zip(ENGLISH, SPANISH)), ids=[each.name for each in ENGLISH])
def test_both_languages_show_the_same(english: Lesson, spanish: Lesson) -> None:
    assert english.name == spanish.name
    assert BLOCK.findall(english.text) == BLOCK.findall(spanish.text)
    assert re.findall('<a id="(.*?)"', english.text) == re.findall('<a id="(.*?)"', spanish.text)
    for lesson in (english, spanish):
        assert lesson.goal
        assert "Dockerfile" in lesson.files
        assert len(re.findall("^## ", lesson.text, re.MULTILINE)) == PARTS
        assert len(ANSWER.findall(lesson.text)) == lesson.text.count("<details>") == lesson.text.count("</details>")
        assert len(ANSWER.findall(lesson.text)) == len(QUESTION.findall(english.text)) + 1


@pytest.mark.parametrize("lesson", ALL, ids=name_of)
def test_a_page_needs_nothing_but_itself(lesson: Lesson) -> None:
    beside = load_lessons(lesson.language)
    page = Page(text := render_page(lesson, beside))
    assert page.open in ([], ["html"])
    assert not page.used & {"script", "img", "link", "iframe", "style=", "src", "onclick"}
    style = re.search(rb"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert page.policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert len(page.ids) == len(set(page.ids))
    names = {page_name(each) for each in (*beside, load_introduction(lesson.language))}
    # The other language's pages are beside, or one folder up.
    assert {link.removeprefix("../").removeprefix("es/") for link in page.links} <= names
    assert not Page(render_page(lesson)).links, "a page that is alone leads nowhere"
    for block in BLOCK.findall(lesson.text):
        for line in block.splitlines()[1:-1]:
            assert line in page.text


@pytest.mark.parametrize("width", [20, 50, 80, 200])
@pytest.mark.parametrize("lesson", [ENGLISH[2], SPANISH[4]], ids=name_of)
def test_a_terminal_shows_all_of_a_lesson_in_its_width(lesson: Lesson, width: int) -> None:
    text = drawn(folded(lesson.text, answers=True), width=width, colour=False)
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert max(cell_len(line) for line in plain.splitlines()) <= width
    together = re.sub(r"[\s│┊]", "", plain)
    for block in BLOCK.findall(lesson.text):
        for line in block.splitlines()[1:-1]:
            assert re.sub(r"[\s│┊]", "", line) in together


def test_answers_are_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["course", "1"]) == 0
    out = capsys.readouterr().out
    assert "How often do busybox's files lie" in out
    assert "Once. A layer is kept" not in out
    assert out.endswith("`pybuild course 1 --answers`\n")
    assert not re.search(r"<(?:details|a id|!--)|\.md\)", out)
    assert main(["course", "1", "--lang", "es", "--answers"]) == 0
    assert "Una. Una capa se guarda" in capsys.readouterr().out


def test_lessons_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["course", "--lang=es"]) == 0
    assert capsys.readouterr().out.splitlines()[::2] == [lesson.title for lesson in SPANISH]
    assert max(map(len, list_lines(ENGLISH, 40))) <= 40


def test_files_are_written_and_never_over_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "one"
    assert main(["course", "6", "--files", str(folder)]) == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == ENGLISH[5].files
    (folder / "app.py").write_text("mine")
    (folder / "Better").unlink()
    assert main(["course", "6", "--files", str(folder)]) == 1
    assert "has Dockerfile, needs.txt, app.py already" in capsys.readouterr().err
    assert (folder / "app.py").read_text() == "mine"
    assert not (folder / "Better").exists()
    (tmp_path / "file").write_text("")
    assert main(["course", "6", "--files", str(tmp_path / "file")]) == 1
    assert "cannot write the files" in capsys.readouterr().err


def test_all_pages_are_written_with_their_links(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["course", "3", "--lang", "es", "--html", "-o", str(tmp_path)]) == 0
    wanted = Path(capsys.readouterr().out.strip())
    assert wanted == tmp_path / "es" / "03-copy-up-and-whiteouts.html"
    for path in tmp_path.rglob("*.html"):
        for link in Page(path.read_bytes()).links:
            assert (path.parent / link).resolve().is_file(), f"{path}: {link}"
    assert len(list(tmp_path.rglob("*.html"))) == len(ALL)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["9"], "there is no lesson '9'\nhint: Lessons are 1 to 8"),
        (["0"], "there is no lesson '0'"),
        (["uno"], "there is no lesson 'uno'"),
        (["٣"], "there is no lesson"),
        (["1", "--lang", "fr"], "the course does not speak 'fr'\nhint: It speaks 'en' and 'es'."),
        (["1", "--lang", "../en"], "the course does not speak '../en'"),
        (["--files", "x"], "--files wants the number of a lesson"),
        (["1", "--output", "x"], "--output is for --html"),
        (["1", "2"], "too many arguments: 2"),
    ],
)
def test_a_slip_is_told(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["course", *words]) == 2
    assert message in capsys.readouterr().err


@contextmanager
def a_terminal(program: Program, *words: str, **environment: str | None) -> Iterator[Terminal]:
    given = {"NO_COLOR": None, "PAGER": "cat", "TERM": "xterm", "MANPAGER": None} | environment
    yield Terminal(program.command("course", *words), program.environment(given), str(program.folder))


def test_a_terminal_gets_it_drawn_and_its_pager(pybuild: Program) -> None:
    with a_terminal(pybuild, "3", PAGER="sed s/^/PAGED/") as terminal:
        assert terminal.end(60) == 0
        assert b"PAGED" in terminal.said
        assert b"\x1b[1m" in terminal.said
        assert b"```" not in terminal.said


def test_a_page_is_opened_by_the_browser_there_is(pybuild: Program) -> None:
    with a_terminal(pybuild, "3", "--html", BROWSER="echo OPENED %s", TMPDIR=str(pybuild.folder)) as terminal:
        assert terminal.end(60) == 0
        assert re.search(rb"OPENED file://\S+/03-copy-up-and-whiteouts\.html", terminal.said), terminal.said
