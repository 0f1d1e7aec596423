"""The steps of an image, for builder.explain.model: of the record of its build, or of its history alone.

With a record the Dockerfile is read again, so that instructions that only edit the config have their lines, too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from builder.dockerfile.instructions import Instruction
from builder.dockerfile.reader import KEYWORDS, read_source
from builder.engine.build_record import BuildRecord, RecordedStep, steps_below
from builder.engine.result import ImageReport, StepReport
from builder.explain.model import ExplainedStep
from builder.oci.config import History

_TITLE = re.compile(r"\[(?:.* )?(\d+)/\d+\] (.*)", re.DOTALL)
_SHELL = re.compile(r"(?:\|\d+ .*?)?/bin/sh -c (?P<nop>#\(nop\)\s+)?(?P<rest>.*)", re.DOTALL)
_KEYWORD = re.compile(r"[A-Z]+")
_FROM = re.compile(r"(?:--|[=,])from=([^\s,]+)", re.IGNORECASE)
_MAKERS = ("RUN", "COPY", "ADD", "WORKDIR")


class StepOfStack(NamedTuple):
    """A step, and what it brings: the layer of `diff_id`, or those of a base image."""

    step: ExplainedStep
    diff_id: str = ""
    is_base: bool = False
    same_as: int | None = None
    """The step whose layers it shares: what two stages do alike is done once."""


def steps_of_record(record: BuildRecord, report: ImageReport, seconds: Mapping[str, float]) -> list[StepOfStack]:
    """Return the steps of a recorded build, stage by stage; `seconds` has the times of steps by their keys."""
    recorded = record.steps_for(report.platform)
    reports = {step.step: step for step in report.steps}
    in_image = set(steps_below(recorded, dict(record.results).get(report.platform)))
    stages = _stages(record)
    rows = list(_rows(record, stages, recorded, reports))
    at = {row.made: number for number, row in enumerate(rows) if row.made is not None}
    chain = _chain(stages, record.target)
    # An instruction that makes no layer stands on what the one before it in its stage stands on.
    found: list[StepOfStack] = []
    last: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for number, row in enumerate(rows):
        if row.made is not None:
            step = _made(row, recorded[row.made], reports[row.made], at, seconds, is_in_image=row.made in in_image)
            found.append(StepOfStack(step, reports[row.made].layer, row.instruction == "FROM"))
        else:
            # `FROM build AS test` makes nothing itself: it goes on where that stage has ended.
            parent = last.get(row.base if row.instruction == "FROM" else row.stage)
            step = ExplainedStep(
                0, row.stage, row.instruction, row.text, row.line, row.last_line,
                parent=parent, in_image=row.stage in chain,
            )  # fmt: skip
            if row.shared is not None:
                below = recorded[row.shared].parent
                step = step._replace(
                    number=numbers.get(row.stage, 0) + 1, key=reports[row.shared].key,
                    cache="base" if row.instruction == "FROM" else "", parent=None if below is None else at.get(below),
                )  # fmt: skip
            found.append(StepOfStack(step, same_as=None if row.shared is None else at.get(row.shared)))
        if row.made is None or reports[row.made].stage:
            last[row.stage] = number
            numbers[row.stage] = max(found[-1].step.number, numbers.get(row.stage, 0))
    return found


class _Row(NamedTuple):
    stage: str
    instruction: str
    text: str
    line: int
    last_line: int
    made: int | None = None
    """The step that it is, recorded at its line."""
    shared: int | None = None
    """The step that it is, recorded at the line of an instruction of another stage that does the same."""
    base: str = ""
    """Of a FROM, the stage that it goes on with."""


def _made(
    row: _Row,
    recorded: RecordedStep,
    report: StepReport,
    at: Mapping[int, int],
    seconds: Mapping[str, float],
    *,
    is_in_image: bool,
) -> ExplainedStep:
    title = _TITLE.fullmatch(report.title)
    return ExplainedStep(
        int(title[1]) if title else 0,
        row.stage,
        row.instruction,
        row.text,
        row.line,
        row.last_line,
        parent=None if recorded.parent is None else at.get(recorded.parent),
        reads=tuple(at[read] for read in recorded.reads if read in at),
        in_image=is_in_image,
        cache="base" if row.instruction == "FROM" else "hit" if report.cached else "ran",
        reason=report.reason,
        key=report.key,
        seconds=seconds.get(report.key) if report.cached else report.seconds,
    )


def _rows(
    record: BuildRecord,
    stages: Mapping[str, _Stage],
    recorded: Mapping[int, RecordedStep],
    reports: Mapping[int, StepReport],
) -> Iterator[_Row]:
    """Yield a row for each instruction of the stages that were built, in the order of the file."""
    by_line: dict[int, list[int]] = defaultdict(list)
    for step in recorded.values():
        by_line[step.line if step.file == record.dockerfile[0] else 0].append(step.step)
    texts = {each.location.line: each.text for stage in stages.values() for each in stage.instructions}
    named = {report.stage for report in reports.values()} | {record.target}
    built = {needed for name in named for needed in _needed(stages, name)}
    loads: dict[str, tuple[int | None, int | None]] = {}
    for instruction in (stage.instructions[0] for stage in stages.values()):
        if here := [step for step in by_line.get(instruction.location.line, []) if reports[step].stage]:
            loads[_image_of(instruction)] = here[-1], here[0]
    shown: set[int] = set()
    tips: dict[str, int | None] = {}
    for name, stage in stages.items():
        for instruction in stage.instructions if name in built else ():
            line, last_line = instruction.location.line, max(instruction.location.line, instruction.location.end_line)
            here = by_line.get(line, [])
            for made in here:  # ONBUILD instructions of a base stand at the line of its FROM
                shown.add(made)
                yield _Row(name, *_words(reports[made].title), line, last_line, made=made)
            own = [made for made in here if reports[made].stage]
            shared = None
            if own:
                tips[name] = own[-1]
            elif instruction.keyword == "FROM":
                tips[name], shared = tips.get(stage.base), None
                if stage.base not in stages and stage.base != "scratch":
                    tips[name], shared = loads.get(_image_of(instruction)) or _loaded(name, recorded, reports)
            elif instruction.keyword in _MAKERS:
                shared = _alike(instruction, tips.get(name), recorded, reports, texts)
                tips[name] = tips.get(name) if shared is None else shared
            if not own:
                text = " ".join(instruction.text.split())
                yield _Row(name, instruction.keyword, text, line, last_line, shared=shared, base=stage.base)
    for step in recorded.values():
        if step.step not in shown:
            report = reports[step.step]
            yield _Row(report.stage, *_words(report.title), step.line, step.last_line, made=step.step)


def _image_of(instruction: Instruction) -> str:
    """Return what a FROM says of the image, without the name that it gives to the stage."""
    return re.split(r"\s+as\s+", " ".join(instruction.text.split()), maxsplit=1, flags=re.IGNORECASE)[0]


def _loaded(
    name: str, recorded: Mapping[int, RecordedStep], reports: Mapping[int, StepReport]
) -> tuple[int | None, int | None]:
    """Return where the FROM of a stage ends, triggers of its image included, and the step that loads the image: both
    are recorded for another stage from the same one.
    """
    for step in (each.step for each in recorded.values() if reports[each.step].stage == name):
        way = set(steps_below(recorded, step))
        own = {each for each in way if reports[each].stage == name}
        root = min(way)
        if not reports[root].layer:
            triggers = [each for each in way - own if reports[each].title.partition("] ")[2].startswith("ONBUILD ")]
            return max([root, *triggers]), root
    return None, None


def _alike(
    instruction: Instruction,
    tip: int | None,
    recorded: Mapping[int, RecordedStep],
    reports: Mapping[int, StepReport],
    texts: Mapping[int, str],
) -> int | None:
    """Return the step that does what an instruction without one of its own does: on the same file system, the same."""
    children = [
        each for each in recorded.values()
        if each.parent == tip and _words(reports[each.step].title)[0] == instruction.keyword
    ]  # fmt: skip
    said = _normalized(instruction.text)
    same = [
        each.step for each in children
        if said in (_normalized(texts.get(each.line, "")), _normalized(_words(reports[each.step].title)[1]))
    ]  # fmt: skip
    return same[0] if same else children[0].step if len(children) == 1 and instruction.keyword != "WORKDIR" else None


def _normalized(text: str) -> str:
    keyword, _, rest = " ".join(text.split()).partition(" ")
    return f"{keyword.upper()} {rest}"


class _Stage(NamedTuple):
    base: str
    """The image word of its FROM, as names of stages are compared."""
    instructions: tuple[Instruction, ...]
    """Its FROM and what follows."""


def _stages(record: BuildRecord) -> dict[str, _Stage]:
    """Return the stages of the Dockerfile by name. The grammar has judged the file already."""
    name, text = record.dockerfile
    found: dict[str, _Stage] = {}
    stage = ""
    for instruction in read_source(text, name).instructions:
        if instruction.keyword == "FROM":
            words = [word.text for word in instruction.arguments]
            stage = words[2].lower() if len(words) == 3 and words[1].upper() == "AS" else f"stage-{len(found)}"
            found[stage] = _Stage(words[0].lower() if words else "", (instruction,))
        elif found:
            found[stage] = found[stage]._replace(instructions=(*found[stage].instructions, instruction))
    return found


def _chain(stages: Mapping[str, _Stage], name: str) -> set[str]:
    """Return the stages that a stage stands on, and itself."""
    found: set[str] = set()
    while name in stages and name not in found:
        found.add(name)
        name = stages[name].base
    return found


def _needed(stages: Mapping[str, _Stage], name: str) -> set[str]:
    """Return the stages that a stage needs, by FROM and by what it copies from or mounts, and itself."""
    found: set[str] = set()
    names = list(stages)
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in stages and name not in found:
            found.add(name)
            waiting.append(stages[name].base)
            for instruction in stages[name].instructions:
                words = [word.lower() for word in _FROM.findall(instruction.text)]
                waiting += [names[int(word)] if word.isdecimal() and int(word) < len(names) else word for word in words]
    return found


def _words(title: str) -> tuple[str, str]:
    """Return instruction and text of a title."""
    found = _TITLE.fullmatch(title)
    text = found[2] if found else title
    return text.partition(" ")[0], text


def steps_of_history(history: Sequence[History], layers: int) -> tuple[list[StepOfStack], tuple[str, ...]]:
    """Return a step for each record of a history, and what does not fit; a layer without one has a step of its own.

    `diff_id` is filled in by position: whoever has the layers takes one for each step that is no empty_layer.
    """
    problems: list[str] = []
    found: list[StepOfStack] = []
    made = 0
    for record in history:
        has_layer = not record.empty_layer and made < layers
        if not record.empty_layer and not has_layer:
            problems.append(f"its history tells of more layers than there are: {record.created_by[:60]!r} has none")
        made += has_layer
        instruction, text = instruction_of(record.created_by)
        step = ExplainedStep(
            0 if not has_layer else made, "", instruction, text, comment=record.comment, created=record.created,
            parent=len(found) - 1 if found else None,
        )  # fmt: skip
        found.append(StepOfStack(step, "layer" if has_layer else ""))
    if made < layers and history:
        problems.append(f"its history tells of {made} layers, and there are {layers}")
    for number in range(made, layers):
        step = ExplainedStep(number + 1, "", "", "", parent=len(found) - 1 if found else None)
        found.append(StepOfStack(step, "layer"))
    return found, tuple(problems)


def instruction_of(created_by: str) -> tuple[str, str]:
    """Return the instruction that a history record tells of, and its text; "" where it does not say.

    Docker's classic builder wrote `/bin/sh -c #(nop) CMD …`, BuildKit writes `RUN /bin/sh -c … # buildkit`.
    """
    text = " ".join(created_by.removesuffix(" # buildkit").removesuffix(" # pybuild").split())
    shell = _SHELL.fullmatch(text)
    if shell is not None:
        rest = shell["rest"].strip()
        if not shell["nop"]:
            return "RUN", f"RUN {rest}"
        text = rest
    word = _KEYWORD.match(text)
    if word is None or word[0] not in KEYWORDS:
        return "", text
    return word[0], text
