"""Carries out an output: a finished image of the store → the place an `OutputSpec` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, assert_never

from builder.errors import StoreError
from builder.image.image import load_image
from builder.oci.descriptor import Descriptor
from builder.oci.reference import Reference
from builder.store.store import Store
from builder.transport.output import (
    ArchiveOutput,
    CacheOnlyOutput,
    ImageOutput,
    LocalOutput,
    OutputSpec,
    Packing,
    TarOutput,
)

if TYPE_CHECKING:
    from builder.store.layers import LayerRecord


def write_output(
    spec: OutputSpec,
    store: Store,
    image: Descriptor,
    names: Sequence[Reference] = (),
    *,
    epoch: int | None = None,
    stdout: int | None = None,
) -> tuple[str, ...]:
    """Write `image` (a manifest of the store) to where `spec` says, under `names` and those of the spec.

    `epoch` is SOURCE_DATE_EPOCH in seconds: it makes compression reproducible and is the time of exported files.
    `stdout` is the descriptor that `dest=-` writes to. Returns remarks, one line each. Raises TransportError,
    StoreError, LayerError.
    """
    # Cached builds that stay in the store pass here too: archives, codecs and tars are imported where they are used.
    match spec:
        case CacheOnlyOutput():
            return ()
        case ImageOutput():
            if spec.annotations:
                image = _annotated(spec, store, image)
            store.names.set_all((name, image) for name in _all_names(names, spec.names))
            return ()
        case ArchiveOutput():
            _export_archive(spec, store, image, _all_names(names, spec.names), epoch, stdout)
            return ()
        case TarOutput(dest):
            from builder.transport.destination import open_destination
            from builder.transport.rootfs import write_rootfs

            layers = _layers(store, image)
            with open_destination(dest, stdout) as write:
                write_rootfs(store, layers, write, epoch=epoch)
            return ()
        case LocalOutput(dest):
            from builder.transport.rootfs import unpack_rootfs

            return unpack_rootfs(store, _layers(store, image), dest, epoch=epoch)
        case _:
            assert_never(spec)


def _export_archive(
    spec: ArchiveOutput,
    store: Store,
    image: Descriptor,
    names: Sequence[Reference],
    epoch: int | None,
    stdout: int | None,
) -> None:
    from builder.transport.archive import write_archive, write_layout
    from builder.transport.destination import open_destination
    from builder.transport.packing import pack_image

    packed = pack_image(
        store,
        load_image(store.blobs, image),
        spec.packing,
        annotations=spec.annotations,
        reproducible=epoch is not None,
    )
    if spec.is_directory:
        write_layout(store, packed, names, spec.dest)
        return
    with open_destination(spec.dest, stdout) as write:
        write_archive(store, packed, names, write, for_docker=spec.for_docker)


def _annotated(spec: ImageOutput, store: Store, image: Descriptor) -> Descriptor:
    from builder.transport.packing import pack_image

    as_it_is = Packing(compression="uncompressed")
    return pack_image(store, load_image(store.blobs, image), as_it_is, annotations=spec.annotations).manifest


def _layers(store: Store, image: Descriptor) -> tuple[LayerRecord, ...]:
    from builder.transport.pull import layer_records

    def lost() -> NoReturn:
        raise StoreError(f"layers of {image.digest} are missing from the store", hint="Build the image again.")

    return layer_records(store, load_image(store.blobs, image), lost)


def _all_names(first: Sequence[Reference], second: Sequence[Reference]) -> tuple[Reference, ...]:
    return tuple(dict.fromkeys((*first, *second)))
