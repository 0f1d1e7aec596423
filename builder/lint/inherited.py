"""What a stage begins with, as far as the notes need it: commands, names of variables, and folders that exist."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from builder.dockerfile import instructions as ast
from builder.dockerfile.instructions import ExecForm, Run, Stage, StageStatement
from builder.lint.finding import BaseImage

POSIX_SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh", "ksh", "busybox"))
_WORD = re.compile(r"[^\s/\"'=:;&|()<>]+")


@dataclass(slots=True)
class Inherited:
    """The end of a stage, or an image. It is changed as the statements of the stage on top are walked."""

    image: str
    """The image at the bottom, as it is written."""
    base: BaseImage | None
    entrypoint: ast.Entrypoint | None = None
    cmd: ast.Cmd | None = None
    names: set[str] = field(default_factory=set)
    """Variables that ARG and ENV have set. A stage inherits both (Dockerfile reference, ARG, Scope)."""
    folder: str | None = None
    """WORKDIR; None where the image or a variable decides."""
    made: set[str] = field(default_factory=set)
    """Paths that a step wrote to, each with the folders above it."""
    filled: set[str] = field(default_factory=set)
    """Folders that a whole tree was copied into: what else they hold nobody knows."""
    words: set[str] = field(default_factory=set)
    """Words of RUN: of a folder that one of them names nobody knows whether it was made."""
    is_unsure: bool = False
    """Whether a step wrote to a place that is not known."""
    has_posix_shell: bool = True
    has_triggers: bool = False
    """Whether a stage below has an ONBUILD."""

    @classmethod
    def of_image(cls, image: str, base: BaseImage | None) -> Inherited:
        """Return what a stage on an image begins with."""
        folder = "/" if image == "scratch" else None
        names = set(base.environment) if base else set()
        return cls(image, base, names=names, folder=folder, is_unsure=base is not None and base.has_triggers)

    @property
    def knows_variables(self) -> bool:
        """Whether all variables that the stage begins with are known."""
        return (self.base is not None or self.image == "scratch") and not self.is_triggered

    @property
    def is_triggered(self) -> bool:
        """Whether ONBUILD of what is below does something that nobody sees here."""
        return self.has_triggers or (self.base is not None and self.base.has_triggers)

    def copy(self) -> Inherited:
        """Return what another stage on top of the same one begins with."""
        return replace(self, names=set(self.names), made=set(self.made), filled=set(self.filled), words=set(self.words))

    def take_commands(self, stage: Stage) -> None:
        """Carry out ENTRYPOINT and CMD of a whole stage: a new ENTRYPOINT empties the CMD from below."""
        entrypoint, cmd = last_entrypoint(stage), last_cmd(stage)
        self.cmd = cmd or (None if entrypoint else self.cmd)
        self.entrypoint = entrypoint or self.entrypoint
        if any(isinstance(statement, ast.OnBuild) for statement in stage.statements):
            self.has_triggers = self.is_unsure = True

    def take(self, statement: StageStatement) -> None:
        """Carry out what a statement does to folders and shells."""
        match statement:
            case ast.Workdir():
                text = statement.path.text.strip("\"'")
                if "$" in text or (self.folder is None and not text.startswith("/")):
                    self.folder, self.is_unsure = None, True
                else:
                    self.folder = posixpath.normpath(posixpath.join(self.folder or "/", text))
                    self._made(self.folder)
            case ast.Copy() | ast.Add():
                self._made(self.absolute(statement.destination.text))
            case ast.Volume():
                for word in statement.paths:
                    self._made(self.absolute(word.text))
            case ast.Run():
                self.words.update(_WORD.findall(run_text(statement)))
            case ast.Shell() if statement.arguments:
                self.has_posix_shell = posixpath.basename(statement.arguments[0]) in POSIX_SHELLS

    def absolute(self, path: str) -> str | None:
        """Return the path that `path` means, or None where the image or a variable decides."""
        path = path.strip("\"'")
        if "$" in path or (self.folder is None and not path.startswith("/")):
            return None
        return posixpath.normpath(posixpath.join(self.folder or "/", path))

    def _made(self, path: str | None) -> None:
        if path is None:
            self.is_unsure = True
            return
        while path not in self.made:
            self.made.add(path)
            path = posixpath.dirname(path)


def last_cmd(stage: Stage) -> ast.Cmd | None:
    """Return the CMD of a stage that counts."""
    return next((found for found in reversed(stage.statements) if isinstance(found, ast.Cmd)), None)


def last_entrypoint(stage: Stage) -> ast.Entrypoint | None:
    """Return the ENTRYPOINT of a stage that counts."""
    return next((found for found in reversed(stage.statements) if isinstance(found, ast.Entrypoint)), None)


def run_text(run: Run) -> str:
    """Return all that a RUN could carry out, as one text."""
    return " ".join(_parts(run))


def _parts(run: Run) -> Iterator[str]:
    yield from run.command.arguments if isinstance(run.command, ExecForm) else (run.command.command,)
    yield from (heredoc.content for heredoc in run.heredocs)
