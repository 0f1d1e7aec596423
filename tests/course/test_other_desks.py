"""The lessons for ordinary users, and their quizzes: the same is seen. Of this table few rows are tried each time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from builder.course.lessons import Lesson, load_lessons
from tests.builds.base_image import BaseImage
from tests.course.classroom import Desk
from tests.course.desks import check_lesson, open_desk


@pytest.fixture(scope="module", params=["ranges", "single", "quiz"])
def desk(request: pytest.FixtureRequest, base_image: BaseImage) -> Iterator[tuple[Desk, bool]]:
    """A desk of an ordinary user, or of whoever runs the tests, who does the quizzes too."""
    kind = request.param
    if os.geteuid() != 0 and kind != "quiz":
        pytest.skip("needs root, to be others")
    user = "" if kind == "quiz" else request.getfixturevalue("users")[kind]
    with open_desk(base_image.layout, user) as made:
        yield made, kind == "quiz"


@pytest.mark.parametrize("lesson", load_lessons("en"), ids=lambda lesson: str(lesson.name))
def test_the_same_is_seen(desk: tuple[Desk, bool], lesson: Lesson, registry_program: str) -> None:
    made, with_quiz = desk
    wrong = check_lesson(made, lesson, registry_program, with_quiz=with_quiz)
    assert not wrong, "\n\n".join(wrong)
