"""What a build leaves behind: the last lines, and the files that a user asks for, whole or not at all.

And what machines read instead (docs/errors.md): `--progress=rawjson` prints one object a line, `{"event":
"step-started", …}` with the fields of the event, and the metadata file has the result and the warnings before it.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TextIO

from builder.cli.display.text import size_text
from builder.engine.result import BuildResult, ImageReport
from builder.errors import PybuildError, counted
from builder.filesystem.unfinished import written
from builder.oci.digest import short_digest
from builder.oci.reference import parse_reference, says_tag
from builder.solve import events as e
from builder.solve.event_json import encoded, error_to_json, location_to_json, name_of


def summary_lines(result: BuildResult, tags: Sequence[str] = ()) -> Iterator[str]:
    """Yield the lines; `tags` are names as they were typed, of which one without a tag is explained.

    Warnings about unused build arguments come first, since they are easily missed.
    """
    for image in result.images:
        unused = ", ".join(image.unused_build_args)
        if unused:
            yield f"warning: --build-arg {unused}: no ARG of the build uses it"
            break
    for image in result.images:
        yield _image_line(image, several=len(result.images) > 1)
    if len(result.images) > 1:
        yield f"index {result.descriptor.digest}"
    implied = {str(parse_reference(tag)) for tag in tags if not says_tag(tag)}
    for name in result.names:
        yield f"tagged {parse_reference(name).familiar}{' (no tag given: latest)' if name in implied else ''}"
    yield from result.outputs
    yield f"done in {result.seconds:.2f}s"


def _image_line(image: ImageReport, *, several: bool) -> str:
    solved = [step for step in image.steps if step.layer]
    cached = sum(step.cached for step in solved)
    platform = f" {image.platform}" if several else ""
    return (
        f"image {short_digest(image.image_id)}{platform}: {counted(image.layers, 'layer')}, {size_text(image.size)}; "
        f"steps: {cached} cached, {len(solved) - cached} executed"
    )


def check_writable(path: str) -> None:
    """Raise PybuildError when `path` cannot be written: asked before the build, not after it."""
    directory = os.path.dirname(path) or "."
    if not os.path.exists(path) and not os.access(directory, os.W_OK | os.X_OK):
        reason = "permission denied" if os.path.isdir(directory) else "no such directory"
        raise PybuildError(f"cannot write {path}: {reason}")


def write_json(path: str, document: object) -> None:
    """Write a document as `write_file` does, indented, its keys sorted."""
    write_file(path, json.dumps(document, indent=2, sort_keys=True).encode() + b"\n")


def write_file(path: str, data: bytes) -> None:
    """Write beside, then rename; a device or a pipe is written to as it is. Raises PybuildError, OSError.

    A file that is there keeps its mode and, where that is allowed, its owner; a link to it stays one.
    """
    try:
        with written(path, sync=False) as file:  # what a crash takes of it, the next build writes again
            file.write(data)
            if os.path.isfile(path):
                _take_over(file.fileno(), os.stat(path))
    except OSError as error:
        raise PybuildError(f"cannot write {path}: {error.strerror}") from error


def _take_over(descriptor: int, old: os.stat_result) -> None:
    """Give a file the owner and mode of the one that it takes the place of."""
    with suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


class MachineReader:
    """Who reads a build as data: its events where there is a `stream`, its result where there is a file for it."""

    def __init__(self, stream: TextIO | None, metadata_file: str | None) -> None:
        self._stream = stream
        self._metadata_file = metadata_file
        self._lock = threading.Lock()
        self._warnings: list[e.Warned] = []

    def __call__(self, event: e.Event) -> None:
        """Print an event as one JSON object a line; keep a warning for the metadata file."""
        if isinstance(event, e.Warned):
            self._warnings.append(event)
        if self._stream is not None:
            # Names that are no text are kept as lone surrogates, which only ASCII has a form for.
            line = json.dumps(_shown(event), ensure_ascii=True)
            # One line at a time: steps speak on several threads.
            with self._lock:
                self._stream.write(line + "\n")
                self._stream.flush()

    def fail(self, error: PybuildError) -> None:
        """Say why there is no image; the metadata file has the warnings before it, too."""
        self._write({"error": error_to_json(error)})
        if self._stream is not None:
            print(json.dumps({"event": "build-failed", "error": error_to_json(error)}), file=self._stream)

    def finish(self, result: BuildResult) -> None:
        """Write what was built."""
        self._write(result.metadata())

    def _write(self, document: dict[str, Any]) -> None:
        if self._metadata_file:
            warnings = [warning_to_json(warning) for warning in self._warnings]
            write_json(self._metadata_file, document | ({"pybuild.warnings": warnings} if warnings else {}))


def warning_to_json(warning: e.Warned) -> dict[str, object]:
    """Return a warning as data."""
    return {"rule": warning.rule, "message": warning.message, "location": location_to_json(warning.location)}


def _shown(event: e.Event) -> dict[str, object]:
    """Return all fields of an event, but for a platform where there is only one; output is text that can be printed."""
    document: dict[str, object] = {"event": name_of(event), "time": round(time.time(), 6)}
    for name, value in event._asdict().items():
        if name != "platform" or value:
            document[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else encoded(value)
    return document
