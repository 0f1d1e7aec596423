"""One copy between any two places: documents are read first, blobs that are missing follow, the names come last.

    copy_image(source, destination, "latest", names=[…])

A push is a copy from the store to a registry, a pull one the other way, an export one to a file. Bytes stay exact:
what is packed anew is packed before (builder.transport.packing).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event

from builder.oci.descriptor import Descriptor
from builder.oci.platform import Platform
from builder.oci.reference import Reference
from builder.transport.destination import Destination
from builder.transport.documents import Documents, read_documents
from builder.transport.progress import DONE, PRESENT, BlobState, Report, Watched, ignore_progress
from builder.transport.source import BlobFile, BlobSink, Document, Source


def copy_image(
    source: Source,
    destination: Destination,
    image: str | Descriptor,
    *,
    names: Sequence[Reference] = (),
    platform: Platform | None = None,
    report: Report = ignore_progress,
) -> Documents:
    """Copy an image, by what the source calls it or by its known descriptor, and let `names` stand for it.

    With a `platform`, only its image of an index is copied, as a manifest. Returns the documents that were copied.
    Raises ImageError, and what the two places raise.
    """
    documents = read_documents(source, image, platform)
    if platform is not None:
        documents = documents.without_indexes()
    copy_documents(source, destination, documents, names=names, report=report)
    return documents


def copy_documents(
    source: Source,
    destination: Destination,
    documents: Documents,
    *,
    names: Sequence[Reference] = (),
    report: Report = ignore_progress,
) -> None:
    """Copy what was read from the source already, with all that it leads to. Raises as `copy_image`."""
    blobs = {blob.digest: blob for blob in documents.blobs()}
    if destination.documents_are_blobs:
        blobs |= {document.descriptor.digest: document.descriptor for document in documents.all}
        source = _WithDocuments(source, documents)
    # By digest, so that a file of them is the same however it came about; where several go at once, large ones first,
    # as who waits for the last one should not wait for a large one.
    by_size = destination.parallel > 1
    ordered = sorted(blobs.values(), key=lambda blob: (-blob.size if by_size else 0, blob.digest))
    copy_blobs(source, destination, ordered, report=report)
    for document in documents.all[:-1]:
        destination.put_manifest(document)
    destination.finish(documents.top, names)


def copy_blobs(
    source: Source,
    destination: Destination,
    blobs: Sequence[Descriptor],
    then: Callable[[Descriptor], None] = lambda blob: None,
    *,
    report: Report = ignore_progress,
) -> None:
    """Copy the blobs that the destination has not got, several at once where it can take them.

    `then` is called in the same thread for each that is there. After an error, what has not begun is left out; the
    error is raised once all threads have ended, which an interruption has them do at their next block.
    """
    stopping = Event()
    watched = Watched(source, report, stopping.is_set)

    def copy(blob: Descriptor) -> None:
        begun = time.monotonic()
        if destination.has_blob(blob):
            report(BlobState(blob.digest, PRESENT, blob.size))
        else:
            destination.put_blob(blob, watched)
            report(BlobState(blob.digest, DONE, blob.size, blob.size, time.monotonic() - begun))
        then(blob)

    if destination.parallel == 1 or len(blobs) < 2:
        for blob in blobs:
            copy(blob)
        return
    with ThreadPoolExecutor(min(destination.parallel, len(blobs)), thread_name_prefix="layer") as pool:
        futures = [pool.submit(copy, blob) for blob in blobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        if any(future.exception() for future in done):
            pool.shutdown(wait=True, cancel_futures=True)
    for future in futures:
        if not future.cancelled():
            future.result()


class _WithDocuments:
    """A source that gives the documents that were read from it as blobs."""

    def __init__(self, source: Source, documents: Documents) -> None:
        self.location = source.location
        self.is_checked = source.is_checked
        self._source = source
        self._documents = {document.descriptor.digest: document for document in documents.all}

    def manifest(self, name: str) -> Document:
        return self._source.manifest(name)

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        if descriptor.digest in self._documents:
            sink.write(self._documents[descriptor.digest].data)
        else:
            self._source.blob(descriptor, sink)

    def open_blob(self, descriptor: Descriptor) -> BlobFile | None:
        return None if descriptor.digest in self._documents else self._source.open_blob(descriptor)
