"""The verbs that move whole images between places: copy, save and load.

In: the store's path, and locations as builder.transport.places.location has them. Out: values; `sink` is told how far
each blob is. What comes from elsewhere keeps its bytes. What leaves the store for a registry, an archive or an image
layout has its layers compressed first, as a push does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from builder.engine.elsewhere import asked_name
from builder.engine.short_names import local_name
from builder.errors import RegistryError, StoreError, TransportError, UsageError
from builder.image.image import is_index
from builder.image.listing import find_descriptor
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.manifest import parse_manifest
from builder.oci.platform import Platform, host_platform, parse_platform
from builder.oci.reference import Reference, reference_or_none
from builder.registry.client import RegistryClient
from builder.solve import events
from builder.store.store import Notify, Store, open_store
from builder.transport.advice import explain
from builder.transport.conversion import FORMS, Form, convert
from builder.transport.copy import copy_documents, copy_image
from builder.transport.documents import Documents, read_documents
from builder.transport.packing import pack_image
from builder.transport.packing_choice import Packing
from builder.transport.places.location import (
    DaemonLocation,
    DirLocation,
    DockerArchiveLocation,
    LayoutLocation,
    Location,
    OciArchiveLocation,
    RegistryLocation,
    StorageLocation,
    StoreLocation,
    parse_location,
)
from builder.transport.places.opening import open_archive, open_destination, open_source
from builder.transport.places.store import StoreSource
from builder.transport.places.store_location import OtherStoreLocation, SshLocation
from builder.transport.places.whole_image import WholeImageDestination
from builder.transport.push import remember, what_is_here
from builder.transport.source import Source

SaveFormat = Literal["docker-archive", "oci-archive", "oci-dir", "docker-dir"]
_FORMATS = {
    "docker-archive": DockerArchiveLocation,
    "oci-archive": OciArchiveLocation,
    "oci-dir": LayoutLocation,
    "docker-dir": DirLocation,
}
_PACKED = (RegistryLocation, LayoutLocation, OciArchiveLocation, DockerArchiveLocation, SshLocation)
_ONE_PLATFORM = (DockerArchiveLocation, DaemonLocation, StorageLocation)
_OTHER_MANIFESTS = (DaemonLocation, StorageLocation)
"""They keep layers unpacked, and make a manifest when they are asked for one."""


_PATHS = ("dir", "docker-archive", "oci-archive", "oci-layout")


class Loaded(NamedTuple):
    """One image of an archive that was taken in."""

    id: Digest
    names: tuple[Reference, ...]


def copy_between(
    source: str,
    destination: str,
    root: str,
    *,
    platform: str = "",
    all_platforms: bool = False,
    preserve_digests: bool = False,
    form: str = "",
    sink: events.EventSink = events.ignore_events,
    notify: Notify,
) -> Digest:
    """Copy an image from one location to another; return the digest of the manifest or index that was copied.

    Of an index the image for `platform` is copied, by default this machine's; with `all_platforms` the index whole. An
    index of the store goes whole where it can. With `preserve_digests` nothing is packed, and a place that makes
    manifests of its own is refused. With a `form`, a word of FORMS, it gets the media types of that format.
    Raises PybuildError.
    """
    origin, target = parse_location(source), parse_location(destination)
    if platform and all_platforms:
        raise UsageError("--all and --platform are mutually exclusive")
    if preserve_digests and form:
        raise UsageError(
            "--format and --preserve-digests are mutually exclusive", hint="An image has another digest in each format."
        )
    if (preserve_digests or form) and isinstance(target, _OTHER_MANIFESTS):
        what = "--preserve-digests forbids" if preserve_digests else "leaves nothing for --format to decide"
        raise UsageError(
            f"{target}: images get other digests there, which {what}",
            hint="An oci-archive: or dir: keeps them.",
        )
    wanted = parse_platform(platform) if platform else host_platform()
    # As skopeo: of an index that lies elsewhere, the image for this machine, unless --all says otherwise.
    is_whole = all_platforms or (
        isinstance(origin, StoreLocation) and not platform and not isinstance(target, _ONE_PLATFORM)
    )
    client = RegistryClient(notify=notify)
    with open_store(root, notify=notify) as store, store.lease(), open_source(origin, store, client) as opened:
        try:
            exactly = all_platforms or bool(platform)
            documents = _documents(store, opened, origin, None if is_whole else wanted, is_exact=exactly)
        except RegistryError as error:
            raise explain(error, asked_name(origin), store, client) from error
        _tell_left_out(documents.left_out, source, notify)
        # After the documents are read and before a blob is: what a name stands for is not known before.
        if is_index(documents.top.descriptor) and isinstance(target, _ONE_PLATFORM):
            raise TransportError(
                f"{target} holds an image for one platform only", hint="Leave out --all, or copy to oci-archive:FILE."
            )
        is_packed = FORMS.get(form) == "docker" or (isinstance(target, _PACKED) and not preserve_digests)
        if isinstance(origin, StoreLocation) and is_packed:
            # Layers lie uncompressed in the store (docs/decisions/0020). Packed they are other blobs,
            # under another manifest.
            documents = read_documents(
                opened, pack_image(store, documents.top.descriptor, Packing(force=FORMS.get(form) == "docker"))
            )
        if isinstance(origin, RegistryLocation):  # before: what is there may be mounted
            remember(store, origin.reference, documents)
        if form:
            documents = _converted(documents, FORMS[form], source, notify)
        # Opened last: what is refused before this line leaves nothing there.
        with open_destination(target, store, client) as place:
            copy_documents(opened, place, documents, names=_names(store, origin, target), report=events.report_to(sink))
        # Now the blobs are there as well: the next push to that registry mounts them.
        if isinstance(target, RegistryLocation):
            remember(store, target.reference, documents)
        if isinstance(target, StoreLocation) and not isinstance(
            origin, StoreLocation | OtherStoreLocation | SshLocation
        ):
            _note_origin(store, opened.location, documents)
    return documents.top.descriptor.digest


def _converted(documents: Documents, form: Form, where: str, notify: Notify) -> Documents:
    converted, lost = convert(documents, form)
    if lost:
        notify(f"{where}: {', '.join(lost)}: not copied, {form}'s format has no place for that")
    _tell_left_out(converted.left_out[len(documents.left_out) :], where, notify)
    return converted


def _names(store: Store, origin: Location, target: Location) -> tuple[Reference, ...]:
    """Return what the image is called where it goes to: in another store what it was called, where nobody says."""
    if not isinstance(target, OtherStoreLocation | SshLocation) or target.image:
        return target.names
    name: Reference | None = None
    match origin:
        case RegistryLocation(reference):
            name = reference
        case StoreLocation(text):  # which may be an ID as well
            name = reference_or_none(text)
            name = name if name is not None and store.names.find(name) is not None else None
        case OtherStoreLocation(_, text):
            name = reference_or_none(text)
    return (name,) if name is not None and not name.digest else ()


def _documents(
    store: Store, source: Source, location: Location, platform: Platform | None, *, is_exact: bool
) -> Documents:
    """Read the documents of what is to be copied; with a `platform`, those of its image alone.

    An index of the store of which one image alone is here stands for that image, unless `is_exact`.
    """
    image: str | Descriptor = location.image
    if isinstance(location, StoreLocation):
        image = _in_store(store, source, location.image)
        if not is_exact:
            image = what_is_here(store, image)
    found = read_documents(source, image, platform)
    return found if platform is None else found.without_indexes()


def _tell_left_out(left_out: Sequence[str], where: str, notify: Notify) -> None:
    """Tell what an index names and is not carried: its bytes stay, and so does its digest."""
    for what in left_out:
        notify(f"{where} names {what}: it is not copied")


def _in_store(store: Store, source: Source, name: str) -> Descriptor:
    """Return what the store has under a name, an image ID or a digest, be it of a manifest that only an index names."""
    with suppress(StoreError):
        return find_descriptor(store, local_name(store, name))
    document = source.manifest(name)
    media_type = parse_manifest(document.data, "", f"manifest {document.descriptor.digest}").media_type
    return document.descriptor._replace(media_type=media_type)


def _note_origin(store: Store, location: str, documents: Documents) -> None:
    """Note where layers can be had again: not from standard input, nor a path that reads as a path and a name."""
    transport, _, rest = location.partition(":")
    if transport in _PATHS and (rest == "-" or ":" in rest.removeprefix("//")):
        return
    for descriptor, _ in documents.manifests:
        store.origins.put(descriptor.digest, location)


def save_images(
    root: str, names: Sequence[str], dest: str, form: SaveFormat = "docker-archive", *, notify: Notify
) -> None:
    """Write images of the store to `dest`, a file (`-` is standard output) or a directory, as `form` says.

    Raises PybuildError.
    """
    if form == "docker-dir" and len(names) > 1:
        raise UsageError("docker-dir holds one image", hint="Use oci-dir, or an archive.")
    if dest == "-" and form.endswith("-dir"):
        raise UsageError(f"{form} is a directory, and cannot be written to standard output", hint="Name it with -o.")
    target = _FORMATS[form](dest)
    with open_store(root, notify=notify) as store, store.lease():
        source = StoreSource(store)
        images: dict[Digest, tuple[Descriptor, list[Reference]]] = {}
        for name in names:
            text = local_name(store, name)
            found = find_descriptor(store, text)
            _, known = images.setdefault(found.digest, (found, []))
            reference = reference_or_none(text)
            if reference is not None and not reference.digest and store.names.find(reference) is not None:
                known.append(reference)
        if form == "oci-dir":
            _check_tags(references for _, references in images.values())
        # All are packed before the destination is opened: an archive is not begun for an image that cannot be packed.
        chosen = [(_to_save(store, source, image, target), names) for image, names in images.values()]
        with open_destination(target, store, RegistryClient()) as place:
            for image, references in chosen:
                documents = copy_image(source, place, image, names=list(dict.fromkeys(references)))
                _tell_left_out(documents.left_out, str(image.digest), notify)


def _check_tags(images: Iterable[Sequence[Reference]]) -> None:
    """Refuse images that a layout could not tell apart: it knows them by their tags. Raises UsageError."""
    tags: dict[str, Reference] = {}
    for references in images:
        for reference in references:
            if reference.tag in tags:
                raise UsageError(
                    f"{tags[reference.tag].familiar} and {reference.familiar} have one tag, by which an image layout"
                    " knows its images",
                    hint="Save them to an archive, or give one another tag.",
                )
        tags |= {reference.tag: reference for reference in references}


def _to_save(store: Store, source: StoreSource, image: Descriptor, target: Location) -> Descriptor:
    top = what_is_here(store, image)
    if is_index(top) and isinstance(target, _ONE_PLATFORM):
        top = read_documents(source, top, host_platform()).without_indexes().top.descriptor
    return pack_image(store, top, Packing()) if isinstance(target, _PACKED) else top


def load_images(
    root: str, file: str, *, sink: events.EventSink = events.ignore_events, notify: Notify
) -> Iterator[Loaded]:
    """Take in all images of an archive, docker's or OCI's, under their names; yield each. `-` is standard input.

    Raises PybuildError.
    """
    with open_store(root, notify=notify) as store, store.lease(), open_archive(file, store) as source:
        destination = WholeImageDestination(store)
        for image in source.images():
            documents = copy_image(source, destination, image.image, names=image.names, report=events.report_to(sink))
            _tell_left_out(documents.left_out, source.location, notify)
            # An index of no images has no config, and so no ID that could be shown.
            if not documents.manifests:
                raise TransportError(f"{source.location}: {documents.top.descriptor.digest} is an index of no images")
            _note_origin(store, source.location, documents)
            yield Loaded(documents.manifests[0][1].config.digest, image.names)
