"""The door: picks the verb, shows errors, turns them into exit codes. The only place that ends the process."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from builder.cli.arguments import build_parser, parse_build_arguments
from builder.cli.process import Terminated, end_now, prepare_process
from builder.errors import PybuildError, StepFailed, UsageError

VERBS = {
    "build": "build",
    "images": "images", "history": "images", "tag": "images", "rmi": "images",
    "pull": "transfers", "push": "transfers", "search": "transfers", "login": "transfers", "logout": "transfers",
    "copy": "copying", "save": "copying", "load": "copying", "inspect": "copying",
    "run": "run", "create": "run",
    **dict.fromkeys(("start", "ps", "rm", "diff", "commit"), "containers"),
    **dict.fromkeys(("cp", "export", "mount"), "container_files"),
    "prune": "prune",
    "info": "info", "version": "version",
    "parse": "parse", "pin": "pin",
    "plan": "plan",
    "context": "context",
}  # fmt: skip
"""Verb → module of cli/verbs that has its `<verb>_command` and `<verb>_parser`. By name, so that only the one that is
used is imported: a cached build must not pay for the others. `build` and `check` get their arguments parsed, the others
their words.
"""

_GROUPS = {
    "container": {
        **{name: name for name in ("run", "create", "start", "ps", "rm", "diff", "commit", "cp", "export", "mount")},
        "ls": "ps", "list": "ps",
        "inspect": "container_inspect", "prune": "container_prune",
    },
}  # fmt: skip
"""Docker's groups: group → word after it → verb. `pybuild container ls` is `pybuild ps`."""
_IN_GROUPS = {"container_inspect": "containers", "container_prune": "containers"}
"""Verbs that are reached by their group alone, as `VERBS` has the others."""

_NO_DAEMON = "Containers run in the foreground, and end with their 'pybuild run' or 'pybuild start'."
_ELSEWHERE = {
    "logs": "The output of a container goes to the terminal: 'pybuild run … 2>&1 | tee FILE' keeps it.",
    "exec": "'pybuild mount CONTAINER -- COMMAND' looks into its files; 'pybuild start -ai' runs it again.",
    "attach": _NO_DAEMON,
    "stop": f"{_NO_DAEMON} Ctrl-C, a signal to that, or 'pybuild rm -f' ends one.",
    "kill": f"{_NO_DAEMON} Ctrl-C, a signal to that, or 'pybuild rm -f' ends one.",
    "restart": f"{_NO_DAEMON} 'pybuild start -ai' runs one again.",
    **dict.fromkeys(("pause", "unpause", "top", "stats", "wait"), f"{_NO_DAEMON} ps, kill and wait of the shell do."),
    **dict.fromkeys(("port", "network", "volume", "compose"), "Use podman or docker."),
}
"""Commands of docker that are none here, and what to do instead. A folder of such a name is a context all the same."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run pybuild with `argv` (default: the process's); return the exit code."""
    if argv is None:
        prepare_process()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        _check_words(words)
        code = _dispatch(words)
        sys.stdout.flush()  # here, where a reader that has gone is an answer and not a complaint at exit
        return code
    except PybuildError as error:
        return _report(error)
    except KeyboardInterrupt as error:
        return _interrupted(error)
    except BrokenPipeError:
        return _reader_gone()
    except OSError as error:
        _drop_output()
        return _report(_from_os_error(error))
    except RecursionError:
        return _report(PybuildError("the input is nested too deeply"))
    except Exception as error:
        if os.environ.get("PYBUILD_DEBUG"):
            raise
        return _report(_from_mistake(error))


def _check_words(words: Sequence[str]) -> None:
    """Refuse what no path and no argument can hold. The system gives no such words; a program that calls us may."""
    for word in words:
        if not _can_be_argument(word):
            raise UsageError(f"the argument {word[:80]!a} holds a character that no argument can hold")


def _can_be_argument(word: str) -> bool:
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


def _interrupted(error: KeyboardInterrupt) -> int:
    if isinstance(error, Terminated):
        end_now(error.exit_code)
    with suppress(OSError):  # the terminal may be what has gone
        print("pybuild: interrupted", file=sys.stderr)
    return 130


def _drop_output() -> None:
    """Throw away what cannot be written: at exit Python would try again, and complain in its own words."""
    try:
        sys.stdout.flush()
    except OSError:
        _send_nowhere(1)


def _reader_gone() -> int:
    """Go on without a reader of our output: Python would complain again at exit. Return the exit code."""
    _send_nowhere(*(number for number in (1, 2) if not os.isatty(number)))
    return 1


