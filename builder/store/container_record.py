"""What is known of one container, as a value and as JSON: what it was made from, what it runs, how it ended."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Literal

from builder.errors import StoreError
from builder.oci.config import RuntimeConfig, runtime_from_json
from builder.oci.descriptor import Descriptor, descriptor_from_json
from builder.oci.digest import Digest, parse_digest, short_digest
from builder.oci.run_options import NO_OPTIONS, RunOptions, run_options_from_json
from builder.store import formats

State = Literal["created", "running", "exited"]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_ID_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerMount:
    """A folder or file of this machine, or a tmpfs, in a container."""

    kind: Literal["bind", "tmpfs"]
    source: str = ""
    """Path on this machine; empty for a tmpfs."""
    target: str
    readonly: bool = False
    size: int | None = None
    """Bytes, of a tmpfs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """One container. `runtime` is the image's runtime config with what was asked for put in."""

    id: str
    name: str
    image: str
    """As somebody typed it."""
    image_id: Digest
    manifest: Descriptor
    created: int
    """Nanoseconds since 1970, as are the other times; 0 for what has not happened."""
    argv: tuple[str, ...]
    runtime: RuntimeConfig
    network: str = "default"
    hostname: str = ""
    options: RunOptions = NO_OPTIONS
    mounts: tuple[ContainerMount, ...] = ()
    isolation: str | None = None
    init: bool = False
    state: State = "created"
    exit_code: int = 0
    started: int = 0
    finished: int = 0
    pid: int = 0
    """Of the pybuild that runs it."""
    form: str = ""
    """Of the writable layer (builder.snapshot.writable); empty as long as there is none."""

    @property
    def short_id(self) -> str:
        return short_digest(self.id)

    def to_json(self) -> dict[str, Any]:
        members = {name: getattr(self, name) for name in _PLAIN}
        return members | {
            "format": formats.CONTAINER,
            "image_id": str(self.image_id),
            "manifest": self.manifest.to_json(),
            "argv": list(self.argv),
            "runtime": self.runtime.to_json(),
            "options": self.options._asdict(),
            "mounts": [{name: getattr(mount, name) for name in _MOUNT} for mount in self.mounts],
        }


_PLAIN = (
    "id", "name", "image", "created", "network", "hostname", "isolation", "init", "state", "exit_code", "started",
    "finished", "pid", "form",
)  # fmt: skip
_MOUNT = ("kind", "source", "target", "readonly", "size")


def record_from_json(document: dict[str, Any], what: str) -> ContainerRecord:
    """Read what `to_json` gave. Raises StoreError for another format, KeyError and its like for other documents."""
    if document.get("format") != formats.CONTAINER:
        raise StoreError(
            f"{what} is of format {document.get('format')!r}, which this pybuild cannot read",
            hint="Use the pybuild that made it, or remove it with 'pybuild rm -f'.",
        )
    return ContainerRecord(
        **{name: document[name] for name in _PLAIN},
        image_id=parse_digest(document["image_id"]),
        manifest=descriptor_from_json(document["manifest"], what),
        argv=tuple(document["argv"]),
        runtime=runtime_from_json(document["runtime"], what),
        options=run_options_from_json(document["options"]),
        mounts=tuple(ContainerMount(**mount) for mount in document["mounts"]),
    )


def new_id() -> str:
    """Return an ID that nothing else has."""
    return os.urandom(_ID_BYTES).hex()


def check_name(name: str) -> None:
    """Raise StoreError for what is no name of a container, in docker's words."""
    if not _NAME.fullmatch(name):
        raise StoreError(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            hint="A name has at least two characters.",
        )
