"""The grammar's trees → typed statements: what is left to check once the structure is known to be right.

Each function takes the children of one rule. The keyword's token comes first and carries the `Instruction`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from builder.dockerfile import instructions as ast
from builder.dockerfile.arguments import Fault
from builder.dockerfile.durations import parse_duration
from builder.dockerfile.flags import Flags
from builder.dockerfile.instructions import ExecForm, Flag, Heredoc, Instruction, ShellForm, Word
from builder.dockerfile.lexer import NodeToken
from builder.dockerfile.mounts import check_mount
from builder.dockerfile.words import go_quote

if TYPE_CHECKING:
    from lark import Tree

    Branch = Tree[NodeToken]
    Child = NodeToken | Branch

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*", re.ASCII)
_MINIMUM_INTERVAL_NS = 1_000_000
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")
_NOT_TRIGGERS = ("MAINTAINER", "FROM")
_T = TypeVar("_T")


def build_statement(branch: Branch) -> ast.From | ast.StageStatement:
    """Turn the tree of one instruction into its statement. Raises Fault or DockerfileSyntaxError."""
    children = branch.children
    return _BUILDERS[str(branch.data)](_syntax(children), children[1:])


def _syntax(children: Sequence[Child]) -> Instruction:
    return _node(children[0], Instruction)


def _node(child: Child, kind: type[_T]) -> _T:
    node = child.node if isinstance(child, NodeToken) else None
    assert isinstance(node, kind)
    return node


def _tokens(children: Sequence[Child], *kinds: str) -> list[NodeToken]:
    return [child for child in children if isinstance(child, NodeToken) and child.type in kinds]


def _branches(children: Sequence[Child], rule: str) -> list[Branch]:
    return [child for child in children if not isinstance(child, NodeToken) and child.data == rule]


def _words(children: Sequence[Child]) -> tuple[Word, ...]:
    """Return the plain words, or the strings of the JSON form."""
    for child in children:
        if not isinstance(child, NodeToken) and child.data == "exec":
            return tuple([_node(token, Word) for token in _tokens(child.children, "STRING")])
    return tuple([_node(token, Word) for token in _tokens(children, "WORD", "TEXT")])


def _heredocs(children: Sequence[Child]) -> tuple[Heredoc, ...]:
    return tuple([_node(token, Heredoc) for token in _tokens(children, "HEREDOC")])


def _command(syntax: Instruction, children: Sequence[Child]) -> ast.Command:
    words = _words(children)
    if syntax.json:
        return ExecForm(tuple(word.text for word in words))
    return ShellForm(words[0].text if words else "")


def _from(syntax: Instruction, children: Sequence[Child]) -> ast.From:
    image, *alias = _words(children)
    name = alias[0].text.lower() if alias else ""
    if alias and not _STAGE_NAME.fullmatch(name):
        message = (
            f"invalid name for build stage: {go_quote(alias[0].text)}, "
            "name can't start with a number or contain symbols"
        )
        raise Fault(message, alias[0].location, "a name is a letter, then letters, digits, - _ and .")
    return ast.From(syntax=syntax, image=image, alias=name, platform=Flags(syntax).word("platform"))


def _run(syntax: Instruction, children: Sequence[Child]) -> ast.Run:
    heredocs = syntax.heredocs
    command = _command(syntax, children)
    if not syntax.flags and not heredocs:
        return ast.Run(syntax=syntax, command=command)
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
        hint = f"--{flag.name} is one of {', '.join(choices)}"
        raise Fault(message.format(go_quote(value)), flag.location, hint)
    return value


def _places(syntax: Instruction, children: Sequence[Child]) -> tuple[tuple[Word, ...], tuple[Heredoc, ...], Word]:
    """Return sources, heredoc sources and destination of COPY or ADD."""
    sources = _branches(children, "source")
    if sources:
        children = [*(leaf for source in sources for leaf in source.children), *_tokens(children, "WORD")]
    words = _words(children)
    if len(words) + len(sources) < 2 or not words:
        message = (
            f"{syntax.keyword} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
        raise Fault(message, syntax.location, f"write {syntax.keyword} SOURCE… DESTINATION")
    return words[:-1], _heredocs(children), words[-1]


def _copy(syntax: Instruction, children: Sequence[Child]) -> ast.Copy:
    flags = Flags(syntax)
    sources, heredocs, destination = _places(syntax, children)
    return ast.Copy(
        syntax=syntax,
        sources=sources,
        heredocs=heredocs,
        destination=destination,
        chown=flags.word("chown"),
        chmod=flags.word("chmod"),
        link=flags.switch("link") or False,
        exclude=flags.words("exclude"),
        source_stage=flags.word("from"),
        parents=flags.switch("parents") or False,
    )


def _add(syntax: Instruction, children: Sequence[Child]) -> ast.Add:
    flags = Flags(syntax)
    sources, heredocs, destination = _places(syntax, children)
    return ast.Add(
        syntax=syntax,
        sources=sources,
        heredocs=heredocs,
        destination=destination,
        chown=flags.word("chown"),
        chmod=flags.word("chmod"),
        link=flags.switch("link") or False,
        exclude=flags.words("exclude"),
        checksum=flags.word("checksum"),
        keep_git_dir=flags.switch("keep-git-dir"),
        unpack=flags.switch("unpack"),
    )


def _pairs(syntax: Instruction, children: Sequence[Child]) -> tuple[tuple[Word, Word], ...]:
    branches = _branches(children, "pair") or _branches(children, "legacy_pair")
    pairs = tuple([(_node(branch.children[0], Word), _node(branch.children[1], Word)) for branch in branches])
    for name, _ in pairs:
        if not name.text:
            raise Fault(f"{syntax.keyword} names can not be blank", name.location)
    return pairs


def _arg(syntax: Instruction, children: Sequence[Child]) -> ast.Arg:
    definitions: list[ast.ArgDefinition] = []
    for branch in _branches(children, "definition"):
        name, *value = [_node(child, Word) for child in branch.children]
        if not name.text:
            raise Fault("ARG names can not be blank", name.location)
        definitions.append(ast.ArgDefinition(name.text, value[0] if value else None, name.location))
    return ast.Arg(syntax=syntax, definitions=tuple(definitions))


def _shell(syntax: Instruction, children: Sequence[Child]) -> ast.Shell:
    return ast.Shell(syntax=syntax, arguments=tuple(word.text for word in _at_least_one(syntax, children)))


def _at_least_one(syntax: Instruction, children: Sequence[Child]) -> tuple[Word, ...]:
    words = _words(children)
    if not words:
        raise Fault(f"{syntax.keyword} requires at least one argument", syntax.location)
    return words


def _volume(syntax: Instruction, children: Sequence[Child]) -> ast.Volume:
    paths = _at_least_one(syntax, children)
    for path in paths:
        if not path.text.strip():
            raise Fault("VOLUME specified can not be an empty string", path.location)
    return ast.Volume(syntax=syntax, paths=paths)


def _healthcheck(syntax: Instruction, children: Sequence[Child]) -> ast.HealthcheckStatement:
    if _tokens(children, "NONE"):
        return ast.HealthcheckStatement(syntax=syntax, command=None)
    flags = Flags(syntax)
    command = _command(syntax, children)
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
        raise Fault(str(error), flag.location, "a duration is a number with a unit: 30s, 1m30s, 500ms") from None
    if nanoseconds != 0 and nanoseconds < _MINIMUM_INTERVAL_NS:
        raise Fault(f'Interval "{flag.name}" cannot be less than 1ms', flag.location)
    return nanoseconds


def _retries(flag: Flag | None) -> int:
    if flag is None or not flag.value:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", flag.value, re.ASCII):
        message = f"strconv.ParseInt: parsing {go_quote(flag.value)}: invalid syntax"
        raise Fault(message, flag.location, "--retries is a number")
    retries = int(flag.value)
    if retries < 0:
        raise Fault(f"--retries cannot be negative ({retries})", flag.location)
    return retries


def _onbuild(syntax: Instruction, children: Sequence[Child]) -> ast.OnBuild:
    inner = children[0]
    assert isinstance(inner, NodeToken)
    keyword = inner.upper()
    if keyword == "ONBUILD":
        raise Fault("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", inner.location)
    if keyword in _NOT_TRIGGERS:
        raise Fault(f"{keyword} isn't allowed as an ONBUILD trigger", inner.location)
    text = re.sub(r"^\s*ONBUILD\s*", "", syntax.text, count=1, flags=re.IGNORECASE)
    bodies = "".join(f"\n{heredoc.written}{heredoc.name}" for heredoc in _heredocs(children))
    return ast.OnBuild(syntax=syntax, trigger=text + bodies)


_BUILDERS: dict[str, Callable[[Instruction, Sequence[Child]], ast.From | ast.StageStatement]] = {
    "from": _from,
    "run": _run,
    "copy": _copy,
    "add": _add,
    "workdir": lambda syntax, children: ast.Workdir(syntax=syntax, path=_words(children)[0]),
    "env": lambda syntax, children: ast.Env(syntax=syntax, pairs=_pairs(syntax, children), legacy=syntax.legacy),
    "label": lambda syntax, children: ast.Label(syntax=syntax, pairs=_pairs(syntax, children), legacy=syntax.legacy),
    "arg": _arg,
    "cmd": lambda syntax, children: ast.Cmd(syntax=syntax, command=_command(syntax, children)),
    "entrypoint": lambda syntax, children: ast.Entrypoint(syntax=syntax, command=_command(syntax, children)),
    "shell": _shell,
    "user": lambda syntax, children: ast.User(syntax=syntax, user=_words(children)[0]),
    "expose": lambda syntax, children: ast.Expose(syntax=syntax, ports=_words(children)),
    "volume": _volume,
    "stopsignal": lambda syntax, children: ast.StopSignal(syntax=syntax, signal=_words(children)[0]),
    "maintainer": lambda syntax, children: ast.Maintainer(syntax=syntax, name=_words(children)[0].text),
    "healthcheck": _healthcheck,
    "onbuild": _onbuild,
}
