"""The lessons of docs/course show what their commands print, for whoever runs the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builder.course.lessons import Lesson, load_lessons
from tests.builds.base_image import BaseImage
from tests.course.classroom import Desk
from tests.course.desks import check_lesson, open_desk
from tests.course.transcript import Command, Names, differences

LESSONS = load_lessons("en")


@pytest.fixture(scope="module")
def desk(base_image: BaseImage) -> Iterator[Desk]:
    with open_desk(base_image.layout) as made:
        yield made


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: str(lesson.name))
def test_a_lesson_shows_what_is_seen(desk: Desk, lesson: Lesson, registry_program: str) -> None:
    wrong = check_lesson(desk, lesson, registry_program, with_quiz=False)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ("made 0.1s ago by 0123456789ab", "made 12.5s ago by ba9876543210"),
        ("SIZE   2.1MB", "SIZE  4.9MB"),
        ("2026-11-28 09:55 x", "2027-01-02 11:00 x"),
        ("one\n…\nlast", "one\na\nb\nlast"),
        ("FROM …", "FROM busybox@sha256:1"),
        ("x 1 seconds ago", "x 2 minutes ago"),
    ],
)
def test_what_varies_is_no_difference(shown: str, seen: str) -> None:
    assert not list(differences(Command("x", shown.splitlines()), seen, Names()))


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ("SIZE 2.1MB", "SIZE 9.5MB"),
        ("SIZE 21B", "SIZE 22B"),
        ("0123456789ab 0123456789ab", "0123456789ab ba9876543210"),
        ("0123456789ab ba9876543210", "0123456789ab 0123456789ab"),
        ("one", "one\ntwo"),
        ("one\ntwo", "one"),
        ("one\n…\nlast", "one\nlast\nmore"),
        ("", "something"),
    ],
)
def test_what_is_otherwise_is_a_difference(shown: str, seen: str) -> None:
    assert list(differences(Command("x", shown.splitlines()), seen, Names()))
