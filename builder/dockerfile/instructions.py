"""The AST: what a Dockerfile says, before any variable is expanded.

Two levels. `Instruction` is syntax alone: a keyword, flags, arguments as BuildKit's parser splits them (what `pybuild
parse` prints). The statements (`From`, `Run`, `Copy` …) are typed and checked: arity, flags, forms. Words keep their
quotes and variables; `words.expand` reads them later, with the environment of the stage.

Locations are presentation: they take no part in equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from builder.dockerfile.fast_dataclass import maker_of
from builder.errors import Location

NOWHERE = Location("", 0)


@dataclass(frozen=True, slots=True)
class Word:
    """One word as written, quotes and variables included."""

    text: str
    location: Location = field(default=NOWHERE, compare=False, repr=False)


make_word = maker_of(Word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heredoc:
    """`<<NAME` and its body. `expand` is false when the name was quoted; `chomp` is `<<-`, applied to `content`."""

    name: str
    content: str
    written: str = ""
    """The body as it stands in the file, with the tabs that `<<-` drops: what a shell is given."""
    expand: bool = True
    chomp: bool = False
    file_descriptor: int = 0
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Flag:
    """`--name` or `--name=value`; `text` is the flag as written, quotes removed from `value`."""

    name: str
    value: str | None
    text: str
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """Syntax of one instruction. `arguments` are split as BuildKit's parser does, before expansion."""

    keyword: str
    """Upper case."""
    written_keyword: str = ""
    flags: tuple[Flag, ...] = ()
    arguments: tuple[Word, ...] = ()
    json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    text: str = ""
    """The logical line without continuations: what ONBUILD stores and displays show."""
    comments: tuple[str, ...] = ()
    """The comment lines directly above, without `#`."""
    legacy: bool = False
    """ENV and LABEL written as `key value`."""
    location: Location = field(default=NOWHERE, compare=False, repr=False)
    keyword_location: Location = field(default=NOWHERE, compare=False, repr=False)


make_instruction = maker_of(Instruction)


@dataclass(frozen=True, slots=True)
class ShellForm:
    """A command line for SHELL; heredoc markers included."""

    command: str


@dataclass(frozen=True, slots=True)
class ExecForm:
    """A JSON array: the words themselves."""

    arguments: tuple[str, ...]


Command = ShellForm | ExecForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What every typed instruction carries: the syntax it was read from."""

    syntax: Instruction = field(compare=False, repr=False)

    @property
    def location(self) -> Location:
        return self.syntax.location


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Statement):
    image: Word
    alias: str = ""
    """Lower case; empty when the stage has no name."""
    platform: Word | None = None


@dataclass(frozen=True, slots=True)
class ArgDefinition:
    name: str
    default: Word | None
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Statement):
    definitions: tuple[ArgDefinition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Statement):
    pairs: tuple[tuple[Word, Word], ...]
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Statement):
    pairs: tuple[tuple[Word, Word], ...]
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Statement):
    """RUN. When `heredocs` is one and `command` is just its marker, the body is the command (`is_script`)."""

    command: Command
    heredocs: tuple[Heredoc, ...] = ()
    is_script: bool = False
    """The command is exactly one heredoc: its body goes to SHELL, or is run as a file when it begins with `#!`."""
    mounts: tuple[Word, ...] = ()
    """The value of each --mount as written; `mounts.parse_mount` reads one after expansion."""
    network: str = ""
    security: str = ""
    devices: tuple[Word, ...] = ()

    @property
    def shell_text(self) -> str:
        """What SHELL is given for a shell form that is no script: the command, then each heredoc body as written."""
        assert isinstance(self.command, ShellForm)
        return self.command.command + "".join(f"\n{heredoc.written}{heredoc.name}" for heredoc in self.heredocs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transfer(Statement):
    sources: tuple[Word, ...]
    """Paths, URLs, git references; heredoc sources are in `heredocs`."""
    heredocs: tuple[Heredoc, ...] = ()
    destination: Word
    chown: Word | None = None
    chmod: Word | None = None
    link: bool = False
    exclude: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(_Transfer):
    source_stage: Word | None = None
    """--from: a stage name or index, a named context or an image."""
    parents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(_Transfer):
    checksum: Word | None = None
    keep_git_dir: bool | None = None
    unpack: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Statement):
    path: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Statement):
    user: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Statement):
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Statement):
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Statement):
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Statement):
    ports: tuple[Word, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Statement):
    paths: tuple[Word, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Statement):
    signal: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthcheckStatement(Statement):
    """HEALTHCHECK; `command` None is NONE. Durations in nanoseconds, 0 = inherit."""

    command: Command | None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBuild(Statement):
    trigger: str
    """The inner instruction as written, heredoc bodies included; parsed again when it fires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Statement):
    name: str


StageStatement = (
    Arg | Env | Label | Run | Copy | Add | Workdir | User | Cmd | Entrypoint | Shell | Expose | Volume | StopSignal
    | HealthcheckStatement | OnBuild | Maintainer
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """FROM and what follows it. `index` counts from 0 in the file."""

    index: int
    base: From
    statements: tuple[StageStatement, ...] = ()

    @property
    def name(self) -> str:
        return self.base.alias


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """A parser directive: `# syntax=`, `# escape=`, `# check=`."""

    name: Literal["syntax", "escape", "check"]
    value: str
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A whole file. `global_args` stand before the first FROM."""

    file: str
    text: str = field(repr=False)
    directives: tuple[Directive, ...] = ()
    escape: str = "\\"
    instructions: tuple[Instruction, ...] = ()
    global_args: tuple[Arg, ...] = ()
    stages: tuple[Stage, ...] = ()
    warnings: tuple[tuple[str, Location], ...] = ()
    """Findings of the reader itself, such as blank lines inside a continuation."""
