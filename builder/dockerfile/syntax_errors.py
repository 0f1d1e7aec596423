"""A token the grammar did not expect → the error a user understands, in BuildKit's words."""

from __future__ import annotations

from builder.dockerfile.arrays import array_fault
from builder.dockerfile.instructions import Flag, Instruction
from builder.dockerfile.lexer import FLAG_NAMES, NodeToken
from builder.errors import DockerfileSyntaxError
from builder.suggest import did_you_mean

_EXACTLY_ONE = frozenset({"WORKDIR", "USER", "STOPSIGNAL", "MAINTAINER"})
_PATHS = frozenset({"COPY", "ADD"})
_FORMS = {
    "FROM": "FROM [--platform=P] IMAGE [AS NAME]",
    "COPY": "COPY [flags] SOURCE… DESTINATION",
    "ADD": "ADD [flags] SOURCE… DESTINATION",
    "WORKDIR": "WORKDIR PATH",
    "ENV": "ENV NAME=VALUE…",
    "LABEL": "LABEL NAME=VALUE…",
    "ARG": "ARG NAME[=DEFAULT]…",
    "SHELL": 'SHELL ["program", "argument"…]',
    "USER": "USER NAME[:GROUP]",
    "EXPOSE": "EXPOSE PORT[/PROTOCOL]…",
    "VOLUME": "VOLUME PATH…",
    "STOPSIGNAL": "STOPSIGNAL SIGNAL",
    "MAINTAINER": "MAINTAINER NAME",
    "HEALTHCHECK": "HEALTHCHECK [flags] CMD COMMAND`, or `HEALTHCHECK NONE",
    "ONBUILD": "ONBUILD INSTRUCTION",
}


def unexpected(instruction: Instruction, token: NodeToken, accepted: set[str]) -> DockerfileSyntaxError:
    """Return the error for `token`, at which the grammar would have `accepted` these token names."""
    keyword = instruction.keyword
    if token.node is instruction and token.type == keyword:
        return DockerfileSyntaxError(
            "no build stage in current context",
            instruction.location,
            hint="Only ARG may stand before the first FROM.",
        )
    if isinstance(token.node, Flag):
        return _unknown_flag(keyword, token.node, accepted)
    message, hint = _structure(instruction, token)
    return DockerfileSyntaxError(message, token.location, hint=hint or f"Write `{_FORMS.get(keyword, keyword)}`.")


def unexpected_trigger(instruction: Instruction, token: NodeToken, accepted: set[str]) -> DockerfileSyntaxError:
    """Return the error for a token of an ONBUILD trigger."""
    if token.type == instruction.keyword:
        message = f"{instruction.keyword} isn't allowed as an ONBUILD trigger"
        return DockerfileSyntaxError(message, instruction.location)
    return unexpected(instruction, token, accepted)


def _unknown_flag(keyword: str, flag: Flag, accepted: set[str]) -> DockerfileSyntaxError:
    known = sorted(FLAG_NAMES[token] for token in accepted if token in FLAG_NAMES)
    message = f"unknown flag: --{flag.name}{did_you_mean(flag.name, known)}"
    flags = ", ".join(f"--{name}" for name in known)
    hint = (
        f"{keyword} takes {flags}."
        if known
        else f"{keyword} takes no flags; put -- before arguments that begin with --."
    )
    return DockerfileSyntaxError(message, flag.location, hint=hint)


def _structure(instruction: Instruction, token: NodeToken) -> tuple[str, str]:
    keyword = instruction.keyword
    if keyword == "FROM":
        return "FROM requires either one or three arguments", ""
    if keyword in _PATHS:
        if token.type == "END" and len(instruction.arguments) > 1:
            return f"{keyword} cannot accept a heredoc as a destination", ""
        return (
            f"{keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
        ), ""
    if keyword == "HEALTHCHECK" and instruction.arguments:
        return _healthcheck(instruction)
    if keyword == "SHELL" and token.type == "TEXT":
        fault = array_fault(str(token)) if token.startswith("[") else ""
        return "SHELL requires the arguments to be in JSON form", f"This is no JSON array: {fault}." if fault else ""
    number = "exactly one argument" if keyword in _EXACTLY_ONE else "at least one argument"
    return f"{keyword} requires {number}", ""


def _healthcheck(instruction: Instruction) -> tuple[str, str]:
    kind = instruction.arguments[0].text.upper()
    if kind == "NONE":
        return "HEALTHCHECK NONE takes no arguments", ""
    if kind == "CMD":
        return "Missing command after HEALTHCHECK CMD", ""
    return f'Unknown type "{kind}" in HEALTHCHECK (try CMD)', ""
