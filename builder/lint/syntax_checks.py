"""Checks of single instructions as they are written: casing, legacy forms, comments that describe."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import dropwhile

from builder.dockerfile.instructions import Dockerfile, Instruction
from builder.lint import rules
from builder.lint.finding import Report

_FROM_WITH_NAME = 3
_WITHOUT_FLAGS = ("ARG", "STOPSIGNAL")


def check_syntax(dockerfile: Dockerfile, report: Report) -> None:
    """Run the checks that need no stages and no variables."""
    check_instructions(dockerfile, dockerfile.instructions, report)
    _check_casing(dockerfile, report)


def check_instructions(dockerfile: Dockerfile, instructions: Iterable[Instruction], report: Report) -> None:
    """Check some instructions, each for itself, and the lines of the whole file."""
    for instruction in instructions:
        if instruction.keyword == "FROM":
            _check_from(instruction, report)
        elif instruction.keyword == "MAINTAINER":
            message = "Maintainer instruction is deprecated in favor of using label"
            report.add(rules.MAINTAINER_DEPRECATED, message, instruction)
        _check_description(instruction, report)
        _check_ignored_flags(instruction, report)
    _check_continuations(dockerfile, report)


def _check_from(instruction: Instruction, report: Report) -> None:
    if len(instruction.arguments) != _FROM_WITH_NAME:
        return
    _, separator, name = instruction.arguments
    if name.text != name.text.lower():
        message = f"Stage name '{name.text}' should be lowercase"
        report.add(rules.STAGE_NAME_CASING, message, instruction, name.location)
    keyword = instruction.written_keyword
    # A keyword of mixed case is reported by itself; there is nothing to match then.
    wanted = {keyword.upper(): separator.text.upper(), keyword.lower(): separator.text.lower()}.get(keyword)
    if wanted is not None and separator.text != wanted:
        message = f"'{separator.text}' and '{keyword}' keywords' casing do not match"
        report.add(rules.FROM_AS_CASING, message, instruction, separator.location)


def _check_description(instruction: Instruction, report: Report) -> None:
    names = list(_defined_names(instruction))
    if not names or not instruction.comments or instruction.comments[-1].split(" ")[0] in names:
        return
    example = names[0] if len(names) == 1 else "<arg_key>"
    message = f"Comment for {instruction.keyword} should follow the format: `# {example} <description>`"
    report.add(rules.INVALID_DEFINITION_DESCRIPTION, message, instruction)


def _defined_names(instruction: Instruction) -> Iterator[str]:
    if instruction.keyword == "FROM" and len(instruction.arguments) == _FROM_WITH_NAME:
        yield instruction.arguments[2].text.lower()
    elif instruction.keyword == "ARG":
        for word in instruction.arguments:
            yield word.text.partition("=")[0]


def _check_ignored_flags(instruction: Instruction, report: Report) -> None:
    none = instruction.keyword == "HEALTHCHECK" and instruction.arguments[:1] and not instruction.arguments[1:]
    if instruction.keyword in _WITHOUT_FLAGS or (none and instruction.arguments[0].text.upper() == "NONE"):
        for flag in instruction.flags:
            message = f"{instruction.keyword} ignores the flag --{flag.name}"
            report.add(rules.IGNORED_FLAGS, message, instruction, flag.location)


def _check_continuations(dockerfile: Dockerfile, report: Report) -> None:
    starts = [instruction.location.line for instruction in dockerfile.instructions]
    for message, location in dockerfile.warnings if starts else ():
        instruction = dockerfile.instructions[max(0, bisect_right(starts, location.line) - 1)]
        report.add(rules.NO_EMPTY_CONTINUATION, message, instruction, location, span=location)


def _check_casing(dockerfile: Dockerfile, report: Report) -> None:
    """Every keyword should be cased as most are; upper case wins a tie. Global ARGs neither count nor are judged."""
    in_stages = list(dropwhile(lambda instruction: instruction.keyword != "FROM", dockerfile.instructions))
    keywords = [instruction.written_keyword for instruction in in_stages]
    lower = sum(keyword == keyword.lower() for keyword in keywords)
    upper = sum(keyword == keyword.upper() for keyword in keywords)
    majority = "lowercase" if lower > upper else "uppercase"
    for instruction in in_stages:
        keyword = instruction.written_keyword
        if keyword != (keyword.lower() if majority == "lowercase" else keyword.upper()):
            message = f"Command '{keyword}' should match the case of the command majority ({majority})"
            report.add(rules.CONSISTENT_INSTRUCTION_CASING, message, instruction, instruction.keyword_location)