def _send_nowhere(*numbers: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    for number in numbers:
        with suppress(OSError):
            os.dup2(null, number)
    os.close(null)


def _dispatch(words: list[str]) -> int:
    root, rest = _leading_root(words)
    verb = _in_group(rest) if rest and rest[0] in _GROUPS else rest[0] if rest and rest[0] in VERBS else ""
    if verb and verb != "build":
        command: Callable[[list[str]], int] = _command(VERBS.get(verb) or _IN_GROUPS[verb], verb)
        return command(root + rest[2 if rest[0] in _GROUPS else 1 :])
    if rest and rest[0] in _ELSEWHERE and not os.path.exists(rest[0]):
        raise UsageError(f"there is no 'pybuild {rest[0]}'", hint=_ELSEWHERE[rest[0]])
    return _build(root + rest[1:] if verb else words)


def _build(words: list[str]) -> int:
    """Do what is asked without a verb, or as `build`. --help and --version end in the parser: they load no engine."""
    arguments = parse_build_arguments(build_parser(), words)
    if arguments.debug:
        os.environ["PYBUILD_DEBUG"] = "1"
    if arguments.path is None:
        raise UsageError(
            "'pybuild' needs a context: PATH, URL or -", hint="To build the current folder: pybuild -t name ."
        )
    checks = arguments.check or arguments.call.partition(",")[0] not in ("", "build")
    verb = "check" if checks else "build"
    command: Callable[[argparse.Namespace], int] = _command(verb, verb)
    return command(arguments)


def _in_group(words: list[str]) -> str:
    """Return the verb that a group and the word after it mean. Raises UsageError."""
    group, known = words[0], _GROUPS[words[0]]
    if len(words) > 1 and words[1] in known:
        return known[words[1]]
    if len(words) > 1 and words[1] in _ELSEWHERE:
        raise UsageError(f"there is no 'pybuild {group} {words[1]}'", hint=_ELSEWHERE[words[1]])
    raise UsageError(
        f"'pybuild {group}' needs one of its commands", hint=f"pybuild {group} {' | '.join(sorted(known))}"
    )


def _leading_root(words: list[str]) -> tuple[list[str], list[str]]:
    """Split off a --root that stands before the verb."""
    if words[:1] == ["--root"] and len(words) > 2 and _is_verb(words[2]):
        return words[:2], words[2:]
    if words and words[0].startswith("--root=") and words[1:2] and _is_verb(words[1]):
        return words[:1], words[1:]
    return [], words


def _is_verb(word: str) -> bool:
    return word in VERBS or word in _GROUPS or word in _ELSEWHERE


def _command(module: str, verb: str) -> Any:
    return getattr(import_module(f"builder.cli.verbs.{module}"), f"{verb}_command")


def _report(error: PybuildError) -> int:
    from builder.cli.display.diagnostics import render_error  # gate: error

    error.hint = error.hint or _hint_of_cause(error)
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    try:
        print(render_error(error, colour=colour), file=sys.stderr)
        if isinstance(error, StepFailed) and error.command_exit_code is not None:
            print(f"RUN's exit code was {error.command_exit_code}", file=sys.stderr)
        sys.stderr.flush()
    except OSError:  # nobody can be told
        _reader_gone()
    return error.exit_code


def _hint_of_cause(error: BaseException) -> str:
    """Return the hint for an error that the operating system caused, wherever it was translated; "" for others."""
    hints = {
        errno.ENOSPC: "Free some space, for example with 'pybuild prune', or choose another store with --root.",
        errno.EROFS: "Choose another store with --root.",
    }
    hints[errno.EDQUOT] = hints[errno.ENOSPC]
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in hints:
            return hints[cause.errno]
        cause = cause.__cause__
    return ""


def _from_os_error(error: OSError) -> PybuildError:
    """Translate an error of the system that no room has caught: its words, and the file."""
    about = f": {error.filename}" if error.filename else ""
    return PybuildError(f"{error.strerror or error}{about}", hint=_hint_of_cause(error))


def _from_mistake(error: Exception) -> PybuildError:
    """Translate an error that no room expected: one line, with the place in our code."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f" ({last.tb_frame.f_code.co_filename}:{last.tb_lineno})" if last is not None else ""
    return PybuildError(
        f"internal error: {type(error).__name__}: {error}{place}",
        hint="This is a mistake in pybuild, not in what you asked. PYBUILD_DEBUG=1 shows how it came there.",
    )
