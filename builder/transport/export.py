"""The finished image on its way out: an output that was asked for → names, files, a stream, and a line about each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from builder.oci.descriptor import Descriptor
from builder.oci.reference import Reference, parse_reference
from builder.store.store import Store
from builder.transport.archive import export_archive, name_image
from builder.transport.output import ArchiveOutput, CacheOnlyOutput, ImageOutput, LocalOutput, OutputSpec, TarOutput
from builder.transport.rootfs import export_directory, export_tar


def write_output(
    spec: OutputSpec,
    store: Store,
    image: Descriptor,
    names: Sequence[Reference | str] = (),
    *,
    epoch: int | None = None,
    stdout: int | None = None,
) -> str:
    """Write `image` (a manifest or index of the store) to where `spec` says, under `names` and those of the spec.

    `epoch` is SOURCE_DATE_EPOCH in seconds: it makes compression reproducible and is the time of exported files.
    `stdout` is the descriptor behind `dest=-`. Returns a line that says what was done. Raises TransportError,
    StoreError, LayerError.
    """
    given = [parse_reference(name) if isinstance(name, str) else name for name in names]
    match spec:
        case CacheOnlyOutput():
            return "kept in the cache only"
        case ImageOutput():
            return name_image(spec, store, image, _all_names(given, spec.names))
        case ArchiveOutput():
            return export_archive(spec, store, image, _all_names(given, spec.names), epoch, stdout)
        case TarOutput(dest):
            return export_tar(store, image, dest, epoch=epoch, stdout=stdout)
        case LocalOutput(dest):
            return export_directory(store, image, dest, epoch=epoch)
        case _:
            assert_never(spec)


def _all_names(first: Sequence[Reference], second: Sequence[Reference]) -> tuple[Reference, ...]:
    return tuple(dict.fromkeys((*first, *second)))
