"""The stages of a file: what each one is FROM, what the names in it mean, which one is the target (S-*, N-*).

A reference reaches only stages that stand before it, so the graph has no cycles by construction; what would be one is
refused with BuildKit's words. All stages are checked here, reachable or not; images are only named, never contacted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from builder.dockerfile.instructions import Copy, Dockerfile, Run, Stage, Word
from builder.dockerfile.mount_fields import read_fields
from builder.errors import Location, PlanError, ReferenceFormatError, SourceError
from builder.oci.platform import Platform, parse_platform
from builder.oci.reference import split_short_name
from builder.plan.inputs import SCRATCH, ImageInput, Input, NamedContexts, NoInput, StageInput, image_input
from builder.plan.options import PlanOptions
from builder.plan.scope import Expander, Scope
from builder.suggest import did_you_mean, nearest

_INDEX_DIGITS = 20
"""More than any number of stages has: Python refuses to read a number of thousands of digits."""


class StageGraph:
    """The stages of one file and how they refer to each other."""

    def __init__(self, dockerfile: Dockerfile, options: PlanOptions, scope: Scope, expander: Expander) -> None:
        self.stages = dockerfile.stages
        self._contexts = NamedContexts(options.named_contexts)
        self._target_platform = options.platform
        self._meant = options.meant
        self.short_names: dict[str, str] = {}
        """Image names without a registry, and what each was taken for."""
        self._scope, self._expander = scope, expander
        if not self.stages:
            raise PlanError("dockerfile contains no stages to build", Location(dockerfile.file, 1))
        self._named: dict[str, list[int]] = {}
        for stage in self.stages:
            self._named.setdefault(stage.name, []).append(stage.index)
        self._platforms = [self._platform(stage) for stage in self.stages]
        # Of all stages: a fault in one that is not built is a fault of the file (S-7), and costs no look-up.
        self.bases = [self._base(stage) for stage in self.stages]
        self._check_references()

    def name(self, index: int) -> str:
        """Return what displays call a stage."""
        return self.stages[index].name or f"stage-{index}"

    def platform(self, index: int) -> Platform:
        return self._platforms[index] or self._target_platform

    def target(self, wanted: str) -> int:
        """Return the stage to build: by name, whatever its case, or by index; the last without a name (S-6)."""
        if not wanted:
            return len(self.stages) - 1
        # A name before a number: a stage's name cannot begin with a digit (S-1), so no number hides one.
        found = self._last_named(wanted.lower(), len(self.stages))
        if (
            found is None
            and wanted.isascii()
            and wanted.isdecimal()
            and len(wanted) < _INDEX_DIGITS
            and int(wanted) < len(self.stages)
        ):
            return int(wanted)
        if found is None:
            names = [stage.name for stage in self.stages if stage.name]
            hint = f"The stages are {', '.join(names)}." if names else "No stage of this file has a name."
            suggestion = did_you_mean(wanted, names)
            raise PlanError(f'target stage "{wanted}" could not be found{suggestion}', hint=hint)
        return found

    def is_selected(self, index: int, names: tuple[str, ...]) -> bool:
        """Say whether `names` (of --no-cache-filter) hold this stage."""
        return str(index) in names or self.name(index) in {name.lower() for name in names}

    def find(self, name: str, index: int, word: Word, *, mount_target: str = "") -> Input:
        """Return what `name` means in `COPY --from=` or a mount's `from=` of stage `index` (S-4, M-8)."""
        found = self._stage(name, index)
        if found is not None and found >= len(self.stages):
            hint = f"The stages are numbered from 0 to {len(self.stages) - 1}."
            raise PlanError(f"invalid stage index {name}", word.location, hint=hint)
        if found is None:
            return self._contexts.find(name, self._target_platform) or self._image(name, word.location)
        # Before it is refused for standing below: what a context replaces needs nothing of it (N-5).
        if self.stages[found].name and (context := self._replacement(found)):
            return context
        if found >= index:
            self._refuse_later(name, found, index, word, mount_target)
        return StageInput(found)

    def suggestion(self, name: str) -> str:
        """Return the stage that an image name may be a misspelling of."""
        return nearest(name, [stage.name for stage in self.stages if stage.name])

    def _stage(self, name: str, index: int) -> int | None:
        """Return the stage that stage `index` calls `name`: the last of that name before it, else one after it."""
        if name.isascii() and name.isdecimal():
            # Ten digits are more than any file has stages; of thousands Python refuses to make a number.
            return min(int(name[:10]), len(self.stages))
        found = self._last_named(name.lower(), index)
        return self._last_named(name.lower(), len(self.stages)) if found is None else found

    def _last_named(self, name: str, before: int) -> int | None:
        """Return the last stage of that name among the first `before` ones (S-5)."""
        indexes = self._named.get(name, []) if name else []
        position = bisect_left(indexes, before)
        return indexes[position - 1] if position else None

    def _replacement(self, index: int) -> Input | None:
        return self._contexts.find(self.stages[index].name, self.platform(index))

    def _base(self, stage: Stage) -> Input:
        """Return what a stage is FROM; a named context of the stage's own name replaces all of it (N-5)."""
        image = stage.base.image
        name = self._expander.word(image, self._scope)
        if not name:
            hint = f"{image.text} expands to nothing: give ARG a default before the first FROM, or pass --build-arg."
            raise PlanError(f"base name ({image.text}) should not be blank", image.location, hint=hint)
        if stage.name and (context := self._contexts.find(stage.name, self.platform(stage.index))):
            return context
        earlier = self._last_named(name, stage.index)
        if earlier is None and name != name.lower():
            # No image has upper case in its name, so a stage in another case can only be meant.
            earlier = self._last_named(name.lower(), stage.index)
        if earlier is not None:
            return StageInput(earlier)
        if name == SCRATCH:
            return NoInput()
        image_input(name, image.location)  # what is replaced has to be a name, too
        found = self._contexts.find(name, self.platform(stage.index))
        return found or self._image(name, image.location)

    def _image(self, name: str, location: Location) -> Input:
        found = image_input(name, location, self._meant)
        if isinstance(found, ImageInput) and split_short_name(name)[0]:
            self.short_names[name] = found.reference
        return found

    def is_replaced(self, index: int) -> bool:
        """Say whether a named context stands in for the stage: its instructions aren't carried out."""
        return bool(self.stages[index].name) and self._replacement(index) is not None

    def _platform(self, stage: Stage) -> Platform | None:
        word = stage.base.platform
        if word is None:
            return None
        expansion = self._expander.expansion(word, self._scope)
        suggestions = [near for name in expansion.missing if (near := nearest(name, self._scope.names()))]
        suggestion = f" (did you mean {suggestions[0]}?)" if suggestions else ""
        if not expansion.text:
            raise PlanError(f"empty platform value from expression {word.text}{suggestion}", word.location)
        try:
            return parse_platform(expansion.text)
        except ReferenceFormatError as error:
            message = f"failed to parse platform {word.text}: {error.message}{suggestion}"
            raise PlanError(message, word.location, hint=error.hint) from error

    def _check_references(self) -> None:
        """Check stage numbers and cycles in all stages, as far as they are written without variables (S-7, S-9)."""
        edges: list[list[int]] = [[] for _ in self.stages]
        for stage in self.stages:
            for name, word in references(stage):
                found = self._stage(name, stage.index)
                # A number beyond the file: `find` raises, in its own words.
                if found == len(self.stages):
                    self.find(name, stage.index, word)
                elif found is not None and not self.is_replaced(found):
                    # What a context replaces needs nothing, and so closes no circle (N-5).
                    edges[stage.index].append(found)
        if cycle := _find_cycle(edges):
            stage = self.stages[cycle[0]]
            names = " → ".join(self.name(index) for index in (*cycle, cycle[0]))
            message = f"circular dependency detected on stage: {self.name(cycle[0])}"
            raise PlanError(message, stage.base.location, hint=f"Each needs the result of the next: {names}.")

    def _refuse_later(self, name: str, found: int, index: int, word: Word, mount_target: str) -> None:
        """Raise the error for a reference to this stage or a later one."""
        if found == index:
            hint = f"Stage {self.name(index)} would need its own result."
            raise PlanError(f"circular dependency detected on stage: {self.name(index)}", word.location, hint=hint)
        line = self.stages[found].base.location.line
        hint = f"Stage {self.name(found)} begins in line {line}: move it before stage {self.name(index)}."
        if mount_target:
            message = f'cannot mount from stage "{name}" to "{mount_target}"'
            raise PlanError(f"{message}, stage needs to be defined before current command", word.location, hint=hint)
        message = f'cannot copy from stage "{name}", it needs to be defined before current stage "{self.name(index)}"'
        raise PlanError(message, word.location, hint=hint)


