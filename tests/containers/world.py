"""A store of somebody's with one image in it, and how containers are run there."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cli.program import LONGEST_SECONDS, Outcome, Program, listen_to_signals

DOCKERFILE = """\
FROM base
RUN mkdir /data && echo one > /data/one && echo two > /data/two && chown 1000:1000 /data/two && mkdir -p /old/deep
CMD ["sh"]
"""
IMAGE = "img:1"


@dataclass(frozen=True, slots=True)
class World:
    program: Program
    become: tuple[str, ...] = ()
    """Words before a command that make it somebody else's."""
    isolation: tuple[str, ...] = ()
    """--isolation for `run` and `create`."""
    one_id: bool = False
    """All files belong to one id here."""

    @property
    def app(self) -> int:
        """Whom `chown 1000` gives a file to, as a layer has it: where one id owns all, nobody can tell."""
        return 0 if self.one_id else 1000

    @property
    def folder(self) -> Path:
        return self.program.folder

    def __call__(self, *words: str, stdin: bytes = b"") -> Outcome:
        done = subprocess.run(
            self.words(*words), input=stdin, capture_output=True, env=self.program.environment(), cwd=self.folder,
            timeout=LONGEST_SECONDS, check=False,
        )  # fmt: skip
        out, err = (data.decode("utf-8", "surrogateescape") for data in (done.stdout, done.stderr))
        return Outcome(done.returncode, out, err)

    def bytes_of(self, *words: str) -> bytes:
        done = subprocess.run(
            self.words(*words), stdin=subprocess.DEVNULL, capture_output=True, env=self.program.environment(),
            cwd=self.folder, check=True,
        )  # fmt: skip
        return done.stdout

    def words(self, *words: str) -> list[str]:
        if words[0] in ("run", "create"):
            words = (words[0], *self.isolation, *words[1:])
        return [*self.become, *self.program.command(*words)]

    def start(self, *words: str, env: Mapping[str, str | None] = {}) -> subprocess.Popen[bytes]:
        """Start `run` or `start` and wait until its command has said "up"."""
        process = subprocess.Popen(
            self.words(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=self.folder, env=self.program.environment(env), preexec_fn=listen_to_signals, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line == b"up\n", process.stderr.read()
        return process

    def sh(self, script: str, *options: str) -> Outcome:
        """Run a script in a new container."""
        return self("run", *options, IMAGE, "sh", "-c", script)
