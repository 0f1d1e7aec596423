"""The image that is to be explained: where it is, its layers as far as they can be had, and the record of its build.

In: a store and what people type. Out: the image, and its record if one was made here or is attached to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from builder.engine.build_record import BuildRecord, record_of, steps_below
from builder.engine.carried_record import ARTIFACT_TYPE, CarriedRecord, find_carried, keep_carried
from builder.engine.result import ImageReport
from builder.errors import PybuildError
from builder.image.image import Image, load_image
from builder.image.listing import find_descriptor, load_local
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.platform import host_platform, parse_platform
from builder.oci.reference import Reference, reference_or_none
from builder.solve import events
from builder.store.store import Notify, Store
from builder.transport.places.location import RegistryLocation, StoreLocation, is_elsewhere, parse_location
from builder.transport.resolver import Resolver


class Recorded(NamedTuple):
    """A record, and what it has of one image."""

    record: BuildRecord
    report: ImageReport
    carried: CarriedRecord | None
    """What came with the image, where it was not built here."""


def find_image(
    store: Store, text: str, platform: str, sink: events.EventSink, notify: Notify
) -> tuple[str, Descriptor, Image, dict[str, str]]:
    """Return what it is called, the descriptor of that name, the image, and why layers are not here, by digest."""
    wanted = parse_platform(platform) if platform else None
    resolver = Resolver(store, report=events.report_to(sink))
    location = parse_location(text) if is_elsewhere(text) else StoreLocation(text)
    if isinstance(location, StoreLocation):
        top = find_descriptor(store, location.text)
        image = load_local(store, top) if wanted is None else load_image(store.blobs, top, wanted)
        return _called(location.text, store.names.names_of(top.digest), image), top, image, resolver.available(image)
    top, image, missing = resolver.look(location, wanted or host_platform())
    if isinstance(location, RegistryLocation):
        try:
            _take_record(store, resolver, location.reference, (top.digest, image.descriptor.digest))
        except PybuildError as error:
            notify(f"it cannot be told whether a build record is attached: {error.message}")
    return str(location), top, image, missing


def _take_record(store: Store, resolver: Resolver, name: Reference, digests: tuple[Digest, Digest]) -> None:
    """Keep the record that is attached to an index, or else to its image."""
    for digest in dict.fromkeys(digests):
        data = resolver.attached(name, digest, ARTIFACT_TYPE)
        if data is not None:
            keep_carried(store, digest, data)
            return


def _called(text: str, names: Sequence[str], image: Image) -> str:
    """Return the name that was asked for; of an ID, the first that there is."""
    asked = reference_or_none(text)
    if asked is not None and str(asked) in names:
        return asked.familiar
    found = reference_or_none(names[0]) if names else None
    return found.familiar if found is not None else names[0] if names else str(image.id)


def find_recorded(store: Store, top: Descriptor, image: Image) -> Recorded | None:
    for digest in dict.fromkeys((top.digest, image.descriptor.digest)):
        own = record_of(store, digest)
        carried = find_carried(store, digest) if own is None else None
        record = own or (carried.record if carried is not None else None)
        for report in record.images if record is not None else ():
            if record is not None and report.image_id == str(image.id) and _tells_of(record, report, image):
                return Recorded(record, report, carried)
    return None


def _tells_of(record: BuildRecord, report: ImageReport, image: Image) -> bool:
    """Say whether the layers that a record tells of are those of the image: one that came along is anybody's."""
    steps = record.steps_for(report.platform)
    result = dict(record.results).get(report.platform)
    made = {step.step: step.layer for step in report.steps}
    # As in any plan, a step stands on earlier ones: no way through them goes in circles.
    is_plan = all(
        needed in steps and needed < step.step
        for step in steps.values()
        for needed in (*step.reads, *(() if step.parent is None else (step.parent,)))
    )
    if not is_plan or not steps.keys() <= made.keys() or (result is not None and result not in steps):
        return False
    layers = [made[at] for at in steps_below(steps, result) if made[at]]
    ids = [str(diff_id) for diff_id in image.config.diff_ids]
    return layers[::-1] == ids[len(ids) - len(layers) :]
