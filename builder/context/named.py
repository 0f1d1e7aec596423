"""`--build-context NAME=VALUE`, looked at before anything is built: a name that could never be used and a place that
is not there are mistakes, whether a step reads them or not (as in BuildKit). What is far away is asked for when it is
used: images, repositories, files of servers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from builder.errors import ContextError, ReferenceFormatError, UsageError
from builder.oci.image_place import KINDS, image_name, image_place
from builder.oci.reference import LAYOUT_SCHEME, parse_layout_reference, parse_reference

# The last two are bake's: the planner refuses them, in better words (plan/inputs.py).
_REMOTE = ("http://", "https://", "target:", "input:")
_FILES = {"oci": "index.json", "dir": "manifest.json"}
"""What directories of images have in them, by transport."""
_ARCHIVES = ("oci-archive", "docker-archive")


def check_named_contexts(named: Mapping[str, str], is_repository: Callable[[str], bool]) -> None:
    """Raise UsageError for a name that is no image's, ContextError for what is not there on this machine."""
    for name, value in named.items():
        _check_name(name)
        # A layout lies on this disk, and can be looked at; an image or a URL would have to be asked for.
        if value.startswith(LAYOUT_SCHEME):
            _check_layout(name, value)
        elif (place := image_place(value)) is not None:
            _check_place(name, place)
        elif (
            image_name(value) is None
            and not os.path.isdir(value)
            and not value.startswith(_REMOTE)
            and not is_repository(value)
        ):
            raise not_found(name, value)


def _check_name(name: str) -> None:
    try:
        parse_reference(name.partition("::")[0])
    except ReferenceFormatError as error:
        hint = (
            f"Write {name.lower()!r}: names of stages and images count in lower case." if name != name.lower() else ""
        )
        raise UsageError(f"invalid context name {name}: {error.message}", hint=hint or error.hint) from error


def _check_layout(name: str, value: str) -> None:
    try:
        path, _ = parse_layout_reference(value)
    except ReferenceFormatError as error:
        raise UsageError(f"--build-context {name}: {error.message}", hint=error.hint) from error
    _check_directory(name, path, "index.json", "is no image layout")


def _check_place(name: str, place: str) -> None:
    transport, _, rest = place.partition(":")
    path = rest if transport == "dir" else rest.partition(":")[0]
    if transport in (*_FILES, *_ARCHIVES) and not path:
        raise UsageError(f"--build-context {name}: {place} names no path", hint=f"Write {transport}:PATH.")
    if transport in _FILES:
        what = "is no image layout" if transport == "oci" else "holds no image as dir: has them"
        _check_directory(name, path, _FILES[transport], what)
    elif transport in _ARCHIVES and path == "-":
        raise UsageError(
            f"--build-context {name}: {place}: standard input can be read once, and a base is read again",
            hint="Write the archive to a file.",
        )
    elif transport in _ARCHIVES and not os.path.isfile(path):
        what = "is not a file" if os.path.exists(path) else "does not exist"
        raise ContextError(f"the build context {name!r} cannot be found: {path} {what}")


def _check_directory(name: str, path: str, file: str, otherwise: str) -> None:
    if not os.path.exists(os.path.join(path, file)):
        what = otherwise if os.path.isdir(path) else "is not a directory" if os.path.exists(path) else "does not exist"
        raise ContextError(f"the build context {name!r} cannot be found: {path} {what}", hint=KINDS)


def not_found(name: str, value: str) -> ContextError:
    """Return the error for a context that is neither here nor far away."""
    there = "is not a directory" if os.path.exists(value) else "does not exist"
    return ContextError(f"the build context {name!r} cannot be found: {value or 'the empty path'} {there}", hint=KINDS)
