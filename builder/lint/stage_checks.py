"""Checks of the statements of one stage, walked in order with the variables that are set at each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from builder.dockerfile import instructions as ast
from builder.dockerfile.instructions import Instruction, ShellForm, StageStatement, Word
from builder.dockerfile.ports import PROTOCOLS
from builder.dockerfile.words import WordError, expand_words, go_quote
from builder.errors import Location
from builder.lint import rules
from builder.lint.finding import Report
from builder.lint.scope import NEVER_JUDGED, Scope, define
from builder.suggest import did_you_mean

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NO_SECRET = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_ONCE = (ast.Cmd, ast.Entrypoint, ast.HealthcheckStatement)


class StageChecks:
    """Walks one stage; `scope` is changed as the statements are."""

    def __init__(
        self, scope: Scope, escape: str, build_args: Mapping[str, str], globals_: Mapping[str, str], report: Report
    ) -> None:
        self.scope = scope
        self._escape = escape
        self._build_args = build_args
        self._globals = globals_
        self._report = report
        self._last: dict[type, Instruction] = {}

    def check(self, statement: StageStatement) -> None:
        """Check the next statement and carry out what it does to the variables."""
        self._check_variables(statement)
        self._check_statement(statement)

    def _check_statement(self, statement: StageStatement) -> None:
        if isinstance(statement, _ONCE):
            self._check_once(statement)
        if isinstance(statement, ast.Cmd | ast.Entrypoint):
            self._check_form(statement)
        elif isinstance(statement, ast.Env | ast.Label):
            self._check_pairs(statement)
        elif isinstance(statement, ast.Arg):
            for definition in statement.definitions:
                self._check_secret(definition.name, statement.syntax, definition.location)
            define(self.scope, statement, self._escape, self._build_args, self._globals)
        elif isinstance(statement, ast.Workdir):
            self._check_workdir(statement)
        elif isinstance(statement, ast.Expose):
            self._check_ports(statement)
        elif isinstance(statement, ast.Shell):
            self.scope.has_shell = True

    def _check_variables(self, statement: StageStatement) -> None:
        if not self.scope.known:
            return
        reported: set[str] = set()
        for word, is_body in _expanded_words(statement):
            expansion = self.scope.expand(word.text, self._escape, is_body=is_body)
            # A fall-back is no excuse: BuildKit names what is not set also where something stands in for it.
            for name in expansion.unset if expansion else ():
                if name in self.scope.declared or name in NEVER_JUDGED or name in reported:
                    continue
                reported.add(name)
                near = did_you_mean(name, self.scope.values).replace("mean ", "mean $")
                message = f"Usage of undefined variable '${name}'{near}"
                self._report.add(rules.UNDEFINED_VAR, message, statement.syntax, word.location)

    def _check_once(self, statement: ast.Cmd | ast.Entrypoint | ast.HealthcheckStatement) -> None:
        earlier = self._last.get(type(statement))
        self._last[type(statement)] = statement.syntax
        if earlier is not None:
            message = (
                f"Multiple {statement.syntax.written_keyword} instructions should not be used in the same stage "
                "because only the last one will be used"
            )
            self._report.add(rules.MULTIPLE_INSTRUCTIONS_DISALLOWED, message, earlier)

    def _check_form(self, statement: ast.Cmd | ast.Entrypoint) -> None:
        if isinstance(statement.command, ShellForm) and not self.scope.has_shell:
            message = (
                f"JSON arguments recommended for {statement.syntax.written_keyword} to prevent unintended behavior "
                "related to OS signals"
            )
            self._report.add(rules.JSON_ARGS_RECOMMENDED, message, statement.syntax)

    def _check_pairs(self, statement: ast.Env | ast.Label) -> None:
        syntax = statement.syntax
        if statement.legacy:
            keyword = syntax.written_keyword
            message = f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" format'
            self._report.add(rules.LEGACY_KEY_VALUE_FORMAT, message, syntax)
        if isinstance(statement, ast.Label):
            return
        values: dict[str, str] = {}
        for name, value in statement.pairs:
            key, text = self._text(name), self._text(value)
            self._check_secret(key, syntax, name.location)
            values[key] = text
        self.scope.values |= values  # all at once: `ENV a=1 b=$a` reads the old a

    def _text(self, word: Word) -> str:
        expansion = self.scope.expand(word.text, self._escape)
        return expansion.text if expansion else ""

    def _check_secret(self, name: str, syntax: Instruction, location: Location) -> None:
        if _SECRET.search(name) and not _NO_SECRET.search(name):
            message = f"Do not use ARG or ENV instructions for sensitive data ({syntax.keyword} {go_quote(name)})"
            self._report.add(rules.SECRETS_USED_IN_ARG_OR_ENV, message, syntax, location)

    def _check_workdir(self, statement: ast.Workdir) -> None:
        path = self._text(statement.path)
        if not self.scope.has_workdir and not path.startswith("/"):
            message = f"Relative workdir {go_quote(path)} can have unexpected results if the base image changes"
            self._report.add(rules.WORKDIR_RELATIVE_PATH, message, statement.syntax, statement.path.location)
        self.scope.has_workdir = True

    def _check_ports(self, statement: ast.Expose) -> None:
        for word in statement.ports:
            try:
                ports = expand_words(word.text, self.scope.values.get, escape=self._escape)
            except WordError:
                continue
            for port in ports:
                self._check_port(port, statement.syntax, word.location)

    def _check_port(self, port: str, syntax: Instruction, location: Location) -> None:
        protocol = port.rpartition(":")[2].partition("/")[2]
        if protocol != protocol.lower() and protocol.lower() in PROTOCOLS:
            message = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
            self._report.add(rules.EXPOSE_PROTO_CASING, message, syntax, location)
        if ":" in port:
            message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
            self._report.add(rules.EXPOSE_INVALID_FORMAT, message, syntax, location)


def _expanded_words(statement: StageStatement) -> Iterator[tuple[Word, bool]]:
    """Yield what is expanded when the statement is carried out, and whether it is the body of a heredoc."""
    if isinstance(statement, ast.Copy | ast.Add):
        for heredoc in statement.heredocs:
            if heredoc.expand:
                yield Word(heredoc.content, heredoc.location), True
    for word in _words(statement):
        if word is not None:
            yield word, False


def _words(statement: StageStatement) -> Iterable[Word | None]:
    match statement:
        case ast.Copy() | ast.Add():
            checksum = statement.checksum if isinstance(statement, ast.Add) else None
            return *statement.sources, statement.destination, statement.chown, statement.chmod, checksum
        case ast.Env() | ast.Label():
            return [word for pair in statement.pairs for word in pair]
        case ast.Arg():
            return [definition.default for definition in statement.definitions]
        case ast.Run():
            return statement.mounts
        case ast.Workdir():
            return (statement.path,)
        case ast.User():
            return (statement.user,)
        case ast.Volume():
            return statement.paths
        case ast.StopSignal():
            return (statement.signal,)
        case _:
            return ()
