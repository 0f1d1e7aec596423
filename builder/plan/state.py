"""One stage while it is being planned: its variables, its config so far, the step on top, the history it adds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from builder.dockerfile.instructions import Command, ExecForm
from builder.oci.config import DEFAULT_PATH, ImageConfig, RuntimeConfig
from builder.oci.platform import Platform
from builder.plan.history import COMMENT
from builder.plan.plan import PlannedHistory, PlannedImage
from builder.plan.scope import Scope
from builder.plan.step import StepID

DEFAULT_SHELL = ("/bin/sh", "-c")


@dataclass(slots=True, kw_only=True)
class StageState:
    """Grows with every instruction; a child stage begins with `inherited()`."""

    name: str
    """For displays: the stage's name, `stage-N`, or empty when the file has just one."""
    config: ImageConfig
    """The base image's config with the changes of this stage so far, but for the two members that follow."""
    platform: Platform
    variables: dict[str, str] = field(default_factory=dict)
    """The config's environment. Kept aside until the end, as are the labels: files set hundreds of them."""
    labels: dict[str, str] = field(default_factory=dict)
    result: StepID | None = None
    scope: Scope = field(default_factory=Scope)
    arguments: dict[str, str] = field(default_factory=dict)
    """ARG names in order of their first declaration, for history; the value counts when the scope has none."""
    history: list[PlannedHistory] = field(default_factory=list)
    no_cache: bool = False
    cmd_set: bool = False
    step_count: int = 0
    step_total: int = 0

    @property
    def runtime(self) -> RuntimeConfig:
        return self.config.runtime

    @property
    def runs_on(self) -> Platform:
        """What the stage's programs are for: the platform asked for, or the base's own where that is another one."""
        own = self.config.platform
        return self.platform if self.platform.accepts(own) is not None else own

    @property
    def directory(self) -> str:
        return self.runtime.working_dir or "/"

    def configure(self, runtime: RuntimeConfig) -> None:
        self.config = replace(self.config, runtime=runtime)

    def record(self, created_by: str, step: StepID | None = None, comment: str = COMMENT) -> None:
        self.history.append(PlannedHistory(created_by, step, comment))

    def argv(self, command: Command) -> tuple[str, ...]:
        """Return the words to execute: the array itself, or SHELL and the command line."""
        if isinstance(command, ExecForm):
            return command.arguments
        # The base's SHELL as well: it is part of its config (K-2).
        return (*(self.runtime.shell or DEFAULT_SHELL), command.command)

    def shown_arguments(self) -> dict[str, str]:
        """Return the arguments as RUN's history record shows them: with the values the command sees."""
        # An ENV after the ARG has changed what the command sees, and history shows that (build `arg-env-order`).
        found = {name: self.scope.lookup(name) for name in self.arguments}
        return {name: self.arguments[name] if value is None else value for name, value in found.items()}

    def begin(self) -> None:
        """Take over the config's environment and labels, and put the former into the scope, PATH included (E-2)."""
        self.variables |= dict(pair.partition("=")[::2] for pair in self.runtime.env)
        self.labels |= dict(self.runtime.labels)
        self.configure(replace(self.runtime, env=(), labels=()))
        # BuildKit's, for a base that has none: RUN sees it, and the image keeps it (E-2).
        self.variables.setdefault("PATH", DEFAULT_PATH)
        for name, value in self.variables.items():
            # What an ENV of the stage below set keeps its place, for messages; an ARG there of the same value is none.
            known = self.scope.find(name)
            if known and known.value == value and known.origin != "ARG":
                self.scope.set(name, value, known.origin, known.location)
            else:
                self.scope.set(name, value, "the base image")

    def inherited(self, name: str) -> StageState:
        """Return the beginning of a stage that is FROM this one: everything but the triggers (S-10)."""
        return StageState(
            name=name,
            config=replace(self.config, runtime=replace(self.runtime, on_build=())),
            platform=self.platform,
            variables=dict(self.variables),
            labels=dict(self.labels),
            result=self.result,
            scope=self.scope.copy(),
            arguments=dict(self.arguments),
            history=list(self.history),
        )

    def entries(self) -> int:
        """Return how many entries each change of the config copies."""
        return len(self.runtime.exposed_ports) + len(self.runtime.volumes) + len(self.runtime.on_build)

    def image(self) -> PlannedImage:
        env = tuple(f"{name}={value}" for name, value in self.variables.items())
        config = self.config.with_runtime(env=env, labels=tuple(self.labels.items()))
        return PlannedImage(result=self.result, config=config, history=tuple(self.history))
