"""A location → a source or destination, open for the time of a `with`. Imports what speaks to networks.

with open_source(a, store, client) as source, open_destination(b, store, client) as destination:
    copy_image(source, destination, a.image, names=b.names)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import assert_never

from builder.errors import TransportError, UsageError
from builder.registry.client import RegistryClient
from builder.store.enclosing import refuse_store
from builder.store.store import Store, open_store
from builder.transport.destination import Destination
from builder.transport.places.archive import open_archive_destination
from builder.transport.places.archived_image import ArchiveSource
from builder.transport.places.containers_storage import (
    open_storage_destination,
    open_storage_source,
    storage_state,
)
from builder.transport.places.dir import DirDestination, DirSource
from builder.transport.places.docker_archive import DockerArchiveSource
from builder.transport.places.docker_daemon import daemon_state, open_daemon_destination, open_daemon_source
from builder.transport.places.layout import LayoutDestination
from builder.transport.places.layout_source import LayoutSource
from builder.transport.places.location import (
    DaemonLocation,
    DirLocation,
    DockerArchiveLocation,
    LayoutLocation,
    Location,
    OciArchiveLocation,
    RegistryLocation,
    StorageLocation,
    StoreLocation,
    absolute,
    parse_origin,
)
from builder.transport.places.oci_archive import OciArchiveSource
from builder.transport.places.one_file import open_output_file
from builder.transport.places.registry import RegistryDestination, RegistrySource
from builder.transport.places.ssh import SshDestination, SshSource
from builder.transport.places.ssh_session import open_session
from builder.transport.places.store import StoreSource
from builder.transport.places.store_location import OtherStoreLocation, SshLocation
from builder.transport.places.tar_file import STDIN, open_tar
from builder.transport.places.whole_image import WholeImageDestination
from builder.transport.source import Source


@contextmanager
def open_source(
    location: Location, store: Store, client: RegistryClient, environ: Mapping[str, str] = os.environ
) -> Iterator[Source]:
    """Give the place that an image is read from, which calls it `location.image`.

    `store` is for what is named in it, and for temporary files. Raises TransportError, StoreError.
    """
    temporary = store.temporary.path
    match location:
        case RegistryLocation(reference):
            yield RegistrySource(reference, client)
        case StoreLocation():
            yield StoreSource(store)
        case LayoutLocation(path):
            yield LayoutSource(path)
        case DirLocation(path):
            yield DirSource(path)
        case OtherStoreLocation(path, image):
            if not image:
                raise UsageError(f"{location} names no image", hint=f"Write {location}:NAME.")
            if not os.path.exists(f"{path}/index.json"):
                raise TransportError(f"{location}: {path} is not a store: not found")
            with open_store(path) as other, other.lease():
                yield StoreSource(other)
        case SshLocation():
            with open_session(location, environ) as session:
                yield SshSource(session)
        case OciArchiveLocation(path):
            where = f"oci-archive:{absolute(path)}"
            with open_tar(path, where, temporary) as tar:
                yield OciArchiveSource(where, tar)
        case DockerArchiveLocation(path):
            where = f"docker-archive:{absolute(path)}"
            with open_tar(path, where, temporary) as tar:
                yield DockerArchiveSource(where, tar)
        case DaemonLocation(reference, identifier):
            with open_daemon_source(str(reference or identifier), temporary, environ) as source:
                yield source
        case StorageLocation(spec, reference, identifier):
            image = str(reference) if reference else f"@{identifier}"
            with open_storage_source(spec, image, temporary, environ) as source:
                yield source
        case _:
            assert_never(location)


def place_state(location: Location, environ: Mapping[str, str] = os.environ) -> str:
    """Return what whoever keeps an image says it is, which is asked for at no cost; "" where there is nobody to ask.

    Raises TransportError.
    """
    match location:
        case DaemonLocation(reference, identifier):
            return daemon_state(str(reference or identifier), environ)
        case StorageLocation(spec, reference, identifier):
            return storage_state(spec, str(reference) if reference else f"@{identifier}", environ)
        case _:
            return ""


@contextmanager
def open_origin(text: str, store: Store, client: RegistryClient) -> Iterator[Source]:
    """Give the place that an image of the store came from. Raises as `open_source`."""
    with open_source(parse_origin(text), store, client) as source:
        yield source


@contextmanager
def open_archive(path: str, store: Store) -> Iterator[ArchiveSource]:
    """Give all that an archive holds, docker's or OCI's, as it turns out to be; `-` is standard input.

    Raises TransportError.
    """
    what = "the archive on standard input" if path == STDIN else f"the archive {path}"
    with open_tar(path, what, store.temporary.path) as tar:
        # Docker's list first: an archive that has both may name an index of whose images it holds one.
        if "manifest.json" in tar or "oci-layout" not in tar:
            yield DockerArchiveSource(f"docker-archive:{absolute(path)}", tar)
        else:
            yield OciArchiveSource(f"oci-archive:{absolute(path)}", tar)


@contextmanager
def open_destination(
    location: Location,
    store: Store,
    client: RegistryClient,
    environ: Mapping[str, str] = os.environ,
    *,
    stdout: int | None = None,
) -> Iterator[Destination]:
    """Give the place that an image is written to, under `location.names`; what ends with an error is not whole.

    A registry is asked to mount what `store` knows to be in another of its repositories. `stdout` is the descriptor
    behind `-` (default: the process's own). Raises TransportError, UsageError, StoreError.
    """
    match location:
        case RegistryLocation(reference):
            if reference.digest:
                raise _only_read(location, f"@{reference.digest}")
            yield RegistryDestination(reference, client, store.repositories)
        case StoreLocation():
            _ = location.names  # raises for an ID
            yield WholeImageDestination(store)
        case LayoutLocation(path, ref):
            refuse_store(path, str(location))
            yield LayoutDestination(path, _ref(location, ref))
        case DirLocation(path):
            refuse_store(path, str(location))
            yield DirDestination(path)
        case OtherStoreLocation(path):
            _ = location.names
            with open_store(path) as other, other.lease():
                yield WholeImageDestination(other)
        case SshLocation(image=image):
            _ref(location, image)
            with open_session(location, environ) as session:
                yield SshDestination(session)
        case OciArchiveLocation(path, ref):
            with (
                open_output_file(path, stdout) as write,
                open_archive_destination(str(location), write, for_docker=False, ref=_ref(location, ref)) as archive,
            ):
                yield archive
        case DockerArchiveLocation(path, _, position):
            if position is not None:
                raise _only_read(location, f"@{position}")
            with (
                open_output_file(path, stdout) as write,
                open_archive_destination(str(location), write, for_docker=True) as archive,
            ):
                yield archive
        case DaemonLocation(reference, identifier):
            if reference is None or reference.digest:
                raise _only_read(location, identifier or f"@{reference.digest if reference else ''}")
            with open_daemon_destination(reference, environ) as daemon:
                yield daemon
        case StorageLocation(spec, reference, identifier):
            if reference is None or reference.digest:
                raise _only_read(location, identifier or f"@{reference.digest if reference else ''}")
            with open_storage_destination(spec, reference, store.temporary.path, environ) as storage:
                yield storage
        case _:
            assert_never(location)


def _ref(location: Location, ref: str) -> str:
    """Return what index.json is to call the image."""
    if ref.startswith(("@", "sha256:", "sha512:")):
        raise _only_read(location, ref)
    return ref


def _only_read(location: Location, what: str) -> UsageError:
    return UsageError(f"{location}: {what} can be read, and nothing can be called so", hint="Write NAME:TAG.")
