"""Desks for the lessons: one for root and for each kind of ordinary user, with busybox in their stores."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from builder.course.lessons import Lesson
from tests.course.classroom import Desk, new_desk
from tests.course.transcript import Command, Names, commands_of, differences
from tests.support.docker_registry import running
from tests.support.ordinary import as_user

REGISTRY = "localhost:5000"
"""What lessons call a registry of one's own."""
QUIZ = "\n## Quiz\n"


@contextmanager
def open_desk(layout: Path, user: str = "") -> Iterator[Desk]:
    """Give a desk whose store has the base under the name that lessons use; "" is root."""
    folder = Path(tempfile.mkdtemp(prefix="pybuild-course-test-"))
    try:
        made = new_desk(folder / "desk", "", as_user(pwd.getpwnam(user).pw_uid) if user else ())
        shutil.copytree(layout, folder / "base")
        folder.chmod(0o755)
        if user:
            subprocess.run(["chown", "-R", user, str(folder)], check=True)
        made.ok(f"pybuild copy -q oci:{folder}/base:latest busybox")
        yield made
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=False)


def put_files(desk: Desk, lesson: Lesson) -> None:
    """Make the desk's folder what the lesson begins with."""
    context, owner = desk.program.folder, desk.folder.stat()
    shutil.rmtree(context)
    context.mkdir()
    for name, content in lesson.files.items():
        (context / name).write_text(content)
    for path in (context, *context.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)


def run_lesson(desk: Desk, lesson: Lesson, registry_program: str, *, with_quiz: bool) -> Iterator[tuple[Command, str]]:
    """Yield each command of a lesson with what it printed on either stream."""
    put_files(desk, lesson)
    commands = commands_of(lesson.text if with_quiz else lesson.text.partition(QUIZ)[0])
    with ExitStack() as stack:
        host = REGISTRY
        if any(REGISTRY in command.typed for command in commands):
            folder = desk.folder.parent / "registry"
            folder.mkdir(exist_ok=True)
            host = stack.enter_context(running(registry_program, folder))
        # One shell for all, as the student's is: its variables stay.
        script = "".join(f"{{ {command.typed}\n}} 2>&1\nprintf '\\0'\n" for command in commands)
        outcome = desk(script.replace(REGISTRY, host))
        seen = outcome.out.replace(host, REGISTRY).split("\0")
        assert len(seen) == len(commands) + 1, outcome
        yield from zip(commands, seen)


def check_lesson(desk: Desk, lesson: Lesson, registry_program: str, *, with_quiz: bool) -> list[str]:
    """Return what a lesson shows otherwise than it is."""
    names = Names()
    wrong: list[str] = []
    for command, seen in run_lesson(desk, lesson, registry_program, with_quiz=with_quiz):
        wrong += differences(command, seen, names)
    return wrong