def _find_cycle(edges: list[list[int]]) -> list[int]:
    """Return the nodes of a cycle in order, or nothing. Depth first, without recursion."""
    done: set[int] = set()
    for start in range(len(edges)):
        path: list[tuple[int, Iterator[int]]] = [] if start in done else [(start, iter(edges[start]))]
        on_path = {start}
        while path:
            node, targets = path[-1]
            target = next(targets, None)
            if target is None:
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif target in on_path:
                nodes = [step for step, _ in path]
                return nodes[nodes.index(target) :]
            elif target not in done:
                path.append((target, iter(edges[target])))
                on_path.add(target)
    return []


def references(stage: Stage) -> Iterator[tuple[str, Word]]:
    """Yield the names in `--from=` and `from=` of a stage that hold no variables, in lower case."""
    for statement in stage.statements:
        if isinstance(statement, Copy) and statement.source_stage and "$" not in statement.source_stage.text:
            yield statement.source_stage.text.lower(), statement.source_stage
        elif isinstance(statement, Run):
            for word in statement.mounts:
                if "from=" in word.text.lower() and (origin := _origin(word)):
                    yield origin.lower(), word


def _origin(word: Word) -> str:
    try:
        return read_fields(word.text, word.location, None).origin
    except SourceError:
        # A mount that can't be read is reported when the statement is carried out.
        return ""
