"""What a name in FROM, `--from=` and `from=` stands for: a stage, a build context, an image, or nothing at all.

Named contexts (`--build-context name=value`) come before stages and images of that name (N-3); a platform's own value,
`name::linux/arm64`, comes before the general one (N-1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from builder.errors import Location, PlanError, ReferenceFormatError
from builder.oci.image_place import KINDS, image_name, image_place
from builder.oci.platform import Platform
from builder.oci.reference import parse_reference

SCRATCH = "scratch"
_NEVER_REPLACED = frozenset({SCRATCH, "context"})  # as in BuildKit's dockerui/namedcontext.go


@dataclass(frozen=True, slots=True)
class StageInput:
    """Another stage of the file."""

    index: int


@dataclass(frozen=True, slots=True)
class ContextInput:
    """A build context: "" is the main one, others go by the name the user gave."""

    name: str


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image: a normalised reference, or a place (oci/image_place.py). `written` is the name in the Dockerfile."""

    reference: str
    written: str


@dataclass(frozen=True, slots=True)
class NoInput:
    """`scratch`."""


Input = StageInput | ContextInput | ImageInput | NoInput


class NamedContexts:
    """The user's `--build-context`s, by normalised name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values: dict[str, tuple[str, str]] = {}
        for name, value in values.items():
            bare, colons, platform = name.partition("::")
            self._values[_normalised(bare) + colons + platform] = (name, value)

    def find(self, name: str, platform: Platform) -> Input | None:
        """Return what takes the place of `name` on `platform`. Raises PlanError for a value nobody understands."""
        if name.lower() in _NEVER_REPLACED:
            return None
        key = _normalised(name)
        found = self._values.get(f"{key}::{platform}") or self._values.get(key)
        if found is None:
            return None
        given, value = found
        if (image := image_name(value)) is not None:
            return image_input(image, None)
        if (place := image_place(value)) is not None:
            return ImageInput(place, name)
        if value.startswith(("target:", "input:")):
            raise PlanError(
                f"build context {given} is {value!r}, which only bake files have",
                hint=KINDS,
            )
        return ContextInput(given)


def image_input(name: str, location: Location | None, meant: Callable[[str], str] = str) -> Input:
    """Return the image that a name is `meant` for, or nothing for scratch.

    Raises PlanError for a name that can't be one.
    """
    if name == SCRATCH:
        return NoInput()
    try:
        parse_reference(name)  # an alias is of a name that could be one
        return ImageInput(str(parse_reference(meant(name))), name)
    except ReferenceFormatError as error:
        raise PlanError(f'failed to parse stage name "{name}": {_reason(error)}', location, hint=error.hint) from error


def _reason(error: ReferenceFormatError) -> str:
    """Shorten the message where it repeats the name."""
    head, _, rest = error.message.partition(": ")
    return f"{head}: {rest.partition(': ')[2] or rest}"


def _normalised(name: str) -> str:
    try:
        # One name in every spelling: docker.io/library/x, x and x:latest are what somebody may have given (N-3).
        return parse_reference(name).familiar.removesuffix(":latest")
    except ReferenceFormatError:
        return name
