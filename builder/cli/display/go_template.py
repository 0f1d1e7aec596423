"""Go's templates as people write them for `inspect -f`: '{{.Id}}', '{{range .Config.Env}}{{println .}}{{end}}'.

In: a template and JSON values. Out: text. Understood (pkg.go.dev/text/template):

    {{.A.B}} {{$}} {{$x}}            members, with an error for one that isn't there
    {{json .A}} {{.A | json}}        functions, also behind a pipe: those of go_values.py
    {{range .A}} {{range $k, $v := .A}} … {{else}} … {{end}}       lists, and objects in the order of their keys
    {{if .A}} … {{else if .B}} … {{else}} … {{end}}
    {{- .A -}}                       takes the white space before and after

Anything else is an error, for whatever data. What an image config leaves out is an `Absent`, and prints as docker does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from builder.cli.display.go_values import FUNCTIONS, Absent, is_true, kind, shown
from builder.errors import UsageError, counted

_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?: (?P<string>"(?:[^"\\]|\\.)*") | (?P<raw>`[^`]*`) | (?P<variable>\$\w*) | (?P<field>\.\w*)
             | (?P<number>-?\d+)\b | (?P<word>[A-Za-z]\w*) | (?P<mark>:=|[(),|]) )""",
    re.VERBOSE,
)
_MAX_DEPTH = 50


class _Token(NamedTuple):
    kind: str
    text: str
    spaced: bool
    """Whether white space stands before it: `.A .B` is two operands, `.A.B` is one."""


_Scope = Mapping[str, Any]
"""Variables; `.` is the current value, `$` what the template was given."""
_Value = Callable[[_Scope], Any]
_Node = Callable[[_Scope], str]


def compile_template(template: str) -> Callable[[Any], str]:
    """Return what fills a template in. Raises UsageError, as what is returned does for a member that isn't there."""
    body = _Parser(template).parse()
    return lambda value: _filled(body, {".": value, "$": value})


def _filled(nodes: Sequence[_Node], scope: _Scope) -> str:
    return "".join(node(scope) for node in nodes)


class _Parser:
    def __init__(self, template: str) -> None:
        self._pieces = list(_pieces(template))
        self._depth = 0

    def parse(self) -> list[_Node]:
        body, end = self._body()
        if end:
            _fail(end, "stands without a range or an if")
        return body

    def _body(self) -> tuple[list[_Node], str]:
        """Read up to `end`, `else` or the end of the template; return that action, too."""
        nodes: list[_Node] = []
        while self._pieces:
            is_action, text = self._pieces.pop(0)
            word = text.split(None, 1)[0] if is_action and text.split() else ""
            if not is_action:
                nodes.append(lambda _, text=text: text)  # type: ignore[misc]  # mypy has no type for a default
            elif word in ("end", "else"):
                return nodes, text
            elif word in ("range", "if"):
                self._depth += 1
                if self._depth > _MAX_DEPTH:
                    _fail(text, "is nested too deeply")
                nodes.append(self._range(text) if word == "range" else self._if(text))
                self._depth -= 1
            else:
                value = _Expression(text).whole()
                nodes.append(lambda scope, value=value: shown(value(scope)))  # type: ignore[misc]
        return nodes, ""

    def _range(self, text: str) -> _Node:
        names, value = _Expression(text, skip="range").declared()
        body, end = self._body()
        otherwise: list[_Node] = []
        if end.split() == ["else"]:
            otherwise, end = self._body()
        _must_end(end, text)

        def node(scope: _Scope) -> str:
            items = list(_items(value(scope), text))
            if not items:
                return _filled(otherwise, scope)
            parts = []
            for key, item in items:
                values = (key, item) if len(names) == 2 else (item,)
                parts.append(_filled(body, {**scope, ".": item, **dict(zip(names, values))}))
            return "".join(parts)

        return node

    def _if(self, text: str) -> _Node:
        value = _Expression(text, skip="if").whole()
        body, end = self._body()
        otherwise: list[_Node] = []
        words = end.split(None, 2)
        if words[:2] == ["else", "if"]:
            otherwise, end = [self._if(end[end.index("if") :])], "end"
        elif words == ["else"]:
            otherwise, end = self._body()
        _must_end(end, text)
        return lambda scope: _filled(body if is_true(value(scope)) else otherwise, scope)


def _pieces(template: str) -> Iterator[tuple[bool, str]]:
    """Yield (is it an action, text)."""
    at, trim = 0, False
    for match in _ACTION.finditer(template):
        text = template[at : match.start()]
        text = text.lstrip() if trim else text
        yield False, text.rstrip() if match[1] else text
        yield True, match[2].strip()
        at, trim = match.end(), match[3] is not None
    rest = template[at:]
    if "{{" in rest:
        _fail(rest[rest.index("{{") + 2 :], "has no }}")
    yield False, rest.lstrip() if trim else rest


