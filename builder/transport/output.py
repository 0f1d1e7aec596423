"""What becomes of the finished image: `--output` text → a value, checked before anything is built.

    type=image              [push=true]                   stays in the store under its names; pushed, with type=registry
    type=oci,dest=FILE|-        [tar=false,dest=DIR]      OCI image layout, as an archive or a directory
    type=docker,dest=FILE|-                               that archive with docker's manifest.json: all can read it
    type=tar,dest=FILE|-   type=local,dest=DIR            the root file system
    type=cacheonly                                        nothing

`-` is standard output. A bare path means type=local, a bare `-` type=tar, as buildx reads them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from builder.errors import UsageError
from builder.oci.annotations import Annotation, check_annotations, parse_annotation_field
from builder.oci.platform import Platform
from builder.oci.reference import Reference, parse_reference
from builder.suggest import most_alike
from builder.transport.packing_choice import LEVELS, Packing
from builder.transport.places.one_file import STDOUT
from builder.truth import truth_of

_TYPES = ("image", "oci", "docker", "local", "tar", "cacheonly", "registry")
_KEYS = (
    "type", "dest", "tar", "name", "compression", "compression-level", "force-compression", "oci-mediatypes",
    "rewrite-timestamp", "push", "unpack", "store", "platform-split", "mode",
)  # fmt: skip
_ANNOTATION = "annotation"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutput:
    """type=image, type=registry: further names in the store, which are pushed where that was asked for."""

    names: tuple[Reference, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    is_pushed: bool = False
    packing: Packing = field(default_factory=Packing)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveOutput:
    """type=oci, type=docker: an image layout, in one file or (`is_directory`) unpacked."""

    dest: str
    names: tuple[Reference, ...] = ()
    for_docker: bool = False
    is_directory: bool = False
    packing: Packing = field(default_factory=Packing)
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class TarOutput:
    """type=tar: the root file system as one tar."""

    dest: str


@dataclass(frozen=True, slots=True)
class LocalOutput:
    """type=local: the root file system in a directory, owned by who runs the build."""

    dest: str


@dataclass(frozen=True, slots=True)
class CacheOnlyOutput:
    """type=cacheonly: the build was for the cache."""


OutputSpec = ImageOutput | ArchiveOutput | TarOutput | LocalOutput | CacheOnlyOutput


def parse_outputs(texts: Iterable[str], platforms: Sequence[Platform], *, makes_index: bool) -> tuple[OutputSpec, ...]:
    """Parse outputs of a build for `platforms`, whose annotations must have a place there. Raises UsageError."""
    outputs = tuple(parse_output(text) for text in texts)
    for output in outputs:
        if isinstance(output, ImageOutput | ArchiveOutput):
            check_annotations(output.annotations, platforms, makes_index=makes_index)
    return outputs


def parse_output(text: str) -> OutputSpec:
    """Parse the value of `--output`. Raises UsageError."""
    fields = _fields(text)
    if len(fields) == 1 and "=" not in fields[0]:
        return TarOutput(STDOUT) if fields[0] == STDOUT else LocalOutput(_given(fields[0], text))
    options = _options(fields, text)
    kind = options.pop("type", "")
    match kind:
        case "image" | "registry":
            return ImageOutput(
                names=_names(options, text),
                annotations=_annotations(options, text),
                is_pushed=_flag(options, "push", kind == "registry", text),
                packing=_packing(options, text),
            )
        case "oci" | "docker":
            return _archive(options, kind == "docker", text)
        case "tar":
            return TarOutput(options.get("dest") or STDOUT)
        case "local":
            if options.get("mode", "copy") != "copy":
                raise _wrong(text, "only mode=copy is supported", hint="Empty the directory first.")
            return LocalOutput(_given(options.get("dest", ""), text))
        case "cacheonly":
            return CacheOnlyOutput()
        case _:
            raise _wrong(text, f"unknown type {kind!r}" if kind else "type is missing", near=(kind, _TYPES))


def _archive(options: dict[str, str], for_docker: bool, text: str) -> ArchiveOutput:
    is_directory = not _flag(options, "tar", True, text)
    dest = options.get("dest") or ("" if is_directory else STDOUT)
    return ArchiveOutput(
        dest=_given(dest, text),
        names=_names(options, text),
        for_docker=for_docker,
        is_directory=is_directory,
        packing=_packing(options, text),
        annotations=_annotations(options, text),
    )


def _packing(options: dict[str, str], text: str) -> Packing:
    compression = options.get("compression", "gzip")
    if compression not in LEVELS:
        raise _wrong(text, f"unknown compression {compression!r}", near=(compression, tuple(LEVELS)))
    level: int | None = None
    if written := options.get("compression-level"):
        allowed = LEVELS[compression]  # type: ignore[index]  # a key of it, as was just tested
        if not written.isascii() or not written.isdigit() or int(written) not in allowed:
            raise _wrong(text, f"compression-level is {allowed[0]} to {allowed[-1]} for {compression}, not {written!r}")
        level = int(written)
    return Packing(
        compression=compression,  # type: ignore[arg-type]  # as above
        level=level,
        force=_flag(options, "force-compression", False, text),
    )


def _fields(text: str) -> list[str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise _wrong(text, str(error)) from error
    return rows[0] if rows and rows[0] else [""]


def _options(fields: list[str], text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for item in fields:
        key, equals, value = item.partition("=")
        # Keys of annotations are the user's own, and keep their case.
        key = key.strip() if key.strip().startswith(_ANNOTATION) else key.strip().lower()
        if not equals:
            raise _wrong(text, f"{item!r} is not of the form key=value")
        if key not in _KEYS and not key.startswith(_ANNOTATION):
            raise _wrong(text, f"unknown key {key!r}", near=(key, _KEYS))
        options[key] = value
    return options


def _flag(options: dict[str, str], key: str, default: bool, text: str) -> bool:
    value = options.get(key)
    if value is None:
        return default
    if (found := truth_of(value)) is None:
        raise _wrong(text, f"{key} is true or false, not {value!r}")
    return found


def _names(options: dict[str, str], text: str) -> tuple[Reference, ...]:
    names = tuple(parse_reference(name.strip()) for name in options.get("name", "").split(",") if name.strip())
    if pinned := next((name for name in names if name.digest), None):
        raise _wrong(text, f"{pinned} has a digest, which is not known before the image is built")
    return names


def _annotations(options: dict[str, str], text: str) -> tuple[Annotation, ...]:
    found = (parse_annotation_field(key, value, f"--output {text!r}") for key, value in options.items())
    return tuple(annotation for annotation in found if annotation is not None)


def _given(dest: str, text: str) -> str:
    if not dest:
        raise _wrong(text, "dest is missing")
    return dest


def _wrong(text: str, reason: str, *, hint: str = "", near: tuple[str, tuple[str, ...]] | None = None) -> UsageError:
    if near is not None:
        found = most_alike(*near)
        hint = f"Did you mean {found}?" if found else f"Known are: {', '.join(near[1])}."
    return UsageError(f"--output {text!r}: {reason}", hint=hint)
