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
from builder.engine.build_record import BuildRecord, RecordedStep
from builder.engine.result import ImageReport, StepReport
from builder.explain.model import ExplainedStep
from builder.oci.config import History

_TITLE = re.compile(r"\[(?:.* )?(\d+)/\d+\] (.*)", re.DOTALL)
_SHELL = re.compile(r"(?:\|\d+ .*?)?/bin/sh -c (?P<nop>#\(nop\)\s+)?(?P<rest>.*)", re.DOTALL)
_KEYWORD = re.compile(r"[A-Z]+")


class StepOfStack(NamedTuple):
    """A step, and what it brings: the layer of `diff_id`, or those of a base image."""

    step: ExplainedStep
    diff_id: str = ""
    is_base: bool = False
    same_as: int | None = None
    """The step whose layers it shares: two stages FROM one image load it once."""


def steps_of_record(record: BuildRecord, report: ImageReport, seconds: Mapping[str, float]) -> list[StepOfStack]:
    """Return the steps of a recorded build, stage by stage; `seconds` has the times of steps by their keys."""
    recorded = [step for step in record.steps if step.platform == report.platform]
    reports = {step.step: step for step in report.steps}
    in_image = _ancestors(recorded, dict(record.results).get(report.platform))
    rows = list(_rows(record, recorded, reports))
    at = {row.recorded.step: number for number, row in enumerate(rows) if row.recorded is not None}
    # An instruction that makes no layer stands on what the one before it in its stage stands on.
    found: list[StepOfStack] = []
    last: dict[str, int] = {}
    bases = _bases(recorded, reports)
    image_stages = {reports[step].stage for step in in_image if step in reports} | {record.target}
    for number, row in enumerate(rows):
        if row.recorded is None or row.report is None:
            # `FROM build AS test` makes nothing itself: it goes on where that stage has ended.
            parent = last.get(_base(row.text) if row.instruction == "FROM" else row.stage)
            step = ExplainedStep(
                0, row.stage, row.instruction, row.text, row.line, row.last_line,
                parent=parent, in_image=row.stage in image_stages,
            )  # fmt: skip
            same_as = at.get(bases.get(row.stage, -1)) if row.instruction == "FROM" and parent is None else None
            if same_as is not None:
                step = step._replace(number=1, cache="base")
            found.append(StepOfStack(step, same_as=same_as))
        else:
            found.append(_made(row, row.recorded, row.report, at, seconds, is_in_image=row.recorded.step in in_image))
        last[row.stage] = number
    return found


def _bases(recorded: Sequence[RecordedStep], reports: Mapping[int, StepReport]) -> dict[str, int]:
    """Return for each stage the step that loads its image, which may be recorded for another stage."""
    parents = {step.step: step.parent for step in recorded}
    found: dict[str, int] = {}
    for step in recorded:
        below = parents[step.step]
        if below is not None and parents.get(below) is None and not reports[below].layer:
            found.setdefault(reports[step.step].stage, below)
    return found


class _Row(NamedTuple):
    stage: str
    instruction: str
    text: str
    line: int
    last_line: int
    recorded: RecordedStep | None = None
    report: StepReport | None = None


def _made(
    row: _Row,
    recorded: RecordedStep,
    report: StepReport,
    at: Mapping[int, int],
    seconds: Mapping[str, float],
    *,
    is_in_image: bool,
) -> StepOfStack:
    title = _TITLE.fullmatch(report.title)
    is_base = row.instruction == "FROM"
    step = ExplainedStep(
        int(title[1]) if title else recorded.step + 1,
        row.stage,
        row.instruction,
        row.text,
        row.line,
        row.last_line,
        parent=None if recorded.parent is None else at.get(recorded.parent),
        reads=tuple(at[read] for read in recorded.reads if read in at),
        in_image=is_in_image,
        cache="base" if is_base else "hit" if report.cached else "ran",
        reason=report.reason,
        key=report.key,
        seconds=seconds.get(report.key) if report.cached else report.seconds,
    )
    return StepOfStack(step, report.layer, is_base)


def _rows(record: BuildRecord, recorded: Sequence[RecordedStep], reports: Mapping[int, StepReport]) -> Iterator[_Row]:
    """Yield a row for each instruction of the stages that were built, in the order of the file."""
    by_line: dict[int, list[RecordedStep]] = defaultdict(list)
    for step in recorded:
        by_line[step.line if step.file == record.dockerfile[0] else 0].append(step)
    built = {report.stage for report in reports.values()} | {record.target}
    shown: set[int] = set()
    for stage, instruction in _instructions(record):
        location = instruction.location
        here = by_line.get(location.line, [])
        for step in here:  # ONBUILD instructions of a base stand at the line of its FROM
            report = reports[step.step]
            shown.add(step.step)
            yield _Row(
                report.stage, *_words(report.title), location.line, max(location.line, location.end_line), step, report
            )
        if not here and stage in built:
            text = " ".join(instruction.text.split())
            last_line = max(location.line, location.end_line)
            yield _Row(stage, instruction.keyword, text, location.line, last_line)
    for step in recorded:
        if step.step not in shown:
            report = reports[step.step]
            yield _Row(report.stage, *_words(report.title), step.line, step.last_line, step, report)


def _instructions(record: BuildRecord) -> Iterator[tuple[str, Instruction]]:
    """Yield stage and instruction of all that follows the first FROM. The grammar has judged the file already."""
    name, text = record.dockerfile
    stage, number = "", -1
    for instruction in read_source(text, name).instructions:
        if instruction.keyword == "FROM":
            number += 1
            words = [word.text for word in instruction.arguments]
            stage = words[2].lower() if len(words) == 3 and words[1].upper() == "AS" else f"stage-{number}"
        if number >= 0:
            yield stage, instruction


def _base(text: str) -> str:
    """Return the image word of a FROM, as names of stages are compared."""
    return next((word.lower() for word in text.split()[1:] if not word.startswith("--")), "")


def _words(title: str) -> tuple[str, str]:
    """Return instruction and text of a title."""
    found = _TITLE.fullmatch(title)
    text = found[2] if found else title
    return text.partition(" ")[0], text


def _ancestors(recorded: Sequence[RecordedStep], result: int | None) -> set[int]:
    parents = {step.step: step.parent for step in recorded}
    found: set[int] = set()
    while result is not None and result not in found:
        found.add(result)
        result = parents.get(result)
    return found


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
    text = " ".join(created_by.removesuffix(" # buildkit").split())
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
