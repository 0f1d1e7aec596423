"""Image names: `index.json` of the store, an OCI image layout (image-spec image-layout.md#indexjson-file).

    {"manifests": [{"digest": …, "mediaType": …, "size": …, "annotations":
        {"org.opencontainers.image.ref.name": "docker.io/library/demo:latest",     as in `skopeo copy oci:STORE:NAME`
         "io.containerd.image.name":          "docker.io/library/demo:latest"}}]}

An image that loses its last name stays as an entry without one ("dangling") until it is pruned. Written under an
exclusive lock, read without any: the file changes by rename only. In and out: full normalised names and descriptors.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from builder.errors import PybuildError, StoreError
from builder.oci import canonical
from builder.oci.descriptor import CONTAINERD_NAME, REF_NAME, Descriptor, descriptor_from_json
from builder.oci.digest import Digest
from builder.oci.media_type import OCI_INDEX
from builder.oci.reference import Reference
from builder.store import atomic
from builder.store.checked import open_regular
from builder.store.os_errors import store_error, translated
from builder.store.reserve import Reserve
from builder.store.temporary import TemporaryFiles

_DOING = "writing the image names of the store"


class ImageNames:
    """The names of one store."""

    def __init__(self, root: str, temporary: TemporaryFiles, reserve: Reserve) -> None:
        self.path = f"{root}/index.json"
        self._lock_path = f"{root}/index.lock"
        self._temporary = temporary
        self._reserve = reserve
        self._stamp: tuple[int, int, int] = (0, 0, 0)
        self._entries: tuple[Descriptor, ...] = ()

    def find(self, reference: Reference | str) -> Descriptor | None:
        """Return what a full normalised name stands for, without the naming annotations; None when unknown."""
        name = str(reference)
        for entry in self.entries():
            if name_of(entry) == name:
                return _without_name(entry)
        return None

    def get(self, reference: Reference | str) -> Descriptor:
        """As `find`. Raises StoreError when there is none."""
        found = self.find(reference)
        if found is None:
            raise StoreError(f"no image is called {reference}", hint="`pybuild images` lists those there are.")
        return found

    def items(self) -> list[tuple[str, Descriptor]]:
        """Return every name with its descriptor, sorted by name."""
        named = [(name_of(entry), _without_name(entry)) for entry in self.entries()]
        return sorted(((name, entry) for name, entry in named if name), key=lambda item: item[0])

    def dangling(self) -> list[Descriptor]:
        """Return the images that have no name at all."""
        named = {entry.digest for entry in self.entries() if name_of(entry)}
        return [entry for entry in self.entries() if entry.digest not in named]

    def names_of(self, digest: Digest) -> list[str]:
        return sorted(name_of(entry) for entry in self.entries() if entry.digest == digest and name_of(entry))

    def set(self, reference: Reference | str, descriptor: Descriptor) -> None:
        """Let a name stand for `descriptor`; what it stood for before stays, dangling. No change, no write."""
        self.set_all([(reference, descriptor)])

    def set_all(self, pairs: Iterable[tuple[Reference | str, Descriptor]]) -> None:
        """As `set`, for several names in one write. Raises StoreError for a name with the digest of something else."""
        wanted = [(str(reference), descriptor) for reference, descriptor in pairs]
        for name, descriptor in wanted:
            _check_digest(name, descriptor)
        found = [(self.find(name), descriptor) for name, descriptor in wanted]
        if any(old is None or not _same(old, _without_name(new)) for old, new in found):
            self._change(lambda entries: _with_names(entries, wanted))

    def add(self, descriptor: Descriptor) -> None:
        """Keep an image without a name."""
        if all(entry.digest != descriptor.digest for entry in self.entries()):
            self._change(lambda entries: _tidy([*entries, _without_name(descriptor)]))

    def delete(self, reference: Reference | str, *, keep: bool = False) -> bool:
        """Remove a name; with `keep`, its image stays as a dangling one. Says whether the name was there."""
        name = str(reference)
        if self.find(name) is None:
            return False

        def change(entries: list[Descriptor]) -> list[Descriptor]:
            removed = [_without_name(entry) for entry in entries if name_of(entry) == name]
            return _tidy([entry for entry in entries if name_of(entry) != name] + (removed if keep else []))

        self._reserve.used_for(lambda: self._change(change))
        return True

    def forget(self, digests: Iterable[Digest]) -> None:
        """Remove images under all their names."""
        gone = set(digests)
        if any(entry.digest in gone for entry in self.entries()):
            self._reserve.used_for(
                lambda: self._change(lambda entries: [entry for entry in entries if entry.digest not in gone])
            )

    def entries(self) -> tuple[Descriptor, ...]:
        """Return all entries as they stand in the file, named or not."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise store_error(error, "reading the image names of the store") from error
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._entries = tuple(self._read())
            self._stamp = stamp
        return self._entries

    def _read(self) -> list[Descriptor]:
        try:
            with open_regular(self.path) as file:
                document = json.loads(file.read())
            members = document.get("manifests")
            if not isinstance(members, list):  # an empty store has an empty list (image-spec v1.1 image-index.md)
                raise ValueError("it has no list of manifests")
            return [descriptor_from_json(item, f"{self.path}: manifests[{n}]") for n, item in enumerate(members)]
        except FileNotFoundError:
            return []
        except OSError as error:
            if error.errno == errno.EINVAL:  # no file at all
                raise self._unreadable(error) from error
            raise store_error(error, "reading the image names of the store") from error
        except (PybuildError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> StoreError:
        reason = error.strerror if isinstance(error, OSError) else error
        return StoreError(
            f"the image names of the store are unreadable: {reason}",
            hint=f"Repair it, or remove it: rm '{self.path}'. Images then have no names, until they are built or "
            "pulled again; do not prune before.",
        )

    def _change(self, change: Callable[[list[Descriptor]], list[Descriptor]]) -> None:
        with self._locked(), translated(_DOING):
            before = self._read()  # never the remembered ones: another process may have written
            after = change(before)
            if _document(after) != _document(before):
                atomic.write_file(self.path, self._temporary.path("index"), _document(after))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with translated(_DOING):
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:
                os.close(descriptor)
                raise
        try:
            yield
        finally:
            os.close(descriptor)


def _check_digest(name: str, descriptor: Descriptor) -> None:
    digest = name.partition("@")[2]
    if digest and digest != descriptor.digest:
        raise StoreError(
            f"{name} cannot stand for {descriptor.digest}: a name with a digest is of one image alone",
            hint="Use a name without a digest. An archive that has such names is damaged or hostile.",
        )


def name_of(entry: Descriptor) -> str:
    """Return the name an entry of index.json bears, or an empty text."""
    return entry.annotations.get(CONTAINERD_NAME) or entry.annotations.get(REF_NAME, "")


def renamed(data: bytes, what: str, descriptor: Descriptor, names: Iterable[Reference]) -> bytes:
    """Return index.json of a store, `data`, with an image more: under `names`, or without one. Raises StoreError.

    For the store of another machine. `what` is how messages call the file.
    """
    try:
        members = json.loads(data)["manifests"]
        entries = [descriptor_from_json(item, f"{what}: manifests[{n}]") for n, item in enumerate(members)]
    except (PybuildError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreError(f"{what} is unreadable: {error}") from error
    wanted = [(str(name), descriptor) for name in names]
    return _document(_with_names(entries, wanted) if wanted else _tidy([*entries, _without_name(descriptor)]))


def empty_index() -> bytes:
    """Return index.json of a layout without images."""
    return _document([])


def _same(left: Descriptor, right: Descriptor) -> bool:
    return left.to_json() == right.to_json()  # a descriptor that was read keeps `platform` in two places


def _with_names(entries: list[Descriptor], wanted: list[tuple[str, Descriptor]]) -> list[Descriptor]:
    for name, descriptor in wanted:
        annotations = {**_without_name(descriptor).annotations, REF_NAME: name, CONTAINERD_NAME: name}
        moved = [_without_name(entry) if name_of(entry) == name else entry for entry in entries]
        entries = _tidy([*moved, descriptor._replace(annotations=annotations)])
    return entries


def _tidy(entries: list[Descriptor]) -> list[Descriptor]:
    """Drop nameless entries whose image has a name, and repeated ones."""
    named = {entry.digest for entry in entries if name_of(entry)}
    result: list[Descriptor] = []
    seen: set[Digest] = set()
    for entry in entries:
        if not name_of(entry):
            if entry.digest in named or entry.digest in seen:
                continue
            seen.add(entry.digest)
        result.append(entry)
    return result


def _without_name(entry: Descriptor) -> Descriptor:
    if REF_NAME not in entry.annotations and CONTAINERD_NAME not in entry.annotations:
        return entry
    kept = {key: value for key, value in entry.annotations.items() if key not in {REF_NAME, CONTAINERD_NAME}}
    return entry._replace(annotations=kept)


def _document(entries: list[Descriptor]) -> bytes:
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry.to_json() for entry in entries],
    }
    return canonical.encode(document)
