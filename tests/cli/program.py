"""The program in a process of its own, with a store and a folder for contexts.

`base` is an OCI layout with busybox in it; `FROM base` in a Dockerfile means that image.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 120


def listen_to_signals() -> None:
    """In a child before exec: tests that run in the background ignore SIGINT, those under nohup(1) SIGHUP, and so would
    what they start.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str

    def failed(self, code: int, *fragments: str) -> None:
        """Assert that it failed with `code`, said each of these, and showed no insides."""
        assert self.code == code, self.err
        for fragment in fragments:
            assert fragment in self.err, self.err
        assert "Traceback" not in self.err, self.err
        assert "internal error" not in self.err, self.err
        assert "[Errno" not in self.err, self.err

    def succeeded(self) -> Outcome:
        assert self.code == 0, self.err
        return self


@dataclass(frozen=True, slots=True)
class Program:
    store: Path
    folder: Path
    base: str
    """`oci-layout://…`, or "" where there is none."""

    def __call__(
        self,
        *words: str,
        stdin: bytes = b"",
        env: Mapping[str, str | None] = {},
        cwd: Path | None = None,
        redirect: str = "",
    ) -> Outcome:
        """Run `pybuild WORDS`. `redirect` is shell syntax after the command; None in `env` unsets a variable."""
        command: Sequence[str] = self.command(*words)
        if redirect:
            command = ["sh", "-c", f'exec "$0" "$@" {redirect}', *command]
        result = subprocess.run(
            command, input=stdin, capture_output=True, env=self.environment(env), cwd=cwd or self.folder,
            timeout=LONGEST_SECONDS, check=False,
        )  # fmt: skip
        out, err = (data.decode("utf-8", "surrogateescape") for data in (result.stdout, result.stderr))
        return Outcome(result.returncode, out, err)

    def build(self, dockerfile: str | None, *words: str, **options: object) -> Outcome:
        """Build the folder with this Dockerfile (None: as it is)."""
        if dockerfile is not None:
            (self.folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        return self("--progress=plain", *self.base_words(), *words, ".", **options)  # type: ignore[arg-type]

    def base_words(self) -> tuple[str, ...]:
        return ("--build-context", f"base={self.base}") if self.base else ()

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "builder", *words]

    def environment(self, changes: Mapping[str, str | None] = {}) -> dict[str, str]:
        found = {name: value for name, value in os.environ.items() if not name.startswith(("PYBUILD_", "SOURCE_DATE"))}
        found |= {"PYTHONPATH": str(CHECKOUT), "PYBUILD_ROOT": str(self.store)}
        for name, value in changes.items():
            found.pop(name, None)
            if value is not None:
                found[name] = value
        return found
