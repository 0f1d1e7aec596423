"""Dockerfile text → AST, by the grammar. The door of the room; syntax.py is the one for the syntax alone.

    parse_dockerfile   the whole file, every statement checked; what the planner reads
    parse_partially    what of a file with faults is none
    parse_trigger      one ONBUILD trigger, when it fires

One run reports every error of the file: the first is raised, the rest are its `others`. BuildKit's command line puts
`dockerfile parse error on line N: ` before most of these messages; that is the display's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from lark import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from builder.dockerfile.directives import detect_syntax, is_foreign
from builder.dockerfile.grammar import Branch, load_dockerfile_grammar
from builder.dockerfile.instructions import Arg, Dockerfile, From, Instruction, Stage, StageStatement, Word
from builder.dockerfile.lexer import NodeToken, TokenStream
from builder.dockerfile.lines import decode
from builder.dockerfile.reader import MAX_FAULTS, Source, read_source
from builder.dockerfile.source import printable
from builder.dockerfile.statements import Built
from builder.dockerfile.syntax import collector_paused, raise_first, read_instructions, tidy
from builder.dockerfile.syntax_errors import unexpected, unexpected_trigger
from builder.errors import DockerfileSyntaxError, Location


def parse_dockerfile(text: bytes | str, file: str = "Dockerfile") -> Dockerfile:
    """Parse a whole Dockerfile. Raises DockerfileSyntaxError."""
    dockerfile, faults = parse_partially(text, file)
    if faults and is_foreign(frontend := detect_syntax(dockerfile.text)):
        reason = f"The file asks for the frontend {printable(frontend)}, which is not run."
        faults[0].hint = f"{faults[0].hint} {reason}".strip()
    raise_first(faults)
    return dockerfile


def parse_partially(text: bytes | str, file: str = "Dockerfile") -> tuple[Dockerfile, list[DockerfileSyntaxError]]:
    """Parse what can be parsed, for checks of a file with faults. Raises only when there is no instruction at all."""
    decoded = decode(text)
    with collector_paused():
        source = read_instructions(decoded, file)
        global_args, stages = _parse_stages(source)
    dockerfile = Dockerfile(
        file=file,
        text=decoded,
        directives=source.directives,
        escape=source.escape,
        instructions=tuple(source.instructions),
        global_args=tuple(global_args),
        stages=tuple(stages),
        warnings=tuple(source.warnings),
    )
    return dockerfile, tidy(source.faults)


def parse_trigger(text: str, location: Location) -> StageStatement:
    """Parse an ONBUILD trigger; `location` is where its ONBUILD stands, or the FROM that brings it. Raises."""
    source = read_source(text, location.file, first_line=location.line, escape="\\")
    if not source.faults and len(source.instructions) != 1:
        raise DockerfileSyntaxError("an ONBUILD trigger must be a single instruction", location)
    tree = _parse(source, "trigger") if not source.faults else None
    statements = _without_faults(tree.children, source) if tree else []
    for fault in source.faults:
        fault.location = location
    raise_first(source.faults)
    return cast(StageStatement, statements[0])


def _parse(source: Source, start: str) -> Branch | None:
    """Run the grammar over the file; faults go to `source`, and the instructions they are in are left out."""
    tokens = TokenStream(source.directives, source.instructions)
    lark = load_dockerfile_grammar()
    try:
        return cast(Branch, lark.parse(cast(str, tokens), start=start))
    except UnexpectedToken as error:
        failure = error
    while True:
        instruction = tokens.instruction
        if failure.token.type == "$END" or instruction is None:
            _report_no_stage(source)
            return None
        if start == "trigger":
            source.faults.append(unexpected_trigger(instruction, failure.token, failure.accepts))
            return None
        if failure.token.type != instruction.keyword:
            source.faults.append(unexpected(instruction, failure.token, failure.accepts))
            tokens.skip()
        else:
            # It stands before any FROM. When that one is there but could not be read, this is no fault of its own.
            if not source.faults:
                source.faults.append(unexpected(instruction, failure.token, set()))
            tokens.repeat()
        if len(source.faults) >= MAX_FAULTS:
            return None
        _recover(failure.interactive_parser, instruction)
        try:
            return cast(Branch, failure.interactive_parser.resume_parse())  # type: ignore[no-untyped-call]  # Lark's
        except UnexpectedToken as error:
            failure = error


def _report_no_stage(source: Source) -> None:
    if not source.faults:
        line = max(1, source.last_line)
        message = "dockerfile contains no stages to build"
        hint = "Add FROM scratch, or FROM an image."
        source.faults.append(DockerfileSyntaxError(message, Location(source.file, line, 1, line, 1), hint=hint))


def _recover(interactive: InteractiveParser, instruction: Instruction) -> None:
    """Drop a half-read instruction from the parser's stack, and open a stage when there is none that was read."""
    state = interactive.parser_state
    actions = state.parse_conf.parse_table.states
    while len(state.state_stack) > 1 and "FROM" not in actions[state.state_stack[-1]]:
        state.state_stack.pop()
        state.value_stack.pop()
    if instruction.keyword == "FROM" or "RUN" not in actions[state.state_stack[-1]]:
        place = instruction.location
        stand_in = Instruction(keyword="FROM", location=place)
        interactive.feed_token(NodeToken.of("FROM", "", stand_in, place))
        interactive.feed_token(NodeToken.of("WORD", "", Word("scratch", place), place))
        interactive.feed_token(NodeToken.of("END", "", stand_in, place))


def _parse_stages(source: Source) -> tuple[list[Arg], list[Stage]]:
    tree = _parse(source, "dockerfile")
    global_args: list[Arg] = []
    stages: list[Stage] = []
    for child in tree.children if tree else ():
        if isinstance(child, Arg | DockerfileSyntaxError):
            global_args += cast("list[Arg]", _without_faults([child], source))
        else:
            stages.extend(_stage(len(stages), child.children, source))
    return global_args, stages


def _stage(index: int, built: list[Built], source: Source) -> Iterable[Stage]:
    statements = _without_faults(built, source)
    if isinstance(built[0], From):
        yield Stage(index=index, base=built[0], statements=cast("tuple[StageStatement, ...]", tuple(statements[1:])))


def _without_faults(built: list[Built], source: Source) -> list[From | StageStatement]:
    statements = []
    for each in built:
        if isinstance(each, DockerfileSyntaxError):
            source.faults.append(each)
        else:
            statements.append(each)
    return statements
