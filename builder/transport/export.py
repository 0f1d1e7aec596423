"""The finished image on its way out: an output that was asked for → names, files, a stream, and a line about each.

Every output is a copy from the store (builder.transport.copy); what leaves it packed is packed first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from builder.errors import TransportError
from builder.image.image import is_index
from builder.oci.descriptor import Descriptor
from builder.oci.reference import Reference, parse_reference
from builder.store.store import Store
from builder.transport.copy import copy_image
from builder.transport.output import (
    ArchiveOutput,
    CacheOnlyOutput,
    ImageOutput,
    LocalOutput,
    OutputSpec,
    TarOutput,
)
from builder.transport.packing import pack_image
from builder.transport.packing_choice import Packing
from builder.transport.places.archive import open_archive_destination
from builder.transport.places.layout import LayoutDestination
from builder.transport.places.one_file import open_output_file, shown
from builder.transport.places.rootfs import DirectoryDestination, TarDestination
from builder.transport.places.store import StoreSource
from builder.transport.progress import Report, ignore_progress

_AS_IT_IS = Packing(compression="uncompressed")


def write_output(
    spec: OutputSpec,
    store: Store,
    image: Descriptor,
    names: Sequence[Reference | str] = (),
    *,
    epoch: int | None = None,
    stdout: int | None = None,
    report: Report = ignore_progress,
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
            all_names = _all_names(given, spec.names)
            if spec.is_pushed:
                return _push(spec, store, image, all_names, epoch, report)
            return _name_image(spec, store, image, all_names)
        case ArchiveOutput():
            return _export(spec, store, image, _all_names(given, spec.names), epoch, stdout)
        case TarOutput(dest):
            with open_output_file(dest, stdout) as write:
                copy_image(StoreSource(store), TarDestination(store, dest, write, epoch=epoch), image)
            return f"wrote root file system {shown(dest)}"
        case LocalOutput(dest):
            destination = DirectoryDestination(store, dest, epoch=epoch)
            copy_image(StoreSource(store), destination, image)
            return f"wrote root file system {dest}{_in_short(destination.remarks)}"
        case _:
            assert_never(spec)


def _name_image(spec: ImageOutput, store: Store, image: Descriptor, names: Sequence[Reference]) -> str:
    """Give an image of the store names, and the annotations of the spec."""
    if spec.annotations:
        image = pack_image(store, image, _AS_IT_IS, annotations=spec.annotations)
    store.names.set_all((name, image) for name in names)
    return f"named {', '.join(name.familiar for name in names)}" if names else f"kept {image.digest} in the store"


def _push(
    spec: ImageOutput,
    store: Store,
    image: Descriptor,
    names: Sequence[Reference],
    epoch: int | None,
    report: Report,
) -> str:
    """Name an image of the store, and push it under each name."""
    from builder.transport.push import push_all  # gate: network

    if spec.annotations:
        image = pack_image(store, image, _AS_IT_IS, annotations=spec.annotations)
    store.names.set_all((name, image) for name in names)
    reproducible = epoch is not None
    pushed = push_all(store, image, names, packing=spec.packing, reproducible=reproducible, report=report)
    return ", ".join(f"pushed {name.familiar}@{digest}" for name, digest in zip(names, pushed))


def _export(
    spec: ArchiveOutput,
    store: Store,
    image: Descriptor,
    names: Sequence[Reference],
    epoch: int | None,
    stdout: int | None,
) -> str:
    """Pack an image and write the archive or directory; return a line that says so."""
    if spec.for_docker and is_index(image):
        raise TransportError(
            "type=docker holds an image for one platform only", hint="Use type=oci, or build one platform at a time."
        )

    def packed() -> Descriptor:
        reproducible = epoch is not None
        return pack_image(store, image, spec.packing, annotations=spec.annotations, reproducible=reproducible)

    if spec.is_directory:
        copy_image(StoreSource(store), LayoutDestination(spec.dest), packed(), names=names)
        return f"wrote image layout {spec.dest}"
    with (
        open_output_file(spec.dest, stdout) as write,
        open_archive_destination(spec.dest, write, for_docker=spec.for_docker) as destination,
    ):
        copy_image(StoreSource(store), destination, packed(), names=names)
    return f"wrote {'docker' if spec.for_docker else 'oci'} archive {shown(spec.dest)}"


def _all_names(first: Sequence[Reference], second: Sequence[Reference]) -> tuple[Reference, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _in_short(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    return f" ({remarks[0]}{f', and {len(remarks) - 1} more like it' if remarks[1:] else ''})"
