"""The root file system of an image, for people: one tar, or a directory. Straight from the layers, nothing unpacked.

In: the layers of an image. Out: a tar stream with whiteouts applied, in tree order; or files owned by who asks for
them, as BuildKit's local exporter writes them. No privileges are needed for either.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import NoReturn

from builder.errors import StoreError, TransportError
from builder.filesystem.entry import Entry, tree_key
from builder.image.image import has_file_system, is_index, load_image, walk_manifests
from builder.layer.apply import apply_layer
from builder.layer.compression import open_stored
from builder.layer.content import Content
from builder.layer.tar_writer import write_tree
from builder.layer.view import MergedView, ViewEntry, ViewLayer
from builder.oci.descriptor import Descriptor
from builder.oci.reference import Reference
from builder.store.layers import LayerRecord
from builder.store.store import Store
from builder.transport.fetch_layers import layer_records
from builder.transport.layer_index import open_layer_index
from builder.transport.places.store import StoreDestination
from builder.transport.source import Document


@contextmanager
def open_view(store: Store, layers: Sequence[LayerRecord]) -> Iterator[MergedView]:
    """Give the merged view of `layers`, base first."""
    with ExitStack() as stack:
        members = []
        for layer in layers:
            index = stack.enter_context(open_layer_index(store, layer))
            members.append(ViewLayer(index, _tar_path(store, layer)))
        yield MergedView(members)


class _RootfsDestination(StoreDestination):
    """Takes an image into the store, where its layers can be looked into, and writes its root file system then."""

    def __init__(self, store: Store, location: str, epoch: int | None) -> None:
        super().__init__(store)
        self.location = location
        self._epoch = epoch

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Say whether the blob is here; a layer may be so in any form."""
        diff_id = self._store.layers.find_diff_id(descriptor.digest)
        return super().has_blob(descriptor) or (diff_id is not None and self._store.layers.find(diff_id) is not None)


class TarDestination(_RootfsDestination):
    """The root file system as one tar; of an index, each platform's in a directory of its own (`linux_amd64`)."""

    def __init__(
        self, store: Store, location: str, write: Callable[[bytes], object], *, epoch: int | None = None
    ) -> None:
        super().__init__(store, location, epoch)
        self._write = write

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Write the tar. Raises LayerError, StoreError."""
        self.put_manifest(top)
        write_rootfs(self._store, _stacks(self._store, top.descriptor), self._write, epoch=self._epoch)


class DirectoryDestination(_RootfsDestination):
    """The root file system in a directory, over what is there; all of it owned by who we are."""

    def __init__(self, store: Store, directory: str, *, epoch: int | None = None) -> None:
        super().__init__(store, directory, epoch)
        self.remarks: Sequence[str] = ()
        """What could not be done as the layers say."""
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            raise TransportError(f"making {directory}: {(error.strerror or str(error)).lower()}") from error

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Write the files. Raises TransportError, LayerError, StoreError."""
        self.put_manifest(top)
        stacks = _stacks(self._store, top.descriptor)
        with _Pipe(lambda write: write_rootfs(self._store, stacks, write, epoch=self._epoch)) as reader:
            self.remarks = apply_layer(reader, self.location, overlay=False, ids="ignore")


def write_rootfs(
    store: Store,
    stacks: Mapping[str, Sequence[LayerRecord]],
    write: Callable[[bytes], object],
    *,
    epoch: int | None = None,
) -> None:
    """Write a tar of stacks of layers, each below its directory ("" is the root of the tar).

    `epoch` (seconds) becomes the time of every entry.
    """
    write_tree(_all_items(store, stacks, epoch), write)


def _stacks(store: Store, image: Descriptor) -> dict[str, tuple[LayerRecord, ...]]:
    if not is_index(image):
        return {"": _layers(store, image)}
    return {
        str(manifest.platform).replace("/", "_"): _layers(store, manifest)
        for manifest in walk_manifests(store.blobs, image)
        if has_file_system(store.blobs, manifest)
    }


def _layers(store: Store, manifest: Descriptor) -> tuple[LayerRecord, ...]:
    def lost() -> NoReturn:
        raise StoreError(f"layers of {manifest.digest} are missing from the store", hint="Build the image again.")

    return layer_records(store, load_image(store.blobs, manifest), lost)


def _all_items(
    store: Store, stacks: Mapping[str, Sequence[LayerRecord]], epoch: int | None
) -> Iterator[tuple[Entry, Content | None]]:
    for directory in sorted(stacks):
        if directory:
            yield Entry(directory, "directory", 0o755, mtime=epoch or 0), None
        with open_view(store, stacks[directory]) as view:
            for entry, content in _items(view, epoch):
                yield (_below(directory, entry) if directory else entry), content


def _below(directory: str, entry: Entry) -> Entry:
    link = f"{directory}/{entry.link}" if entry.kind == "hardlink" else entry.link
    return entry._replace(path=f"{directory}/{entry.path}", link=link)


def _items(view: MergedView, epoch: int | None) -> Iterator[tuple[Entry, Content | None]]:
    """Yield what a tar of the view holds: of the names of one file the first has the bytes, the others are links."""
    first: dict[tuple[int, int], str] = {}
    for found in view.walk():
        entry = found.entry
        if not entry.path:
            continue
        if epoch is not None:
            entry = entry._replace(mtime=epoch)
        if entry.kind not in ("file", "hardlink"):
            yield entry, None
            continue
        place = (found.layer_number, found.offset)
        earlier = first.get(place) or (_earlier_name(view, found) if entry.kind == "hardlink" else None)
        if earlier is not None:
            yield entry._replace(kind="hardlink", link=earlier, size=0, digest=""), None
            continue
        # Only of links the place is noted: a file does not say that it has more names, and most have none.
        if entry.kind == "hardlink":
            first[place] = entry.path
        yield entry._replace(kind="file", link=""), view.content(found)


def _earlier_name(view: MergedView, found: ViewEntry) -> str | None:
    """Return the name a hard link refers to, if it has been passed in tree order and still is that file."""
    link = found.entry.link
    target = view.find(link)
    if target is None or (target.layer_number, target.offset) != (found.layer_number, found.offset):
        return None
    return link if tree_key(link) < tree_key(found.entry.path) else None


def _tar_path(store: Store, layer: LayerRecord) -> Callable[[], str]:
    return lambda: store.layers.uncompressed_path(layer, open_stored)


class _Pipe:
    """Runs a producer in a thread and gives what it writes to be read; its error is raised at the end."""

    def __init__(self, produce: Callable[[Callable[[bytes], object]], None]) -> None:
        self._produce = produce
        self._reading, self._writing = os.pipe()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="rootfs", daemon=True)

    def read(self, size: int, /) -> bytes:
        return os.read(self._reading, size)

    def __enter__(self) -> _Pipe:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        os.close(self._reading)  # a producer that still writes gets EPIPE and ends
        self._thread.join()
        if self._failure is not None and not isinstance(self._failure, BrokenPipeError):
            raise self._failure

    def _run(self) -> None:
        try:
            with open(self._writing, "wb", buffering=1 << 20) as file:
                self._produce(file.write)
        except BaseException as failure:
            self._failure = failure
