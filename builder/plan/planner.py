"""Dockerfile + options → Plan. The door of the room; read it first.

    global ARGs ──▶ stage graph ──▶ target ──▶ its stages, each after those it reads ──▶ steps, config, history

Stages are planned on demand, beginning with the target: a stage that nothing leads to is never planned, and its image
never looked up (S-7). ONBUILD triggers need no second round for that reason: they are instructions like others (O-4).
Recursion would be as deep as the file has stages, so a stage is a generator that yields the stages it waits for.

Pure: images come through the `ImageResolver`, times of sources through `Timestamps`; nothing is read, no clock is
asked.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace

from builder.dockerfile.instructions import Add, Copy, Dockerfile, From, Run, Stage, StageStatement, Workdir
from builder.errors import PlanError, PybuildError
from builder.oci.config import ImageConfig, RuntimeConfig
from builder.oci.platform import Platform
from builder.plan import arguments, titles
from builder.plan.configure import configure
from builder.plan.epoch import NoTimestamps, Timestamps, settle_epoch
from builder.plan.history import LAYER_COMMENT
from builder.plan.image_resolver import ImageResolver
from builder.plan.images import BaseImages, inherited_config
from builder.plan.inputs import ContextInput, ImageInput, NoInput, StageInput
from builder.plan.layer_steps import LayerSteps
from builder.plan.onbuild import read_triggers
from builder.plan.options import PlanOptions
from builder.plan.plan import Plan
from builder.plan.predefined import HOSTNAME, RULE, without_effect
from builder.plan.scope import Expander, Scope
from builder.plan.stages import StageGraph, references
from builder.plan.state import StageState
from builder.plan.step import ContextSource, CopyOp, Op, Paths, Step, StepLabel

_Waiting = Generator[int, None, None]
_OS = "linux"


def make_plan(
    dockerfile: Dockerfile, options: PlanOptions, resolver: ImageResolver, timestamps: Timestamps | None = None
) -> Plan:
    """Return the steps that make the target, and what its image will be. Raises PlanError."""
    return Planner(dockerfile, options, resolver, timestamps).plan()


class Planner:
    """One planning; `finished` tells afterwards which stages the target needed."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        options: PlanOptions,
        resolver: ImageResolver,
        timestamps: Timestamps | None = None,
    ) -> None:
        """Read what stands outside the stages. Raises PlanError, and what `timestamps` raises."""
        self.dockerfile = dockerfile
        self.outside = Scope()
        self.expander = Expander(dockerfile.escape, self.outside)
        arguments.global_scope(dockerfile, options, self.expander, self.outside)
        # Before any stage: a name of what has a time gives way to its number in every ARG.
        self.epoch, options = settle_epoch(
            dockerfile, options, self.outside, self.expander, timestamps or NoTimestamps()
        )
        self.options = options
        # Apart from `finished`: of a stage that cannot be planned to its end, the base image is known all the same.
        self._begun: set[int] = set()
        self.graph = StageGraph(dockerfile, options, self.outside, self.expander)
        self.images = BaseImages(resolver, self.graph)
        self.layers = LayerSteps(
            options=options,
            graph=self.graph,
            images=self.images,
            expander=self.expander,
            proxies=arguments.proxy_environment(options.build_args),
        )

    @property
    def finished(self) -> dict[int, StageState]:
        return self.layers.finished

    def plan(self) -> Plan:
        target = self.graph.target(self.options.target)
        self._finish(target)
        state = self.layers.finished[target]
        state.config = self._on_platform(state.config)
        state.labels |= self.options.labels  # of the image: --label is seen by no step, and by no other stage
        steps = tuple(self.layers.steps.steps)
        for sentence in without_effect(self.options.build_args):
            self.expander.warn(RULE, sentence, None)
        used = {name for stage in self.layers.finished.values() for name in stage.arguments}
        return Plan(
            steps=steps,
            image=state.image(),
            platform=self.options.platform,
            target=self.graph.name(target),
            warnings=self.expander.warnings,
            inputs=self.images.inputs,
            short_names=tuple(self.graph.short_names.items()),
            unused_build_args=arguments.unused_build_args(self.dockerfile, self.options, used),
            contexts=_contexts(steps),
            epoch=self.epoch.seconds,
            epoch_source=self.epoch.source,
            stages=self.stages(),
            skipped=tuple(
                self.graph.name(stage.index) for stage in self.graph.stages if stage.index not in self._begun
            ),
            hostname=self.options.hostname or self.options.build_args.get(HOSTNAME, ""),
        )

    def plan_rest(self) -> None:
        """Plan the stages that the target doesn't need, to see what is wrong with them. Raises the first PybuildError,
        when all have been looked at.
        """
        faults: list[PybuildError] = []
        for index in range(len(self.graph.stages)):
            try:
                if index not in self.finished:
                    self._finish(index)
            except PybuildError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]

    def stages(self) -> tuple[tuple[int, str, str], ...]:
        """Return the stages begun so far, whose images are known, as `Plan.stages` has them."""
        return tuple(self._described(index) for index in sorted(self._begun))

    def _described(self, index: int) -> tuple[int, str, str]:
        tree = self.graph.bases[index]
        return index, tree.reference if isinstance(tree, ImageInput) else "", str(self.graph.platform(index))

    def _finish(self, target: int) -> None:
        """Plan the target and whatever it waits for."""
        stack: list[tuple[int, _Waiting]] = [(target, self._stage(target))]
        while stack:
            needed = next(stack[-1][1], None)
            if needed is None:
                stack.pop()
            elif needed not in self.layers.finished:
                # The graph has no cycles (stages.py), so the stack is no deeper than the file has stages.
                stack.append((needed, self._stage(needed)))

    def _stage(self, index: int) -> _Waiting:
        """Plan one stage; yields the stages that must be finished before it can go on."""
        stage, tree = self.graph.stages[index], self.graph.bases[index]
        if isinstance(tree, StageInput):
            yield tree.index
        state, triggers = self._begin(stage)
        self._begun.add(index)
        statements: list[tuple[StageStatement, bool]] = []
        if not self.graph.is_replaced(index):
            statements = [(trigger, True) for trigger in read_triggers(triggers, stage.base.location)]
            statements += [(statement, False) for statement in stage.statements]
        # Counted before the base gets its title, which already says `1/5`.
        state.step_total += titles.count_steps(statement for statement, _ in statements)
        self._title_base(stage, state)
        for statement, trigger in statements:
            # Before each statement and not before the stage: what a COPY reads may be said by an ARG above
            # it, and by triggers.
            yield from self.layers.needs(statement, state, index)
            self._carry_out(statement, state, index, trigger)
        self.layers.finished[index] = state

    def _begin(self, stage: Stage) -> tuple[StageState, tuple[str, ...]]:
        """Return a stage as FROM leaves it, and the triggers that fire."""
        name = self._shown_name(stage)
        _check_os(self.graph.platform(stage.index), stage.base)
        match self.graph.bases[stage.index]:
            case StageInput(index):
                base = self.layers.finished[index]
                # Copied for each stage that is FROM this one: a long chain of stages would cost its square.
                self.expander.spend(len(base.history) + len(base.scope.names()) + len(base.labels), stage.base.location)
                state, triggers = base.inherited(name), base.runtime.on_build
            case ImageInput() as tree:
                platform = self.graph.platform(stage.index)
                resolved = self.images.get(tree, platform, stage.base.image.location)
                state = StageState(name=name, config=_with_platform(resolved.config, platform), platform=platform)
                # Once for what was asked for (above, before a registry is), once for what the image is.
                _check_os(state.config.platform, stage.base)
                triggers = resolved.config.runtime.on_build
                # FROM an image is counted as a step; FROM a stage or scratch is not (BuildKit, toDispatchState).
                state.step_total = 1
            case NoInput():
                state, triggers = StageState(name=name, config=self._empty(), platform=self.options.platform), ()
            case ContextInput():
                state, triggers = StageState(name=name, config=self._empty(), platform=self.options.platform), ()
                state.step_total = 1
        state.no_cache = self.options.no_cache or self.graph.is_selected(stage.index, self.options.no_cache_filter)
        state.begin()
        return state, triggers

    def _title_base(self, stage: Stage, state: StageState) -> None:
        """Add the step that the stage's base is, now that its steps are counted."""
        tree, location = self.graph.bases[stage.index], stage.base.location
        if isinstance(tree, ImageInput):
            digest = self.images.get(tree, state.platform, location).manifest_digest
            shown = tree.reference if "@" in tree.reference else f"{tree.reference}@{digest}"
            title = titles.numbered(f"FROM {shown}", state, platform=self.options.multi_platform)
            label = StepLabel(self.graph.name(stage.index), title, location)
            state.result = self.layers.image(tree, state.platform, label, location)
        elif isinstance(tree, ContextInput):
            title = titles.numbered(f"FROM {tree.name}", state, platform=self.options.multi_platform)
            # A directory in the place of an image is its one layer (N-5), as BuildKit copies it onto scratch.
            op = CopyOp(sources=(Paths(ContextSource(tree.name), (".",)),), destination="/")
            state.result = self.layers.steps.add(op, StepLabel(self.graph.name(stage.index), title, location))
            state.record("", state.result, LAYER_COMMENT)

    def _carry_out(self, statement: StageStatement, state: StageState, index: int, trigger: bool) -> None:
        self._apply(statement, state, index, trigger)
        # What doubles with each line costs its own length here: a file of some lines must not fill the memory.
        size = len(state.history[-1].created_by) if state.history else 0
        self.expander.spend(size + state.entries(), statement.location)

    def _apply(self, statement: StageStatement, state: StageState, index: int, trigger: bool) -> None:
        match statement:
            case Run():
                self.layers.run(statement, state, index, trigger=trigger)
            case Copy() | Add():
                self.layers.copy(statement, state, index, trigger=trigger)
            case Workdir():
                self.layers.workdir(statement, state, index, trigger=trigger)
            case _:
                configure(statement, state, self.expander, self.outside, self.options.build_args)

    def _shown_name(self, stage: Stage) -> str:
        """Return the stage's name for titles: none when the file is about one tree only."""
        # BuildKit takes the name away from an only stage; an image that is copied from counts as one (toDispatchState).
        alone = len(self.graph.stages) == 1 and next(references(stage), None) is None
        return "" if alone else self.graph.name(stage.index)

    def _empty(self) -> ImageConfig:
        return ImageConfig(platform=self.options.platform, runtime=RuntimeConfig(working_dir="/"))

    def _on_platform(self, config: ImageConfig) -> ImageConfig:
        """Return the config with the platform that was asked for, when one was."""
        if not self.options.explicit_platform:
            return config
        # A base that says arm64/v8 keeps its variant when arm64 is asked for; of another architecture nothing holds.
        wanted, found = self.options.platform, config.platform
        same = (wanted.os, wanted.architecture) == (found.os, found.architecture)
        variant = wanted.variant if wanted.variant or not same else found.variant
        version = wanted.os_version if wanted.os_version or not same else found.os_version
        return replace(config, platform=wanted._replace(variant=variant, os_version=version))


def _check_os(platform: Platform, base: From) -> None:
    if platform.os != _OS:
        location = (base.platform or base.image).location
        raise PlanError(f"only images for {_OS} are built, and this stage is for {platform}", location)


def _with_platform(config: ImageConfig, platform: Platform) -> ImageConfig:
    """Return a base's config; a config that doesn't say what it runs on is taken to run where it is wanted."""
    config = inherited_config(config)
    return config if config.platform.os and config.platform.architecture else replace(config, platform=platform)


def _contexts(steps: Iterable[Step[Op]]) -> tuple[str, ...]:
    """Return the names of the build contexts that steps read, in order of first use."""
    sources = (source for step in steps for source, _ in step.op.reads())
    return tuple(dict.fromkeys(source.name for source in sources if isinstance(source, ContextSource)))
