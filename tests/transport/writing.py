"""Shorthand for tests: an image with one of everything, written by what --output says, and read again."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from builder.filesystem.entry import Entry
from builder.image.assemble import assemble
from builder.layer.whiteout import whiteout_entry
from builder.oci.config import ImageConfig
from builder.oci.descriptor import Descriptor
from builder.oci.platform import Platform, host_platform
from builder.oci.reference import parse_reference
from builder.plan.step import StepID
from builder.store.store import Store
from builder.transport.export import write_output
from builder.transport.output import parse_output
from tests.image.test_assemble import T1, commit_layer, planned

NAME = "demo:v1"


def build(store: Store, *, platform: Platform | None = None) -> Descriptor:
    """An image of two layers with one of everything: links, whiteouts, an opaque directory, odd modes and names."""
    base = commit_layer(
        store,
        (Entry("bin", "directory", 0o755), None),
        (Entry("bin/tool", "file", 0o4755, size=4), b"tool"),
        (Entry("bin/other", "hardlink", 0o4755, link="bin/tool"), None),
        (Entry("etc", "directory", 0o755, mtime=5), None),
        (Entry("etc/gone", "file", size=1), b"x"),
        (Entry("etc/passwd", "file", 0o600, uid=7, gid=8, mtime=1000, size=5), b"root:"),
        (Entry("full", "directory", 0o700), None),
        (Entry("full/old", "file", size=3), b"old"),
        (Entry("lib", "symlink", 0o777, link="usr/lib"), None),
    )
    top = commit_layer(
        store,
        (Entry("etc", "directory", 0o755, mtime=5), None),
        (whiteout_entry("etc/gone"), None),
        (Entry("etc/ünï", "file", 0o644, mtime=2000, size=3), b"new"),
        (Entry("full", "directory", 0o711), None),
        (Entry("full/.wh..wh..opq", "file"), None),
        (Entry("full/new", "file", size=3), b"new"),
    )
    config = ImageConfig(platform=platform or host_platform())
    image = planned(config, ("COPY base", 0), ("COPY top", 1), ("CMD", None))
    return assemble(store, image, [base, top], {StepID(0): T1, StepID(1): T1})


def write(
    store: Store, image: Descriptor, text: str, *names: str, epoch: int | None = None, stdout: int | None = None
) -> str:
    return write_output(
        parse_output(text), store, image, [parse_reference(name) for name in names], epoch=epoch, stdout=stdout
    )


def members(path: Path | io.BytesIO) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) if isinstance(path, Path) else tarfile.open(fileobj=path) as tar:
        return {member.name: member for member in tar}


def unpack(archive: Path, directory: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            if (file := tar.extractfile(member)) is not None:
                (directory / member.name).parent.mkdir(parents=True, exist_ok=True)
                (directory / member.name).write_bytes(file.read())
