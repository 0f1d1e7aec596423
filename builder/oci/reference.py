"""Image names: registry/repository:tag@digest, as docker reads them (distribution/reference grammar).

reference := name [":" tag] ["@" digest]      name := [domain "/"] path, at most 255 characters
"""

from __future__ import annotations

import re
from typing import NamedTuple

from builder.errors import ReferenceFormatError
from builder.oci.digest import Digest, digest_or_none, parse_digest

DEFAULT_REGISTRY = "docker.io"
IMAGE_SCHEME = "docker-image://"
LAYOUT_SCHEME = "oci-layout://"
"""How values of --build-context say that they are images: by name, or by directory."""
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_MAX_NAME = 255


class Reference(NamedTuple):
    """A normalised name: `registry` and `repository` are always set; a tag, a digest, or both."""

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """registry/repository, without tag or digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def pinned(self) -> str:
        """What an image is kept under: with a digest, the tag says nothing (docker's rule)."""
        return f"{self.name}@{self.digest}" if self.digest else str(self)

    @property
    def familiar(self) -> str:
        """The short form people type: docker.io/library/x:1 is x:1."""
        name = self.name
        if self.registry == DEFAULT_REGISTRY:
            name = self.repository
            rest = name.removeprefix("library/")
            if rest != name and "/" not in rest:
                name = rest
        return name + self._suffix()

    def __str__(self) -> str:
        return self.name + self._suffix()

    def with_tag(self, tag: str) -> Reference:
        return self._replace(tag=tag, digest=None)

    def with_digest(self, digest: Digest) -> Reference:
        return self._replace(digest=digest)

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def says_tag(text: str) -> bool:
    """Say whether somebody typed a tag: parsing gives `latest` to a name without one."""
    return ":" in text.rpartition("/")[2]


def split_short_name(text: str) -> tuple[str, str]:
    """Split a name without a registry into itself and what says tag and digest; two empty texts for any other."""
    rest, at, digest = text.partition("@")
    if says_registry(rest):
        return "", ""
    name, colon, tag = rest.partition(":")
    return name, colon + tag + at + digest


def says_registry(text: str) -> bool:
    """Say whether a name, without its digest, begins with the host of a registry."""
    head, slash, _ = text.partition("/")
    return bool(slash) and (head == "localhost" or any(mark in head for mark in ".:") or head != head.lower())


def parse_reference(text: str) -> Reference:
    """Parse and normalise an image name; no tag and no digest means `:latest`. Raises ReferenceFormatError."""
    if _IMAGE_ID.fullmatch(text):
        raise _refused(text, "64 hex digits are an image ID, not a name")
    rest, at, digest_text = text.partition("@")
    digest = parse_digest(digest_text) if at else None
    registry, path = DEFAULT_REGISTRY, rest
    if says_registry(rest):
        registry, _, path = rest.partition("/")
    path, colon, tag = path.partition(":")
    if registry == "index.docker.io":
        registry = DEFAULT_REGISTRY
    if path != path.lower():
        raise _refused(
            text, "the repository part must be lower-case", hint=f"Did you mean {text.replace(path, path.lower())}?"
        )
    if not _DOMAIN.fullmatch(registry) or not _PATH.fullmatch(path):
        raise _refused(text, "it does not follow [registry/]repository[:tag][@digest]")
    if colon and not _TAG.fullmatch(tag):
        raise _refused(text, f"{tag!r} is not a tag (letters, digits, '_', '.', '-'; at most 128)")
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    if len(registry) + 1 + len(path) > _MAX_NAME:
        raise _refused(text[:40] + "…", f"the name is longer than {_MAX_NAME} characters")
    return Reference(registry, path, tag if colon else ("" if digest else "latest"), digest)


def reference_or_none(text: str) -> Reference | None:
    """Return `text` as a normalised name, None when it is something else."""
    try:
        return parse_reference(text)
    except ReferenceFormatError:
        return None


def parse_layout_reference(text: str) -> tuple[str, str]:
    """Split `oci-layout://path[:tag][@digest]` into path and tag or digest. Raises ReferenceFormatError."""
    whole = text.removeprefix(LAYOUT_SCHEME)
    rest, at, digest = whole.rpartition("@")
    named_by_digest = bool(at) and digest_or_none(digest) is not None
    directory, slash, last = (rest if named_by_digest else whole).rpartition("/")
    last, _, tag = last.partition(":")
    path = directory + slash + last
    if not path:
        raise ReferenceFormatError(f"{text!r} names no directory", hint="Write oci-layout://PATH[:TAG][@DIGEST].")
    return path, digest if named_by_digest else tag


def _refused(text: str, reason: str, hint: str = "") -> ReferenceFormatError:
    return ReferenceFormatError(f"invalid reference format: {text!r}: {reason}", hint=hint)
