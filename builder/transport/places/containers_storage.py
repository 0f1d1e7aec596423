"""The store of podman, buildah and CRI-O: `containers-storage:NAME`, by way of skopeo, or else podman.

    store ──skopeo copy──▶ image layout in a temporary directory ──▶ source
    destination ──▶ image layout ──skopeo copy──▶ store             podman save, podman load: the same with an archive

Its files and above all its locks are internal to the library containers/storage, whose maintainers ask others not to
write there. It keeps layers unpacked: what comes back has their diff IDs and its config, under a manifest of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from builder.errors import TransportError
from builder.oci.digest import digest_of
from builder.oci.reference import Reference
from builder.store.trash import remove_tree
from builder.transport.destination import Destination
from builder.transport.places.archive import open_archive_destination
from builder.transport.places.layout import LayoutDestination
from builder.transport.places.layout_source import LayoutSource
from builder.transport.places.one_file import open_output_file
from builder.transport.places.tar_file import Temporary

_SPEC = re.compile(r"\[(?:(?P<driver>[^@\[\]+]*)@)?(?P<root>[^@\[\]+]*)(?:\+(?P<run>[^\[\]:]*))?(?::[^\[\]]*)?\]")
"""containers-transports(5): [driver@]graphroot[+run-root][:options], the options for the driver."""
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class _Tool:
    """The program that knows the store."""

    name: str
    path: str
    environ: Mapping[str, str]

    def run(self, doing: str, *arguments: str) -> bytes:
        """Run it to its end, and return its output. Raises TransportError with its last words."""
        try:
            done = subprocess.run(
                (self.path, *arguments), env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        except OSError as error:
            raise TransportError(f"{doing}: {self.path}: {(error.strerror or str(error)).lower()}") from error
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            said = " ".join(lines[-_LAST_LINES:]) or f"exit code {done.returncode}"
            raise TransportError(f"{doing}: {self.name} says: {said}")
        return done.stdout


@contextmanager
def open_storage_source(
    spec: str, image: str, temporary: Temporary, environ: Mapping[str, str] = os.environ
) -> Iterator[LayoutSource]:
    """Give a source of one image, which it calls "". `spec` is `[driver@root+run]` or "". Raises TransportError."""
    location = f"containers-storage:{spec}{image}"
    tool = _find_tool(environ)
    with _directory(temporary) as directory:
        layout = f"{directory}/layout"
        if tool.name == "skopeo":
            tool.run(location, "copy", "--quiet", location, f"oci:{layout}:image")
        else:
            tool.run(
                location, *_podman_options(spec), "save", "--quiet", "--format=oci-dir", f"--output={layout}", "--",
                image.removeprefix("@"),
            )  # fmt: skip
        source = LayoutSource(layout)
        source.location = location
        yield source


def storage_state(spec: str, image: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return a digest of what an image is. Raises TransportError."""
    location = f"containers-storage:{spec}{image}"
    tool = _find_tool(environ)
    if tool.name == "skopeo":
        return digest_of(tool.run(location, "inspect", "--raw", location))
    options = (*_podman_options(spec), "image", "inspect", "--format={{.Id}}", "--", image.removeprefix("@"))
    return tool.run(location, *options).decode("utf-8", "replace").strip()


@contextmanager
def open_storage_destination(
    spec: str, name: Reference, temporary: Temporary, environ: Mapping[str, str] = os.environ
) -> Iterator[Destination]:
    """Give a destination whose image is handed to the store at the end. Raises TransportError."""
    location = f"containers-storage:{spec}{name}"
    tool = _find_tool(environ)
    with _directory(temporary) as directory:
        if tool.name == "skopeo":
            layout = LayoutDestination(f"{directory}/layout", "image")
            layout.location = location
            yield layout
            tool.run(location, "copy", "--quiet", "--all", f"oci:{directory}/layout:image", location)
            return
        archive = f"{directory}/image.tar"
        with (
            open_output_file(archive) as write,
            open_archive_destination(location, write, for_docker=True) as destination,
        ):
            yield destination
        tool.run(location, *_podman_options(spec), "load", "--quiet", f"--input={archive}")


def _find_tool(environ: Mapping[str, str]) -> _Tool:
    for name in ("skopeo", "podman"):
        if path := shutil.which(name, path=environ.get("PATH", os.defpath)):
            return _Tool(name, path, environ)
    raise TransportError(
        "containers-storage: needs skopeo or podman, and neither is on the PATH",
        hint="Install one of them: apt install skopeo (Debian, Ubuntu), dnf install skopeo (Fedora, RHEL).",
    )


def _podman_options(spec: str) -> tuple[str, ...]:
    """Return the options by which podman uses the store that `spec` names."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        return ()
    options = (("storage-driver", match["driver"]), ("root", match["root"]), ("runroot", match["run"]))
    return tuple(f"--{name}={value}" for name, value in options if value)


@contextmanager
def _directory(temporary: Temporary) -> Iterator[str]:
    path = temporary("containers-storage")
    try:
        os.mkdir(path, 0o700)
    except OSError as error:
        raise TransportError(f"making a temporary directory: {(error.strerror or str(error)).lower()}") from error
    try:
        yield path
    finally:
        remove_tree(path)
