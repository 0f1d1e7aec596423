"""The rules of the grammar → typed statements: what is left to check once the structure is known to be right.

Lark calls the function of a rule with all tokens of the instruction. The keyword's comes first and carries the
`Instruction`. What can't be accepted gives an error in the statement's place, so that the rest is read all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import TypeVar, cast

from builder.dockerfile import instructions as ast
from builder.dockerfile.arguments import Fault
from builder.dockerfile.fast_dataclass import maker_of
from builder.dockerfile.instructions import ExecForm, Flag, Heredoc, Instruction, ShellForm, Word
from builder.dockerfile.lexer import REPEATABLE, SWITCHES, NodeToken, split_location
from builder.dockerfile.mounts import check_mount
from builder.dockerfile.values import parse_duration
from builder.dockerfile.words import go_quote
from builder.errors import DockerfileSyntaxError

Tokens = Sequence[NodeToken]
Built = ast.From | ast.StageStatement | DockerfileSyntaxError
_Transfer = TypeVar("_Transfer", ast.Copy, ast.Add)

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*", re.ASCII)
_MINIMUM_INTERVAL_NS = 1_000_000
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")
_NOT_TRIGGERS = ("MAINTAINER", "FROM")
_WORDS = frozenset({"WORD", "TEXT", "STRING"})

_make_shell_form = maker_of(ShellForm)
_make_run = maker_of(ast.Run)
_make_copy = maker_of(ast.Copy)
_make_add = maker_of(ast.Add)
_make_env = maker_of(ast.Env)
_make_definition = maker_of(ast.ArgDefinition)


def _words(tokens: Tokens) -> tuple[Word, ...]:
    """Return the plain words, or the strings of the JSON form."""
    return cast("tuple[Word, ...]", tuple([token.node for token in tokens if token.type in _WORDS]))


def _heredocs(tokens: Tokens) -> tuple[Heredoc, ...]:
    return cast("tuple[Heredoc, ...]", tuple([token.node for token in tokens if token.type == "HEREDOC"]))


def _command(syntax: Instruction, tokens: Tokens) -> ast.Command:
    if syntax.json:
        return ExecForm(tuple([word.text for word in _words(tokens)]))
    for token in tokens:
        if token.type == "TEXT":
            return _make_shell_form(str(token.value))
    return _make_shell_form("")


def _from(syntax: Instruction, tokens: Tokens) -> ast.From:
    image, *alias = _words(tokens)
    name = alias[0].text.lower() if alias else ""
    if alias and not _STAGE_NAME.fullmatch(name):
        message = (
            f"invalid name for build stage: {go_quote(alias[0].text)}, "
            "name can't start with a number or contain symbols"
        )
        raise Fault(
            message, alias[0].location, "A name is a letter, then letters, digits, dots, hyphens and underscores."
        )
    platform = Flags(syntax).word("platform") if syntax.flags else None
    return ast.From(syntax=syntax, image=image, alias=name, platform=platform)


def _run(syntax: Instruction, tokens: Tokens) -> ast.Run:
    heredocs = syntax.heredocs
    command = _command(syntax, tokens)
    if not syntax.flags and not heredocs:
        return _make_run(syntax=syntax, command=command)
    flags = Flags(syntax)
    for mount in flags.words("mount"):
        check_mount(mount)
    word = syntax.arguments[0] if syntax.arguments else None
    whole = len(heredocs) == 1 and word is not None and word.location == heredocs[0].location
    return ast.Run(
        syntax=syntax,
        command=command,
        heredocs=heredocs,
        is_script=whole and isinstance(command, ShellForm),
        mounts=flags.words("mount"),
        network=_choice(flags.get("network"), _NETWORKS, "invalid network mode {}"),
        security=_choice(flags.get("security"), _SECURITIES, "security {} is not valid"),
        devices=flags.words("device"),
    )


def _choice(flag: Flag | None, choices: Sequence[str], message: str) -> str:
    if flag is None:
        return ""
    value = flag.value or ""
    if value not in choices:
        hint = f"--{flag.name} is one of {', '.join(choices)}."
        raise Fault(message.format(go_quote(value)), flag.location, hint)
    return value


def _transfer(
    make: Callable[..., _Transfer], syntax: Instruction, tokens: Tokens, own: Callable[[Flags], dict[str, object]]
) -> _Transfer:
    """Return the statement of COPY or ADD; `own` reads the flags that only one of them has."""
    flags = Flags(syntax)
    words, heredocs = _words(tokens), _heredocs(tokens)
    if len(words) + len(heredocs) < 2 or not words:
        message = (
            f"{syntax.keyword} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
        raise Fault(message, syntax.location, f"Write `{syntax.keyword} SOURCE… DESTINATION`.")
    if not syntax.flags:
        return make(syntax=syntax, sources=words[:-1], heredocs=heredocs, destination=words[-1])
    return make(
        syntax=syntax,
        sources=words[:-1],
        heredocs=heredocs,
        destination=words[-1],
        chown=flags.word("chown"),
        chmod=flags.word("chmod"),
        link=flags.switch("link") or False,
        exclude=flags.words("exclude"),
        **own(flags),
    )


def _flags_of_copy(flags: Flags) -> dict[str, object]:
    return {"source_stage": flags.word("from"), "parents": flags.switch("parents") or False}


def _flags_of_add(flags: Flags) -> dict[str, object]:
    return {
        "checksum": flags.word("checksum"),
        "keep_git_dir": flags.switch("keep-git-dir"),
        "unpack": flags.switch("unpack"),
    }


def _pairs(syntax: Instruction, tokens: Tokens) -> tuple[tuple[Word, Word], ...]:
    words = cast("list[Word]", [token.node for token in tokens[1:-1]])
    for name in words[::2]:
        if not name.text:
            raise Fault(f"{syntax.keyword} names can not be blank", name.location)
    return tuple(zip(words[::2], words[1::2], strict=True))


def _arg(syntax: Instruction, tokens: Tokens) -> ast.Arg:
    definitions: list[ast.ArgDefinition] = []
    for token, following in pairwise(tokens):
        if token.type == "NAME":
            name = cast(Word, token.node)
            if not name.text:
                raise Fault("ARG names can not be blank", name.location)
            default = cast(Word, following.node) if following.type == "VALUE" else None
            definitions.append(_make_definition(name.text, default, name.location))
    return ast.Arg(syntax=syntax, definitions=tuple(definitions))


def _shell(syntax: Instruction, tokens: Tokens) -> ast.Shell:
    return ast.Shell(syntax=syntax, arguments=tuple(word.text for word in _at_least_one(syntax, tokens)))


def _at_least_one(syntax: Instruction, tokens: Tokens) -> tuple[Word, ...]:
    words = _words(tokens)
    if not words:
        raise Fault(f"{syntax.keyword} requires at least one argument", syntax.location)
    return words


def _volume(syntax: Instruction, tokens: Tokens) -> ast.Volume:
    paths = _at_least_one(syntax, tokens)
    for path in paths:
        if not path.text.strip():
            raise Fault("VOLUME specified can not be an empty string", path.location)
    return ast.Volume(syntax=syntax, paths=paths)


def _healthcheck(syntax: Instruction, tokens: Tokens) -> ast.HealthcheckStatement:
    if tokens[-2].type == "NONE":
        return ast.HealthcheckStatement(syntax=syntax, command=None)
    flags = Flags(syntax)
    command = _command(syntax, tokens)
    if command in (ExecForm(()), ShellForm("")):
        raise Fault("Missing command after HEALTHCHECK CMD", syntax.location)
    return ast.HealthcheckStatement(
        syntax=syntax,
        command=command,
        interval=_interval(flags.get("interval")),
        timeout=_interval(flags.get("timeout")),
        start_period=_interval(flags.get("start-period")),
        start_interval=_interval(flags.get("start-interval")),
        retries=_retries(flags.get("retries")),
    )


def _interval(flag: Flag | None) -> int:
    if flag is None or not flag.value:
        return 0
    try:
        nanoseconds = parse_duration(flag.value)
    except ValueError as error:
        raise Fault(str(error), flag.location, "A duration is a number with a unit: 30s, 1m30s, 500ms.") from None
    if nanoseconds != 0 and nanoseconds < _MINIMUM_INTERVAL_NS:
        raise Fault(f'Interval "{flag.name}" cannot be less than 1ms', flag.location)
    return nanoseconds


def _retries(flag: Flag | None) -> int:
    if flag is None or not flag.value:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", flag.value, re.ASCII):
        message = f"strconv.ParseInt: parsing {go_quote(flag.value)}: invalid syntax"
        raise Fault(message, flag.location, "--retries is a number.")
    retries = int(flag.value)
    if retries < 0:
        raise Fault(f"--retries cannot be negative ({retries})", flag.location)
    return retries


def _onbuild(syntax: Instruction, tokens: Tokens) -> ast.OnBuild:
    inner = tokens[1]
    keyword = inner.upper()
    if keyword == "ONBUILD":
        raise Fault("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", inner.location)
    if keyword in _NOT_TRIGGERS:
        raise Fault(f"{keyword} isn't allowed as an ONBUILD trigger", inner.location)
    text = re.sub(r"^\s*ONBUILD\s*", "", syntax.text, count=1, flags=re.IGNORECASE)
    bodies = "".join(f"\n{heredoc.written}{heredoc.name}" for heredoc in _heredocs(tokens))
    return ast.OnBuild(syntax=syntax, trigger=text + bodies)


_BUILDERS: dict[str, Callable[[Instruction, Tokens], ast.From | ast.StageStatement]] = {
    "from": _from,
    "run": _run,
    "copy": lambda syntax, tokens: _transfer(_make_copy, syntax, tokens, _flags_of_copy),
    "add": lambda syntax, tokens: _transfer(_make_add, syntax, tokens, _flags_of_add),
    "workdir": lambda syntax, tokens: ast.Workdir(syntax=syntax, path=_words(tokens)[0]),
    "env": lambda syntax, tokens: _make_env(syntax=syntax, pairs=_pairs(syntax, tokens), legacy=syntax.legacy),
    "label": lambda syntax, tokens: ast.Label(syntax=syntax, pairs=_pairs(syntax, tokens), legacy=syntax.legacy),
    "arg": _arg,
    "cmd": lambda syntax, tokens: ast.Cmd(syntax=syntax, command=_command(syntax, tokens)),
    "entrypoint": lambda syntax, tokens: ast.Entrypoint(syntax=syntax, command=_command(syntax, tokens)),
    "shell": _shell,
    "user": lambda syntax, tokens: ast.User(syntax=syntax, user=_words(tokens)[0]),
    "expose": lambda syntax, tokens: ast.Expose(syntax=syntax, ports=_words(tokens)),
    "volume": _volume,
    "stopsignal": lambda syntax, tokens: ast.StopSignal(syntax=syntax, signal=_words(tokens)[0]),
    "maintainer": lambda syntax, tokens: ast.Maintainer(syntax=syntax, name=_words(tokens)[0].text),
    "healthcheck": _healthcheck,
    "onbuild": _onbuild,
}


def _rule(build: Callable[[Instruction, Tokens], ast.From | ast.StageStatement]) -> Callable[[Tokens], Built]:
    def statement_or_error(tokens: Tokens) -> Built:
        try:
            return build(cast(Instruction, tokens[0].node), tokens)
        except Fault as fault:
            return fault.error
        except DockerfileSyntaxError as error:
            return error

    return statement_or_error


RULES = SimpleNamespace(**{name: _rule(build) for name, build in _BUILDERS.items()})
"""What Lark calls a transformer: the function of each rule, by its name."""


class Flags:
    """Access to the flags by name; that the instruction knows them is the grammar's business. Raises Fault."""

    def __init__(self, instruction: Instruction) -> None:
        self._flags: dict[str, list[Flag]] = {}
        for flag in instruction.flags:
            earlier = self._flags.setdefault(flag.name, [])
            if earlier and flag.name not in REPEATABLE:
                raise Fault(f"duplicate flag specified: --{flag.name}", flag.location)
            if flag.value is None and flag.name not in SWITCHES:
                hint = f"Write --{flag.name}=value, without a blank."
                raise Fault(f"missing a value on flag: --{flag.name}", flag.location, hint)
            earlier.append(flag)

    def words(self, name: str) -> tuple[Word, ...]:
        """Return the values of a flag that may be repeated."""
        return tuple(_value(flag) for flag in self._flags.get(name, ()))

    def word(self, name: str) -> Word | None:
        """Return the value of a flag, or None when it is absent. An empty value counts as absent, as in BuildKit."""
        flags = self._flags.get(name)
        return _value(flags[0]) if flags and flags[0].value else None

    def get(self, name: str) -> Flag | None:
        """Return the flag itself, or None."""
        flags = self._flags.get(name)
        return flags[0] if flags else None

    def switch(self, name: str) -> bool | None:
        """Return a boolean flag, or None when it is absent."""
        flag = self.get(name)
        if flag is None:
            return None
        if flag.value == "":
            raise Fault(f"missing a value on flag: --{name}", flag.location)
        if flag.value is None or flag.value.lower() == "true":
            return True
        if flag.value.lower() == "false":
            return False
        message = f"expecting boolean value for flag --{name}, not: {flag.value}"
        raise Fault(message, flag.location, "Write true or false.")


def _value(flag: Flag) -> Word:
    prefix = len(flag.name) + len("--=")
    return Word(flag.value or "", split_location(flag.location, prefix, prefix)[1])
