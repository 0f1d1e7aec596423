"""Finds and reads the lessons: `docs/course/` in a checkout, `builder/_course/` in a wheel.

README.md  01-image-and-layers.md  …        English: how the course is used, and the lessons
es/README.md  es/01-image-and-layers.md  …  the same lessons in Spanish, with the same blocks

```dockerfile Dockerfile    a block with a second word is a file of the lesson, of that name
```console                  what is typed, after `$ ` and `> `, and what is then seen
<details><summary>…         what is folded until the reader has made a prediction
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from builder.errors import PybuildError, UsageError

LANGUAGES = {"en": "English", "es": "español"}
_BUILDER = Path(__file__).resolve().parent.parent
_PLACES = (_BUILDER / "_course", _BUILDER.parent / "docs" / "course")
_FENCE = re.compile(r"^```(\w+)(?: ([\w.-]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"\A# (.+)$", re.MULTILINE)
_GOAL = re.compile(r"^\*\*(?:Goal|Objetivo)\.\*\* (.+?)\n\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    number: int
    """Counted from 1; 0 is the page about the course itself."""
    name: str
    """The name of its file without `.md`."""
    language: str
    text: str
    """Markdown."""

    @property
    def title(self) -> str:
        found = _TITLE.match(self.text)
        return found[1] if found else self.name

    @property
    def goal(self) -> str:
        found = _GOAL.search(self.text)
        return " ".join(found[1].split()) if found else ""

    @property
    def files(self) -> dict[str, str]:
        """Name → content of what lies in the lesson's folder at its beginning."""
        return {name: content for _, name, content in _FENCE.findall(self.text) if name}


def load_lessons(language: str) -> tuple[Lesson, ...]:
    """Load the lessons in a language, in order. Raises UsageError for a language that the course does not speak."""
    folder = _folder(language)
    found = tuple(
        _load(path, language, int(path.name.partition("-")[0])) for path in sorted(folder.glob("[0-9][0-9]-*.md"))
    )
    if not found:
        raise _not_installed()
    return found


def load_lesson(number: str, language: str) -> Lesson:
    """Load the lesson that is called by its number. Raises UsageError when there is none."""
    lessons = load_lessons(language)
    # Digits of other scripts are numbers to int(), and a lesson "+1" or "1_0" is a slip.
    wanted = int(number) if number.isascii() and number.isdigit() and len(number) < 4 else 0
    for lesson in lessons:
        if lesson.number == wanted:
            return lesson
    raise UsageError(
        f"there is no lesson {number!r}", hint=f"Lessons are 1 to {len(lessons)}; 'pybuild course' lists them."
    )


def load_introduction(language: str) -> Lesson:
    """Load the page about the course itself, as lesson 0."""
    return _load(_folder(language) / "README.md", language, 0)


def _folder(language: str) -> Path:
    if language not in LANGUAGES:
        raise UsageError(
            f"the course does not speak {language!r}", hint=f"It speaks {' and '.join(map(repr, LANGUAGES))}."
        )
    for place in _PLACES:
        if place.is_dir():
            return place if language == "en" else place / language
    raise _not_installed()


def _load(path: Path, language: str, number: int) -> Lesson:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise _not_installed() from None
    return Lesson(number=number, name=path.stem, language=language, text=text)


def _not_installed() -> PybuildError:
    return PybuildError("the lessons are not installed", hint="Install pybuild again.")
