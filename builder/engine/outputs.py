"""What becomes of finished images: an index over several platforms, and the places that `--output` names."""

from __future__ import annotations

from builder.engine.built_image import BuiltImage
from builder.engine.session import BuildSession
from builder.image.assemble import assemble_index
from builder.oci.annotations import INDEX_PLACES, select
from builder.oci.descriptor import Descriptor
from builder.oci.reference import Reference
from builder.transport.export import write_output
from builder.transport.output import OutputSpec, parse_outputs


def check_outputs(session: BuildSession) -> tuple[OutputSpec, ...]:
    """Return the outputs that were asked for, checked before anything is built. Raises UsageError."""
    return parse_outputs(session.request.outputs, session.platforms, makes_index=session.makes_index)


def write_outputs(
    session: BuildSession,
    outputs: tuple[OutputSpec, ...],
    descriptor: Descriptor,
    images: tuple[BuiltImage, ...],
    names: tuple[Reference, ...],
) -> tuple[str, ...]:
    """Write the image to every place asked for; return a line for each. Raises TransportError, StoreError."""
    epoch = session.epoch(images[0].plan)
    return tuple(
        write_output(spec, session.store, descriptor, names=[str(name) for name in names], epoch=epoch)
        for spec in outputs
    )


def write_index(session: BuildSession, images: tuple[BuiltImage, ...]) -> Descriptor:
    """Write the index of the images of several platforms to the store."""
    inside, outside = (select(session.request.annotations, place) for place in INDEX_PLACES)
    descriptor = assemble_index(session.store, [built.image.descriptor for built in images], inside)
    return descriptor._replace(annotations=outside)
