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
    "images": "images", "history": "images", "tag": "images", "untag": "images",
    "rmi": "images",
    "pull": "transfers", "push": "transfers", "search": "transfers", "login": "transfers", "logout": "transfers",
    "copy": "copying", "save": "copying", "load": "copying", "inspect": "copying",
    "run": "run", "create": "run", "shell": "shell",
    **dict.fromkeys(("start", "ps", "rm", "diff", "commit"), "containers"),
    **dict.fromkeys(("cp", "export", "mount"), "container_files"),
    "prune": "prune", "df": "df", "verify": "verify", "explain": "explain",
    "info": "info", "version": "version",
    "parse": "parse", "pin": "pin",
    "plan": "plan",
    "context": "context",
    "help": "help", "completion": "completion", "course": "course",
}  # fmt: skip
"""Verb → module of cli/verbs that has its `<verb>_command` and `<verb>_parser`. By name, so that only the one that is
used is imported: a cached build must not pay for the others. `build` and `check` get their arguments parsed, the others
their words.
"""

_GROUPS = "builder.cli.groups"
"""The module that knows what is meant by a first word that is no verb. A cached build begins with none."""


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
    found = verb_of(rest)
    if found is None:
        return _build(words)
    verb, module, own = found
    if verb == "build":
        return _build(root + own)
    command: Callable[[list[str]], int] = command_of(module, verb)
    return command(root + own)


def verb_of(words: list[str]) -> tuple[str, str, list[str]] | None:
    """Return the verb that a command line begins with, its module, and the words that follow; None for a build without
    a verb. Raises UsageError.
    """
    first, second = (*words, "", "")[:2]
    if first in VERBS:
        return first, VERBS[first], words[1:]
    is_word = first.replace("-", "").replace("_", "").isalnum() and not first.startswith("-")
    if not is_word or (second[:1] in ("", "-") and os.path.exists(first)):
        return None
    found: tuple[str, str, list[str]] | None = import_module(_GROUPS).resolve(words, VERBS)
    return found


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
    is_attended = arguments.step or arguments.on_error
    verb = "check" if checks else "attended_build" if is_attended else "build"
    command: Callable[[argparse.Namespace], int] = command_of(verb, verb)
    return command(arguments)


def _leading_root(words: list[str]) -> tuple[list[str], list[str]]:
    """Split off a --root that stands before what may be a verb."""
    count = 2 if words[:1] == ["--root"] else 1 if words and words[0].startswith("--root=") else 0
    return (words[:count], words[count:]) if len(words) > count else ([], words)


def command_of(module: str, verb: str) -> Any:
    """Return `<verb>_command` of a module of cli/verbs, which is imported now."""
    return getattr(import_module(f"builder.cli.verbs.{module}"), f"{verb}_command")


def parser_of(verb: str, module: str) -> argparse.ArgumentParser:
    """Return the parser of a verb, and do nothing else with the verb."""
    if verb == "build":
        return build_parser()
    make: Callable[[], argparse.ArgumentParser] = getattr(
        import_module(f"builder.cli.verbs.{module}"), f"{verb}_parser"
    )
    return make()


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
