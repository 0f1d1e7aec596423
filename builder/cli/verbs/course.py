"""`pybuild course`: eight lessons on images, listed, shown on the terminal, written out or opened as pages."""

from __future__ import annotations

import argparse
import os
import pydoc
import sys
import tempfile
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap

from builder.cli.arguments import new_parser
from builder.cli.display.lesson import drawn, folded
from builder.cli.display.text import clean
from builder.course.lessons import LANGUAGES, Lesson, load_introduction, load_lesson, load_lessons
from builder.course.page import page_name, render_page
from builder.errors import PybuildError, UsageError

_EPILOG = """\
pybuild course                    lists the lessons
pybuild course 1                  shows one; its answers are held back until --answers
pybuild course 1 --files DIR      writes its Dockerfile and the rest, to begin with
pybuild course 1 --html           opens its page; without a terminal, prints it
"""


def course_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild course`."""
    parser = new_parser("pybuild course", "Learn what an image is, in eight short lessons.", epilog=_EPILOG)
    parser.add_argument("lesson", nargs="?", metavar="N", help="the lesson's number (default: list them)")
    parser.add_argument("--lang", default="en", metavar="|".join(LANGUAGES), help="the language (default: en)")
    parser.add_argument("--answers", action="store_true", help="show the answers too")
    parser.add_argument("--files", metavar="DIR", help="write the files of lesson N to DIR, over none that is there")
    parser.add_argument("--html", action="store_true", help="open the lesson as a page")
    parser.add_argument("-o", "--output", metavar="DIR", help="with --html: write all pages to DIR, and open none")
    return parser


def course_command(argv: list[str]) -> int:
    """List the lessons, or do with one what is asked."""
    arguments = course_parser().parse_args(argv)
    if arguments.output is not None and not arguments.html:
        raise UsageError("--output is for --html", hint="--files DIR writes the files of a lesson.")
    if arguments.files is not None and (arguments.lesson is None or arguments.html):
        raise UsageError("--files wants the number of a lesson", hint="For example: pybuild course 1 --files lesson1")
    if arguments.lesson is None:
        lesson = load_introduction(arguments.lang)
    else:
        lesson = load_lesson(arguments.lesson, arguments.lang)
    if arguments.files is not None:
        _write_files(lesson, Path(arguments.files))
    elif arguments.html:
        _show_page(lesson, arguments.output)
    elif lesson.number:
        _show(lesson, answers=arguments.answers)
    else:
        _list(load_lessons(arguments.lang))
    return 0


def _list(lessons: Sequence[Lesson]) -> None:
    for line in list_lines(lessons, _width() if sys.stdout.isatty() else 0):
        print(line)


def list_lines(lessons: Sequence[Lesson], width: int = 0) -> Iterator[str]:
    """Yield the lessons with their goals, wrapped to `width` columns (0: not wrapped)."""
    for lesson in lessons:
        yield lesson.title
        goal = lesson.goal.replace("`", "")
        yield from (f"    {line}" for line in (wrap(goal, max(width - 4, 16)) if width else [goal]))


def _show(lesson: Lesson, *, answers: bool) -> None:
    text = folded(lesson.text, answers=answers)
    if not answers:
        flag = "" if lesson.language == "en" else f" --lang {lesson.language}"
        text += f"\n---\n\n`pybuild course {lesson.number}{flag} --answers`\n"
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        # Markdown is plain text already, and what is typed can be copied from it in one line.
        print(text, end="")
        return
    os.environ.setdefault("LESS", "FRX")  # as git does: colours, and no pager for what fits on the screen
    pydoc.pager(drawn(text, width=_width(), colour=not os.environ.get("NO_COLOR")))


def _width() -> int:
    return get_terminal_size().columns


def _write_files(lesson: Lesson, folder: Path) -> None:
    there = [name for name in lesson.files if os.path.lexists(folder / name)]
    if there:
        raise PybuildError(
            f"{clean(str(folder))} has {', '.join(there)} already, and nothing was written",
            hint="Name a folder that is empty, or not there yet.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in lesson.files.items():
            # "x": never over a file, whoever made it since we looked.
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        raise PybuildError(f"cannot write the files of the lesson to {clean(str(folder))}: {error.strerror}") from error
    for name in lesson.files:
        print(folder / name)


def _show_page(lesson: Lesson, output: str | None) -> None:
    if output is not None:
        print(_write_pages(Path(output), lesson))
    elif not sys.stdout.isatty():
        sys.stdout.buffer.write(render_page(lesson))
    else:
        page = _write_pages(Path(tempfile.mkdtemp(prefix="pybuild-course-")), lesson)
        print(page)
        if not webbrowser.open(page.as_uri()):
            print("no browser was found here: open that file with one", file=sys.stderr)


def _write_pages(folder: Path, wanted: Lesson) -> Path:
    """Write the pages of all lessons, in all languages so that they can link to each other; return the wanted one's."""
    found = folder.absolute()
    for language in LANGUAGES:
        lessons, place = load_lessons(language), folder.absolute() if language == "en" else folder.absolute() / language
        try:
            place.mkdir(parents=True, exist_ok=True)
            for lesson in (load_introduction(language), *lessons):
                (place / page_name(lesson)).write_bytes(render_page(lesson, lessons))
        except OSError as error:
            raise PybuildError(f"cannot write pages to {clean(str(place))}: {error.strerror}") from error
        if language == wanted.language:
            found = place / page_name(wanted)
    return found
