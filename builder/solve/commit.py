"""Entries in, a layer in the store out: tar and table of contents written in one pass, then both made visible."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from builder.errors import Cancelled
from builder.layer.tar_writer import write_layer
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID
from builder.oci.media_type import OCI_LAYER
from builder.solve.events import Warned
from builder.solve.secret_watch import SecretWatch, watch_for
from builder.store.layers import LayerRecord
from builder.transport.layer_index import keep_layer_index, open_layer_index

if TYPE_CHECKING:
    from builder.filesystem.entry import Entry
    from builder.layer.content import Content
    from builder.solve.job import StepJob
    from builder.solve.job_tools import JobTools
    from builder.store.store import Store


def check_cancelled(cancel: Event) -> None:
    """Raise Cancelled once `cancel` is set."""
    if cancel.is_set():
        raise Cancelled("the build was stopped")


def until_cancelled(
    items: Iterable[tuple[Entry, Content | None]], cancel: Event
) -> Iterator[tuple[Entry, Content | None]]:
    """Give what `items` gives. Raises Cancelled once `cancel` is set."""
    for item in items:
        check_cancelled(cancel)
        yield item


class Committed(NamedTuple):
    """A layer in the store. `hashed` has the digests that were found while it was written: path → sha256 in hex."""

    layer: LayerRecord
    hashed: Mapping[str, str]
    warnings: tuple[Warned, ...] = ()
    """Given whenever the layer is used, also when a later build takes it from the cache."""


def commit_job(job: StepJob, items: Iterable[tuple[Entry, Content | None]], tools: JobTools) -> Committed:
    """Write the layer of a job, with a warning for each secret whose value is in it. Raises as `commit_layer`."""
    store, secrets = tools.worker.store, tools.secrets.values
    if not secrets:
        return commit_layer(store, items, epoch=job.epoch)
    watch = watch_for(secrets)
    committed = commit_layer(store, items, epoch=job.epoch, watch=watch)
    # No index is opened for a layer that holds no secret: nearly all of them.
    if watch is None or not watch.found:
        return committed
    with open_layer_index(store, committed.layer) as index:
        found = [(name, f" (/{path})" if path else "") for name, path in watch.places(index).items()]
    said = f"is in the layer of {job.step.title}"
    messages = (f"the value of secret {name} {said}{where}: whoever has the image has it" for name, where in found)
    location = job.step.label.location
    # The name of the secret and the file, never the value: a warning is shown and kept.
    return committed._replace(warnings=tuple(Warned("SecretInLayer", each, location) for each in messages))


def commit_layer(
    store: Store, items: Iterable[tuple[Entry, Content | None]], *, epoch: int | None, watch: SecretWatch | None = None
) -> Committed:
    """Write `items` as one uncompressed layer; `epoch` (seconds since 1970) clamps their times; `watch` sees the bytes.

    Raises StoreError, LayerError, ContextError. A layer that is already there is not written twice.
    """
    index = store.temporary.path("index")
    try:
        with store.blobs.ingest() as blob:
            write = blob.write if watch is None else watch.watching(blob.write)
            statistics, hashed = write_layer(items, write, index, epoch=epoch)
            diff_id = DiffID(blob.commit())
        keep_layer_index(store, index, diff_id)
    finally:
        # It is still there when writing failed, and when a sound one of the same layer was there before.
        if os.path.exists(index):
            os.unlink(index)
    descriptor = Descriptor(media_type=OCI_LAYER, digest=diff_id, size=store.blobs.size(diff_id))
    layer = LayerRecord(
        descriptor=descriptor,
        diff_id=diff_id,
        entries=statistics.entries,
        files=statistics.files,
        bytes=statistics.bytes_,
    )
    return Committed(layer, hashed)
