"""The lessons of fixtures/course: their commands are run, as root and as ordinary users, and show what they should.

# what the lesson is about
$ a command of a shell      `pybuild` is the program; {store} and {base-words} are filled in; it succeeds
= a line that it prints     all of its output, when there is one such line or more
~ what is found in its output (a regular expression)
e what is found in its messages
! what it says when it fails, as it should
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.builds.base_image import BaseImage
from tests.cli.program import CHECKOUT, Outcome
from tests.course.classroom import Desk, new_desk
from tests.support.ordinary import as_user

LESSONS = sorted(path.parent for path in (CHECKOUT / "fixtures" / "course").glob("*/lesson.txt"))
KINDS = ("root", "ranges", "single")


@dataclass(slots=True)
class Command:
    line: str
    printed: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    refusal: str | None = None

    def check(self, outcome: Outcome) -> None:
        seen = f"{self.line}\n{outcome.out}\n{outcome.err}"
        assert "Traceback" not in outcome.err, seen
        assert (outcome.code == 0) == (self.refusal is None), seen
        assert self.refusal is None or self.refusal in outcome.err, seen
        assert not self.printed or outcome.out.splitlines() == [line for line in self.printed if line], seen
        for pattern in self.found:
            assert re.search(pattern, outcome.out), f"{pattern}: {seen}"
        for pattern in self.said:
            assert re.search(pattern, outcome.err), f"{pattern}: {seen}"


def read_lesson(text: str) -> list[Command]:
    commands: list[Command] = []
    for line in text.splitlines():
        kind, rest = line[:1], line[2:]
        match kind:
            case "#":
                continue
            case "$":
                commands.append(Command(rest))
            case "=":
                commands[-1].printed.append(rest)
            case "~":
                commands[-1].found.append(rest)
            case "e":
                commands[-1].said.append(rest)
            case "!":
                commands[-1].refusal = rest
            case _:
                raise AssertionError(f"no line of a lesson: {line!r}")
    return commands


@pytest.fixture(scope="module", params=KINDS)
def desk(request: pytest.FixtureRequest, base_image: BaseImage) -> Iterator[Desk]:
    """A desk of each kind of user, whose store has the base under a name."""
    kind = request.param
    if os.geteuid() != 0 and kind != "root":
        pytest.skip("needs root, to be others")
    user = "" if kind == "root" else request.getfixturevalue("users")[kind]
    folder = Path(tempfile.mkdtemp(prefix="pybuild-course-test-"))
    try:
        made = new_desk(
            folder / "desk", f"oci-layout://{folder}/base:latest", as_user(pwd.getpwnam(user).pw_uid) if user else ()
        )
        shutil.copytree(base_image.layout, folder / "base")
        folder.chmod(0o755)
        if user:
            subprocess.run(["chown", "-R", user, str(folder)], check=True)
        made.names.update(store=str(made.program.store), **{"base-words": " ".join(made.program.base_words())})
        yield made
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: str(path.name))
def test_a_lesson_shows_what_it_should(desk: Desk, lesson: Path) -> None:
    context = desk.program.folder
    shutil.rmtree(context)
    shutil.copytree(lesson / "context", context)
    owner = desk.folder.stat()
    for path in (context, *context.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)
    commands = read_lesson((lesson / "lesson.txt").read_text())
    assert commands
    for command in commands:
        command.check(desk(command.line))
