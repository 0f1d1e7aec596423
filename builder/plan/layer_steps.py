"""RUN, COPY, ADD, WORKDIR: the instructions that make layers, each as a step on top of its stage.

In: a statement, its stage's state, the stages that are finished. Out: the state with a new result and a history record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from builder.dockerfile.instructions import Add, Copy, Run, ShellForm, StageStatement, Word, Workdir
from builder.errors import Location, PlanError
from builder.oci.platform import Platform
from builder.plan import history, mounts, paths, titles
from builder.plan.copies import plan_copy
from builder.plan.images import BaseImages
from builder.plan.inputs import ContextInput, ImageInput, Input, NoInput, StageInput
from builder.plan.options import PlanOptions
from builder.plan.scope import Expander
from builder.plan.stages import StageGraph
from builder.plan.state import StageState
from builder.plan.step import (
    ContextSource,
    ImageOp,
    Network,
    RunOp,
    SecretMount,
    StepID,
    StepLabel,
    StepSource,
    WorkdirOp,
)
from builder.plan.step_table import StepTable

# BuildKit's directory: scripts can see it in $0.
_PIPES = "/dev/pipes/"
"""Where a heredoc that begins with `#!` lies while it runs (H-12)."""


@dataclass(slots=True, kw_only=True)
class LayerSteps:
    """Turns instructions into steps. `finished` holds the stages that may be read."""

    options: PlanOptions
    graph: StageGraph
    images: BaseImages
    expander: Expander
    proxies: tuple[str, ...]
    steps: StepTable = field(default_factory=StepTable)
    finished: dict[int, StageState] = field(default_factory=dict)

    def needs(self, statement: StageStatement, state: StageState, index: int) -> Iterator[int]:
        """Yield the stages that a statement of stage `index` reads."""
        if isinstance(statement, Copy) and statement.source_stage:
            trees = [self._copied_tree(statement.source_stage, state, index)]
        elif isinstance(statement, Run):
            # Read once more when the step is made: what a mount is from can only be said of finished stages.
            options = mounts.read_mounts(statement, lambda word: self.expander.word(word, state.scope))
            trees = [
                self.graph.find(name, index, Word(name, location), mount_target=target)
                for name, location, target in mounts.origins(options, statement)
            ]
        else:
            return
        for tree in trees:
            if isinstance(tree, StageInput):
                yield tree.index

    def copy(self, statement: Copy | Add, state: StageState, index: int, *, trigger: bool) -> None:
        source: ContextSource | StepSource = ContextSource()
        if isinstance(statement, Copy) and statement.source_stage:
            tree = self._copied_tree(statement.source_stage, state, index)
            source = self.source(tree, statement.source_stage.location)
        planned = plan_copy(statement, source, state.directory, state.scope, self.expander)
        title = titles.statement_title(statement, state, self.expander)
        label = self._label(title, state, index, statement.location, trigger)
        state.result = self.steps.add(planned.op, label, parent=state.result, no_cache=state.no_cache)
        state.record(planned.created_by, state.result)

    def run(self, statement: Run, state: StageState, index: int, *, trigger: bool) -> None:
        if statement.devices:
            raise PlanError(
                "RUN --device is not supported",
                statement.devices[0].location,
                hint="Steps have no devices of the host.",
            )

        def source(name: str, location: Location, target: str) -> ContextSource | StepSource:
            return self.source(self.graph.find(name, index, Word(name, location), mount_target=target), location)

        options = mounts.read_mounts(statement, lambda word: self.expander.word(word, state.scope))
        planned = mounts.plan_mounts(options, statement, state.directory, source)
        secrets = [mount.variable for mount in planned if isinstance(mount, SecretMount) and mount.variable]
        title = titles.statement_title(statement, state, self.expander, secrets)
        argv, script, script_path = _command(statement, state)
        # Each RUN holds the whole environment: a thousand RUNs after a thousand ENVs are a million entries.
        self.expander.spend(state.scope.size + len(state.scope.names()), statement.location)
        op = RunOp(
            argv=argv,
            env=state.scope.environment(),
            proxy_env=self.proxies,
            arguments=tuple(name for name in state.arguments if name not in state.variables),
            user=state.runtime.user,
            cwd=state.directory,
            mounts=planned,
            network=_network(statement, self.options),
            security="insecure" if statement.security == "insecure" else "sandbox",
            script=script,
            script_path=script_path,
            platform=state.runs_on,
        )
        label = self._label(title, state, index, statement.location, trigger)
        # execve(2) takes no NUL, and an empty name is no program: said here with the line, and not by the sandbox.
        _check_passable(op, statement)
        state.result = self.steps.add(op, label, parent=state.result, no_cache=state.no_cache)
        state.record(history.run(argv, state.shown_arguments()), state.result)

    def workdir(self, statement: Workdir, state: StageState, index: int, *, trigger: bool) -> None:
        written = self.expander.word(statement.path, state.scope)
        path = paths.working_directory(state.directory, written)
        title = titles.statement_title(statement, state, self.expander)
        # The config has it also where no layer is made for it.
        state.configure(replace(state.runtime, working_dir=path))
        step_id = None
        if path != "/":  # the root is always there, and no layer need make it
            used = self.expander.used("path", statement.path, state.scope)
            op = WorkdirOp(path=path, user=state.runtime.user, variables=used)
            label = self._label(title, state, index, statement.location, trigger)
            step_id = state.result = self.steps.add(op, label, parent=state.result, no_cache=state.no_cache)
        state.record(history.workdir(path), step_id)

    def source(self, tree: Input, location: Location) -> ContextSource | StepSource:
        """Return the file system that a tree stands for, as COPY and mounts read it."""
        match tree:
            case StageInput(index):
                return StepSource(self.finished[index].result)
            case ContextInput(name):
                return ContextSource(name)
            case ImageInput():
                label = StepLabel("", f"FROM {tree.reference}", location)
                return StepSource(self.image(tree, self.options.platform, label, location))
            case NoInput():
                return StepSource(None)

    def image(self, tree: ImageInput, platform: Platform, label: StepLabel, location: Location) -> StepID | None:
        """Return the step of an image's layers; None when it has none."""
        resolved = self.images.get(tree, platform, location)
        # Such an image is like scratch (test_an_image_without_layers_is_like_scratch).
        if not resolved.config.diff_ids:
            return None
        op = ImageOp(reference=tree.reference, manifest_digest=resolved.manifest_digest, platform=platform)
        return self.steps.add(op, label)

    def _copied_tree(self, word: Word, state: StageState, index: int) -> Input:
        name = self.expander.word(word, state.scope)
        if not name:
            hint = f"{self.expander.origins(word, state.scope)} Name a stage, a build context or an image."
            raise PlanError(f"COPY --from={word.text} expands to nothing", word.location, hint=hint.lstrip())
        return self.graph.find(name, index, replace(word, text=name))

    def _label(self, title: str, state: StageState, index: int, location: Location, trigger: bool) -> StepLabel:
        numbered = titles.numbered(title, state, platform=self.options.multi_platform, trigger=trigger)
        return StepLabel(self.graph.name(index), numbered, location)


