"""Runs the lessons as root and writes into both languages what they print: `python -m tests.course.refresh [N...]`.

Outputs that somebody has cut with `…` stay as they are as long as they agree.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from builder.course.lessons import Lesson, load_lessons
from tests.builds.base_image import make_base_image
from tests.cli.program import CHECKOUT
from tests.course.desks import open_desk, run_lesson
from tests.course.transcript import Command, Names, commands_of, differences, with_outputs
from tests.support.docker_registry import registry_program

COURSE = CHECKOUT / "docs" / "course"


def main(numbers: list[int]) -> None:
    """Refresh the lessons of these numbers, or all."""
    with tempfile.TemporaryDirectory() as folder:
        base = make_base_image(Path(folder))
        for lesson in load_lessons("en"):
            if not numbers or lesson.number in numbers:
                with open_desk(base.layout) as desk:
                    commands = [
                        _seen(command, printed)
                        for command, printed in run_lesson(desk, lesson, registry_program(), with_quiz=True)
                    ]
                text = with_outputs(lesson.text, commands)
                (COURSE / f"{lesson.name}.md").write_text(text)
                _copy_outputs(lesson, text)


def _seen(command: Command, printed: str) -> Command:
    is_cut_well = any("…" in line for line in command.shown) and not any(differences(command, printed, Names()))
    return command if is_cut_well else Command(command.typed, [line.rstrip() for line in printed.splitlines()])


def _copy_outputs(lesson: Lesson, text: str) -> None:
    path = COURSE / "es" / f"{lesson.name}.md"
    if path.exists():
        theirs = path.read_text()
        if [each.typed for each in commands_of(theirs)] == [each.typed for each in commands_of(text)]:
            path.write_text(with_outputs(theirs, commands_of(text)))


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
