"""Somebody's desk in class: a store, a folder, credentials of their own; what is typed are the words of docker."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.program import LONGEST_SECONDS, Outcome, Program
from tests.support.terminal import Terminal

_NAMES = ("docker", "pybuild")


@dataclass(frozen=True, slots=True)
class Desk:
    program: Program
    folder: Path
    become: Sequence[str] = ()
    """Words before a command that make it somebody else's."""
    names: dict[str, str] = field(default_factory=dict)
    """What stands for `{name}` in lines."""

    def __call__(self, line: str, stdin: bytes = b"") -> Outcome:
        """Run a line as a shell would, with the program's name replaced."""
        done = subprocess.run(
            ["sh", "-c", self.script(line)], input=stdin, capture_output=True, env=self.environment(),
            cwd=self.program.folder, timeout=LONGEST_SECONDS, check=False,
        )  # fmt: skip
        out, err = (data.decode("utf-8", "surrogateescape") for data in (done.stdout, done.stderr))
        return Outcome(done.returncode, out, err)

    def ok(self, line: str, stdin: bytes = b"") -> str:
        """Run a line that works, and return what it printed."""
        done = self(line, stdin)
        assert done.code == 0, f"{line}\n{done.out}\n{done.err}"
        return done.out

    def type_at(self, line: str, keys: bytes, prompt: bytes = b"# ") -> bytes:
        """Run a line at a terminal, type when it prompts, and return what was seen."""
        terminal = Terminal(["sh", "-c", self.script(line)], self.environment(), str(self.program.folder))
        terminal.wait_for(prompt)
        terminal.type(keys)
        assert terminal.end(LONGEST_SECONDS) == 0, terminal.said
        return terminal.said

    def script(self, line: str) -> str:
        """Return what a shell is given: the program is a function there, by any of its names."""
        for name, value in self.names.items():
            line = line.replace("{" + name + "}", value)
        words = shlex.join([*self.become, *self.program.command()])
        base = " ".join(self.program.base_words())
        build = f'if [ "$1" = build ]; then shift; set -- build {base} "$@"; fi; ' if base else ""
        return "".join(f'{name}() {{ {build}{words} "$@"; }}; ' for name in _NAMES) + line

    def environment(self) -> dict[str, str]:
        found = self.program.environment({"REGISTRY_AUTH_FILE": None, "XDG_RUNTIME_DIR": None, "HISTFILE": None})
        return found | {"HOME": str(self.folder), "DOCKER_CONFIG": str(self.folder / ".docker")}

    def write(self, name: str, text: str) -> None:
        (self.program.folder / name).write_text(text)


def new_desk(folder: Path, base: str, become: Sequence[str] = ()) -> Desk:
    """Return a desk in a folder that is made; `base` is `Program.base`."""
    (folder / "context").mkdir(parents=True)
    os.chmod(folder, 0o755)
    return Desk(Program(folder / "store", folder / "context", base), folder, become)
