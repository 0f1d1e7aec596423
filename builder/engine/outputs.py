"""The places that `--output` names, and what is written there."""

from __future__ import annotations

from builder.engine.built_image import BuiltImage
from builder.engine.session import BuildSession
from builder.errors import UsageError
from builder.oci.descriptor import Descriptor
from builder.oci.reference import Reference
from builder.solve import events
from builder.store.enclosing import refuse_store
from builder.transport.export import write_output
from builder.transport.output import ArchiveOutput, ImageOutput, LocalOutput, parse_outputs


class Outputs:
    """The outputs of a build, checked before anything is built."""

    def __init__(self, session: BuildSession) -> None:
        """Parse and check what was asked for. Raises UsageError, StoreError."""
        self._session = session
        self._specs = parse_outputs(session.request.outputs, session.platforms, makes_index=session.makes_index)
        for spec in self._specs:
            if isinstance(spec, LocalOutput) or (isinstance(spec, ArchiveOutput) and spec.is_directory):
                refuse_store(spec.dest, spec.dest)
            if isinstance(spec, ImageOutput) and spec.is_pushed and not (spec.names or session.request.tags):
                raise UsageError(
                    "a name is needed to push an image", hint="Give one with --tag, or with name= in --output."
                )

    def write(
        self, descriptor: Descriptor, images: tuple[BuiltImage, ...], names: tuple[Reference, ...]
    ) -> tuple[str, ...]:
        """Write the image to every place asked for; return a line for each. Raises TransportError, StoreError."""
        session = self._session
        epoch = session.epoch(images[0].plan)

        report = events.report_to(session.sink)
        return tuple(
            write_output(
                spec, session.store, descriptor, names=[str(name) for name in names], epoch=epoch, report=report
            )
            for spec in self._specs
        )
