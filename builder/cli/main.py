"""The door: picks the command, shows errors, turns them into exit codes. The only place that ends the process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from builder.errors import PybuildError, StepFailed, UsageError

COMMANDS = (
    "build", "images", "inspect", "history", "tag", "rmi", "run", "prune", "info", "version", "parse", "plan", "context",
    "pin",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run pybuild with `argv` (default: the process's); return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except PybuildError as error:
        return _report(error)
    except KeyboardInterrupt:
        print("pybuild: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; keep Python from complaining again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        return _report(_from_os_error(error))
    except RecursionError:
        return _report(PybuildError("the input is nested too deeply"))


def _dispatch(words: list[str]) -> int:
    root, rest = _leading_root(words)
    name = rest[0] if rest else ""
    if name in COMMANDS:
        handler = _handler(name)
        return handler(root + rest[1:])
    from builder.cli.build import build_command

    return build_command(words)


def _leading_root(words: list[str]) -> tuple[list[str], list[str]]:
    """Split off a --root that stands before the command."""
    if words[:1] == ["--root"] and len(words) > 2 and words[2] in COMMANDS:
        return words[:2], words[2:]
    if words and words[0].startswith("--root=") and words[1:2] and words[1] in COMMANDS:
        return words[:1], words[1:]
    return [], words


def _handler(name: str) -> Callable[[list[str]], int]:
    # Each command is imported only when it is used: a cached build must not pay for the others.
    if name == "build":
        from builder.cli.build import build_command

        return build_command
    if name in {"parse", "plan", "context", "pin"}:
        from builder.cli import language_commands

        return language_commands.HANDLERS[name]
    if name == "run":
        from builder.cli.run import run_command

        return run_command
    from builder.cli import image_commands

    return image_commands.HANDLERS[name]


def _report(error: PybuildError) -> int:
    from builder.cli.diagnostics import render_error

    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    print(render_error(error, colour=colour), file=sys.stderr)
    if isinstance(error, StepFailed) and error.command_exit_code is not None:
        print(f"RUN's exit code was {error.command_exit_code}", file=sys.stderr)
    return error.exit_code


def _from_os_error(error: OSError) -> PybuildError:
    """Translate what no room has caught: the system's words, with the file they are about."""
    import errno

    about = f": {error.filename}" if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return PybuildError(f"no space left on the device{about}", hint="'pybuild prune' frees what no image needs.")
    if error.errno == errno.EROFS:
        return PybuildError(f"the file system is read-only{about}", hint="Choose another store with --root.")
    return PybuildError(f"{error.strerror or error}{about}")


def usage_error(message: str, hint: str = "") -> UsageError:
    """Return a UsageError, for commands that check their words by hand."""
    return UsageError(message, hint=hint)