class _Expression:
    """One action: `f .A "b" | g`."""

    def __init__(self, text: str, *, skip: str = "") -> None:
        self._text = text
        self._tokens = self._read(text.removeprefix(skip))

    def _read(self, text: str) -> list[_Token]:
        tokens, at = [], 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                self._refuse(f"{text[at:].strip()[:20]!r} is not understood")
            found = match[match.lastgroup]
            tokens.append(_Token(match.lastgroup, found, match[0] != found))
            at = match.end()
        return tokens

    def whole(self) -> _Value:
        value = self._pipeline()
        if self._tokens:
            self._refuse(f"{self._tokens[0].text!r} is not understood there")
        return value

    def declared(self) -> tuple[list[str], _Value]:
        """Return the variables of `$k, $v := pipeline`, and its value."""
        names: list[str] = []
        if any(token.text == ":=" for token in self._tokens):
            while token := self._next():
                if token.kind != "variable" or len(names) == 2:
                    self._refuse("variables are declared as $value or $key, $value")
                names.append(token.text)
                mark = self._next()
                if mark is None or mark.text not in (":=", ","):
                    self._refuse("variables are declared as $value or $key, $value")
                if mark.text == ":=":
                    break
        return names, self.whole()

    def _pipeline(self) -> _Value:
        value = self._command(None)
        while self._tokens and self._tokens[0].text == "|":
            self._next()
            value = self._command(value)
        return value

    def _command(self, piped: _Value | None) -> _Value:
        first = self._tokens[0] if self._tokens else None
        if first is not None and first.kind == "word" and first.text in FUNCTIONS:
            self._next()
            arguments = [*self._operands(), *([piped] if piped else [])]
            return self._call(first.text, arguments)
        operands = list(self._operands())
        if len(operands) != 1 or piped is not None:
            self._refuse("one value, or a function and its values, is wanted" if operands else "it is empty")
        return operands[0]

    def _operands(self) -> Iterator[_Value]:
        while self._tokens and self._tokens[0].text not in ("|", ")"):
            token = self._next()
            assert token is not None
            yield self._members(self._operand(token))

    def _operand(self, token: _Token) -> _Value:
        text = token.text
        match token.kind:
            case "string":
                try:
                    constant = json.loads(text, strict=False)
                except ValueError:
                    self._refuse(f"{text} is not a text")
                return lambda _: constant
            case "raw":
                return lambda _: text[1:-1]
            case "number":
                return lambda _: int(text)
            case "field":
                return (lambda scope: scope["."]) if text == "." else self._member(lambda scope: scope["."], text[1:])
            case "variable":
                return lambda scope: self._variable(scope, text)
            case "word" if text in ("true", "false", "nil"):
                return lambda _: {"true": True, "false": False, "nil": None}[text]
            case "mark" if text == "(":
                value = self._pipeline()
                closing = self._next()
                if closing is None or closing.text != ")":
                    self._refuse("a ( has no )")
                return value
        raise _failure(
            self._text, f"the function {text!r} is not known" if token.kind == "word" else f"{text!r} is out of place"
        )

    def _members(self, value: _Value) -> _Value:
        while self._tokens and self._tokens[0].kind == "field" and not self._tokens[0].spaced:
            token = self._next()
            assert token is not None
            value = self._member(value, token.text[1:])
        return value

    def _member(self, value: _Value, name: str) -> _Value:
        def member(scope: _Scope) -> Any:
            parent = value(scope)
            if isinstance(parent, Mapping) and name in parent:
                return parent[name]
            known = ", ".join(f".{key}" for key in parent) if isinstance(parent, Mapping) else ""
            raise UsageError(
                f"--format: {{{{{self._text}}}}}: there is no .{name}",
                hint=f"There are {known}." if known else f"A {kind(parent)} has no members.",
            )

        return member

    def _variable(self, scope: _Scope, name: str) -> Any:
        if name not in scope:
            self._refuse(f"the variable {name} is not declared")
        return scope[name]

    def _call(self, name: str, arguments: Sequence[_Value]) -> _Value:
        function, least, most = FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            self._refuse(f"{name} takes {_count(least, most)}, and not {len(arguments)}")

        def call(scope: _Scope) -> Any:
            try:
                return function(*(argument(scope) for argument in arguments))
            except (TypeError, LookupError) as error:
                return self._refuse(f"{name}: {error.args[0] if error.args else error}")

        return call

    def _next(self) -> _Token | None:
        return self._tokens.pop(0) if self._tokens else None

    def _refuse(self, reason: str) -> NoReturn:
        _fail(self._text, reason)


def _fail(action: str, reason: str) -> NoReturn:
    raise _failure(action, reason)


def _failure(action: str, reason: str) -> UsageError:
    return UsageError(
        f"--format: {{{{{action}}}}}: {reason}",
        hint=f"Understood are {{{{.Field.Field}}}}, range, if, else, end, and {', '.join(FUNCTIONS)}.",
    )


def _must_end(end: str, text: str) -> None:
    if end.split() != ["end"]:
        _fail(text, "has no {{end}}")


def _count(least: int, most: int) -> str:
    values = counted(least, "value")
    return values if least == most else f"at least {values}"


def _items(value: Any, text: str) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from sorted(value.items())
    elif isinstance(value, list):
        yield from enumerate(value)
    elif value is not None and not isinstance(value, Absent):
        _fail(text, f"a {kind(value)} cannot be ranged over")
