"""The text that says where an image is or goes → a value: the transports of containers-transports(5), and the store.

    docker://NAME                        a registry
    docker-daemon:NAME | sha256:ID       a docker daemon
    docker-archive:FILE[:NAME | :@N]     an archive of `docker save`; `-` is standard input or output
    oci-archive:FILE[:REF | :@N]         an image layout as one tar
    oci:DIR[:REF | :@N]                  an image layout; oci-layout://DIR is the same
    dir:DIR                              one image in flat files
    containers-storage:[[STORE]]NAME     the store of podman and buildah
    NAME | ID                            the store of pybuild
    store:DIR… | ssh://HOST/PATH…        other stores (store_location.py)

A path ends at its first colon. Opening them is opening.py, as much more is imported for that. An *origin* is such a
text in the store, from where an image's layers can be had; there a bare name is a repository of a registry.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import ClassVar

from builder.errors import ReferenceFormatError, UsageError
from builder.oci.digest import digest_or_none
from builder.oci.reference import LAYOUT_SCHEME, Reference, parse_layout_reference, parse_reference
from builder.suggest import most_alike
from builder.transport.places.store_location import OtherStoreLocation, SshLocation, parse_store_location
from builder.transport.places.transport_names import FILE_TRANSPORTS, TRANSPORTS

_TRANSPORT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)", re.S)
_POSITION = re.compile(r"@[0-9]{1,9}")
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{4,64}")
_WHOLE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_STORE_SPEC = re.compile(r"(\[[^\[\]]*\])?(.*)", re.S)
_HOST_AND_PORT = re.compile(r"[A-Za-z-]+:[0-9]+/")


@dataclass(frozen=True, slots=True)
class RegistryLocation:
    """docker://NAME."""

    reference: Reference

    @property
    def image(self) -> str:
        """What the source calls the image; every location has it."""
        return str(self.reference.digest or self.reference.tag)

    @property
    def names(self) -> tuple[Reference, ...]:
        """What a destination is to call the image; every location has it."""
        return (self.reference,)

    def __str__(self) -> str:
        return f"docker://{self.reference}"


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """A name or image ID of pybuild's own store."""

    text: str

    @property
    def image(self) -> str:
        return self.text

    @property
    def names(self) -> tuple[Reference, ...]:
        """Raises ReferenceFormatError for an ID, which nothing can be called."""
        if self.text.startswith("sha256:"):
            raise ReferenceFormatError(f"{self.text} is an image ID, not a name", hint="Write NAME:TAG.")
        return (parse_reference(self.text),)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class _InIndex:
    """What index.json names: `image` is a name of it, a digest, `@N` or ""."""

    path: str
    image: str = ""
    transport: ClassVar[str]

    @property
    def names(self) -> tuple[Reference, ...]:
        return ()

    def __str__(self) -> str:
        return f"{self.transport}:{self.path}{_suffix(self.image)}"


class LayoutLocation(_InIndex):
    """oci:DIR[:REF]."""

    __slots__ = ()
    transport = "oci"


class OciArchiveLocation(_InIndex):
    """oci-archive:FILE[:REF]."""

    __slots__ = ()
    transport = "oci-archive"


@dataclass(frozen=True, slots=True)
class DockerArchiveLocation:
    """docker-archive:FILE[:NAME]; `position` is the N of `:@N`."""

    path: str
    reference: Reference | None = None
    position: int | None = None

    @property
    def image(self) -> str:
        return str(self.reference or "") if self.position is None else f"@{self.position}"

    @property
    def names(self) -> tuple[Reference, ...]:
        return (self.reference,) if self.reference else ()

    def __str__(self) -> str:
        return f"docker-archive:{self.path}{_suffix(self.image)}"


@dataclass(frozen=True, slots=True)
class DirLocation:
    """dir:DIR."""

    path: str

    @property
    def image(self) -> str:
        return ""

    @property
    def names(self) -> tuple[Reference, ...]:
        return ()

    def __str__(self) -> str:
        return f"dir:{self.path}"


@dataclass(frozen=True, slots=True)
class DaemonLocation:
    """docker-daemon:NAME or docker-daemon:sha256:ID, which can only be read."""

    reference: Reference | None
    id: str = ""

    @property
    def image(self) -> str:
        return "@0"  # one image is asked for, and one comes

    @property
    def names(self) -> tuple[Reference, ...]:
        return (self.reference,) if self.reference else ()

    def __str__(self) -> str:
        return f"docker-daemon:{self.reference or self.id}"


@dataclass(frozen=True, slots=True)
class StorageLocation:
    """containers-storage:[spec]NAME or @ID, which can only be read; `spec` has its brackets."""

    spec: str
    reference: Reference | None
    id: str = ""

    @property
    def image(self) -> str:
        return ""

    @property
    def names(self) -> tuple[Reference, ...]:
        return (self.reference,) if self.reference else ()

    def __str__(self) -> str:
        return f"containers-storage:{self.spec}{self.reference or f'@{self.id}'}"


Location = (
    RegistryLocation
    | StoreLocation
    | LayoutLocation
    | OciArchiveLocation
    | DockerArchiveLocation
    | DirLocation
    | DaemonLocation
    | StorageLocation
    | OtherStoreLocation
    | SshLocation
)


