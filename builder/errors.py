"""Everything that can go wrong, as one tree.

    PybuildError                     what was being done, on what, why it failed; `hint` says what to try
    ├── UsageError                   the command line is wrong                                  exit code 2
    ├── SourceError                  something in a Dockerfile (or ignore file): has a location
    │   ├── DockerfileSyntaxError    the text cannot be parsed
    │   └── PlanError                the text is well formed but means nothing that can be built
    ├── StepFailed                   a step did not complete; RUN carries its exit code
    ├── ContextError                 the build context cannot be read, or lacks what is asked of it
    ├── ReferenceFormatError         an image name, digest or platform that is not one
    ├── StoreError                   the local store
    │   ├── BlobNotFound
    │   └── DigestMismatch           bytes are not what their digest or size says
    ├── ImageError                   a manifest, index or config that is malformed or does not fit
    ├── LayerError                   a layer tar that is malformed, hostile or beyond the limits
    ├── RegistryError                a registry refused or cannot be reached
    ├── TransportError               a place to read an image from or write it to
    ├── SandboxError                 a process could not be isolated or started
    │   └── MountError               a command did to its mounts what no mount would have allowed
    └── Cancelled                    the user stopped the build                                 exit code 130

All but UsageError and Cancelled exit with 1. Payloads are primitives, so that an error can cross
threads, be pickled, and be printed as JSON. Beside it lies how messages say numbers.
"""

from __future__ import annotations

from typing import NamedTuple


def counted(count: int, noun: str) -> str:
    """Return a number and what it counts: `1 layer`, `2 layers`; the plural of `noun` takes an s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


class Location(NamedTuple):
    """Where something stands in a file. Lines and columns count from 1; `end_column` is exclusive; 0 = unknown."""

    file: str
    line: int
    column: int = 0
    end_line: int = 0
    end_column: int = 0


class PybuildError(Exception):
    """The root of the tree. `message` is one line without a final full stop; `hint` is one sentence or empty."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PybuildError):
    exit_code = 2


class SourceError(PybuildError):
    """A fault in a source file; `others` holds further errors found in the same run of the parser.

    `source` is the text of the file, put there by whoever holds it, so that the excerpt can be shown.
    """

    def __init__(
        self,
        message: str,
        location: Location | None = None,
        *,
        hint: str = "",
        others: tuple[SourceError, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.location = location
        self.others = others
        self.source = ""


class DockerfileSyntaxError(SourceError):
    pass


class PlanError(SourceError):
    pass


class StepFailed(SourceError):
    """A step did not complete.

    `command_exit_code` is RUN's own code (128 + signal when killed), `tail` the last output lines of the step.
    """

    def __init__(
        self,
        message: str,
        location: Location | None = None,
        *,
        hint: str = "",
        step: str = "",
        command_exit_code: int | None = None,
        tail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, location, hint=hint)
        self.step = step
        self.command_exit_code = command_exit_code
        self.tail = tail


class ContextError(PybuildError):
    pass


class ReferenceFormatError(PybuildError):
    pass


class StoreError(PybuildError):
    pass


class BlobNotFound(StoreError):
    pass


class DigestMismatch(StoreError):
    pass


class ImageError(PybuildError):
    pass


class LayerError(PybuildError):
    pass


class RegistryError(PybuildError):
    """`status` is the HTTP status (0 when there was no answer), `code` the registry's own error code."""

    def __init__(self, message: str, *, hint: str = "", status: int = 0, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


class TransportError(PybuildError):
    pass


class SandboxError(PybuildError):
    pass


class MountError(SandboxError):
    pass


class Cancelled(PybuildError):
    exit_code = 130