def _command(statement: Run, state: StageState) -> tuple[tuple[str, ...], str, str]:
    """Return argv, and body and path of the script when a heredoc begins with `#!` (H-12, H-13)."""
    command = statement.command
    if not isinstance(command, ShellForm):
        return command.arguments, "", ""
    if not statement.heredocs:
        return state.argv(command), "", ""
    body = statement.heredocs[0].content
    if not statement.is_script:
        return state.argv(ShellForm(statement.shell_text)), "", ""
    # The shell gets it as an argument: no file is mounted for it (H-12).
    if not body.startswith("#!"):
        return state.argv(ShellForm(body)), "", ""
    # The word may look like a path (H-6); this one must stay in its directory.
    path = _PIPES + statement.heredocs[0].name.replace("/", "_")
    return state.argv(ShellForm(path)), body, path


def _network(statement: Run, options: PlanOptions) -> Network:
    own: dict[str, Network] = {"none": "none", "host": "host"}
    # Settled here, so that the key of a step says which network it had.
    return own.get(statement.network, options.network)


def _check_passable(op: RunOp, statement: Run) -> None:
    """Refuse what no process can be given."""
    if not op.argv or not op.argv[0]:
        raise PlanError("RUN names no command", statement.location)
    if any("\0" in text for text in (*op.argv, *op.env)):
        raise PlanError("the command or a variable holds a NUL character", statement.location)