def parse_location(text: str) -> Location:
    """Read where an image is or goes. Raises UsageError, ReferenceFormatError."""
    if text.startswith(LAYOUT_SCHEME):
        return LayoutLocation(*parse_layout_reference(text))
    if text.startswith("docker://"):
        return RegistryLocation(_named(text, text.removeprefix("docker://")))
    if (store := parse_store_location(text)) is not None:
        return store
    match = _TRANSPORT.fullmatch(text)
    if match is not None:
        name, rest = match[1], match["rest"]
        if name in FILE_TRANSPORTS:
            return _path_location(text, name, rest)
        if name == "docker-daemon":
            return _daemon_location(text, rest)
        if name == "containers-storage":
            return _storage_location(text, rest)
    if _ID.fullmatch(text):
        return StoreLocation(text)
    try:
        parse_reference(text)
    except ReferenceFormatError as error:
        if match is not None and ("://" in text or match["rest"].startswith(("/", ".", "~", "["))):
            raise _unknown_transport(text, match[1]) from error
        raise
    return StoreLocation(text)


def parse_origin(text: str) -> Location:
    """Read where an image came from, as the store has noted it: a bare name is a repository of a registry.

    Raises UsageError, ReferenceFormatError.
    """
    if not _HOST_AND_PORT.match(text):  # oci:5000/x is a registry of this network; paths in origins are absolute
        location = None if "://" not in text and ":" not in text else parse_location(text)
        if location is not None and not isinstance(location, StoreLocation):
            return location
    return RegistryLocation(parse_reference(text))


def _path_location(text: str, transport: str, rest: str) -> Location:
    path, _, image = (rest, "", "") if transport == "dir" else rest.partition(":")
    if not path:
        kind = "FILE" if transport.endswith("archive") else "DIR"
        raise _wrong(text, "the path is missing", f"Write {transport}:{kind}{'' if transport == 'dir' else '[:NAME]'}.")
    if path.startswith("//"):  # a URL's, or one slash too many: both name the root's child
        path = "/" + path.lstrip("/")
    match transport:
        case "dir":
            return DirLocation(path)
        case "oci":
            return LayoutLocation(path, image)
        case "oci-archive":
            return OciArchiveLocation(path, image)
    if _POSITION.fullmatch(image):
        return DockerArchiveLocation(path, position=int(image[1:]))
    reference = _named(text, image) if image else None
    if reference is not None and reference.digest:
        raise _wrong(text, "a docker archive knows its images by name, not by digest", "Write NAME:TAG, or @N.")
    return DockerArchiveLocation(path, reference)


def _daemon_location(text: str, rest: str) -> DaemonLocation:
    if rest.startswith("sha256:") or _WHOLE_ID.fullmatch(rest):
        identifier = rest if ":" in rest else f"sha256:{rest}"
        if digest_or_none(identifier) is None:
            raise _wrong(text, f"{identifier!r} is no image ID", "An ID is sha256: and 64 hex digits.")
        return DaemonLocation(None, identifier)
    reference = _named(text, rest)
    if reference.tag and reference.digest:
        raise _wrong(text, "it has a tag and a digest", "Write one of them.")
    return DaemonLocation(reference)


def _storage_location(text: str, rest: str) -> StorageLocation:
    match = _STORE_SPEC.fullmatch(rest)
    assert match is not None  # it takes any text
    spec, name = match[1] or "", match[2]
    if name.startswith("@"):
        if not _ID.fullmatch(name[1:]):
            raise _wrong(text, f"{name[1:]!r} is no image ID", "An ID is 64 hex digits, or their beginning.")
        return StorageLocation(spec, None, name[1:])
    return StorageLocation(spec, _named(text, name))


def _named(text: str, name: str) -> Reference:
    if not name:
        raise _wrong(text, "the name of the image is missing", "")
    try:
        return parse_reference(name)
    except ReferenceFormatError as error:
        raise ReferenceFormatError(f"{text}: {error.message}", hint=error.hint) from error


def _unknown_transport(text: str, name: str) -> UsageError:
    known = {known.rstrip(":/"): known for known in TRANSPORTS}
    found = most_alike(name, known, case_sensitive=False)
    hint = f"Did you mean {known[found]}?" if found else f"Known are: {', '.join(TRANSPORTS)}."
    return _wrong(text, f"unknown transport {name!r}", hint)


def _wrong(text: str, reason: str, hint: str) -> UsageError:
    return UsageError(f"{text!r:.200}: {reason}", hint=hint)


def _suffix(image: str) -> str:
    return f":{image}" if image else ""


def absolute(path: str) -> str:
    """Return a path as an origin has it; `-` stays."""
    return path if path == "-" else os.path.abspath(path)


def is_elsewhere(text: str) -> bool:
    """Say whether somebody names an image by a transport, and not one of the store. Raises UsageError."""
    try:
        return not isinstance(parse_location(text), StoreLocation)
    except ReferenceFormatError:
        # A scheme, and no location: a mistake in it, and no name of the store.
        if "://" in text:
            raise
        return False
