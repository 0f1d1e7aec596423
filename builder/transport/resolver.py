"""Finds images for a build: in the store, a registry, any other place. Implements builder.plan.image_resolver.

    docker.io/library/x:1  docker.io/library/x@sha256:…     a name: the store first (not with `pull`), then its registry
    docker-image://NAME
    oci-layout://PATH[:TAG][@DIGEST]  oci:PATH[:TAG] …      a place (oci/image_place.py), nameless.py
    sha256:…  0123456789ab                                  an image ID of the store, or a unique beginning of one

Resolving fetches documents only; `layers` fetches layers, when a step needs them. What is found stays in the store
under its name. A build whose images are all here imports nothing that speaks to networks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from threading import Event, Lock
from typing import TYPE_CHECKING

from builder.errors import BlobNotFound, ImageError, ReferenceFormatError, TransportError
from builder.image.image import Image, load_image
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, parse_digest
from builder.oci.image_place import image_name, image_place, is_place
from builder.oci.platform import Platform
from builder.oci.reference import IMAGE_SCHEME, Reference, parse_reference, reference_or_none, says_registry
from builder.plan.image_resolver import ResolvedImage
from builder.store.layers import LayerRecord
from builder.store.store import Store
from builder.transport.present import find_layer_records, load_manifest

if TYPE_CHECKING:
    from builder.registry.client import RegistryClient
    from builder.transport.fetcher import Fetcher
    from builder.transport.places.location import Location
    from builder.transport.progress import Report

_MAX_REDIRECTIONS = 10
_ID = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")
_WHOLE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_SHORT_ID = re.compile(r"(?:docker\.io/library/)?([0-9a-f]{4,64})(?::latest)?")


class Resolver:
    """Resolves names for one build. Safe for threads.

    `pull` asks registries even for names the store knows. `named` maps image names, as people write them, to
    values of --build-context, of which those that are images count. `notify` gets a line for what takes time,
    `report` how far each blob is.
    """

    def __init__(
        self,
        store: Store,
        *,
        pull: bool = False,
        named: Mapping[str, str] | None = None,
        notify: Callable[[str], None] = lambda line: None,
        report: Report | None = None,
        client: RegistryClient | None = None,
        cancel: Event | None = None,
    ) -> None:
        self.cancel = cancel or Event()
        """Set to end what is being fetched, with Cancelled."""
        self._store = store
        self._pull = pull
        self._named = {_familiar(name): target for name, value in (named or {}).items() if (target := _image(value))}
        self._notify = notify
        self._report = report or (lambda state: None)
        self._client = client
        self._opened: Fetcher | None = None
        self._opening = Lock()
        self._resolved: dict[tuple[str, Platform], ResolvedImage] = {}
        self._places: dict[Digest, str] = {}
        """The repository of an image, by the name it was found under: the store may have forgotten its origin."""

    def resolve(self, reference: str, platform: Platform) -> ResolvedImage:
        """Return what `reference` is for `platform`. Raises RegistryError, TransportError, ImageError, StoreError."""
        key = (reference, platform)
        if key not in self._resolved:
            image = self._resolve(self._redirected(reference), platform)
            self._resolved[key] = ResolvedImage(
                reference=reference, manifest_digest=image.descriptor.digest, config=image.config
            )
        return self._resolved[key]

    def meant(self, text: str) -> str:
        """Return the whole name that somebody means: of a short one what the store has, else its alias, or docker's.

        What is no name comes back as it is. Raises RegistryError for a registries.conf that cannot be read.
        """
        reference = reference_or_none(text)
        if reference is None:
            return text
        if self._is_here(reference) or says_registry(text.partition("@")[0]) or _ID.fullmatch(text):
            return str(reference)
        return self._fetcher.alias(text) or str(reference)

    def still_means(self, text: str, meant: str) -> bool:
        """Say whether a short name has the meaning that it had, as long as registries.conf says the same.

        What has come into the store under the name itself goes before its alias, and what has gone leaves it to that.
        """
        reference = parse_reference(text)
        if self._is_here(reference):
            return meant == str(reference)
        return meant != str(reference) or not self._fetcher.alias(text)

    def _is_here(self, reference: Reference) -> bool:
        return not self._pull and self._store.names.find(reference.pinned) is not None

    def find_layers(self, manifest_digest: Digest | str) -> tuple[LayerRecord, ...] | None:
        """Return the layers of a resolved image if all are in the store, else None. Touches no network."""
        try:
            return find_layer_records(self._store, load_manifest(self._store, parse_digest(manifest_digest)))
        except BlobNotFound:
            return None

    def layers(self, manifest_digest: Digest | str) -> tuple[LayerRecord, ...]:
        """Return the layers of a resolved image, base first, fetching what is missing."""
        digest = parse_digest(manifest_digest)
        image = load_manifest(self._store, digest)
        found = find_layer_records(self._store, image)
        return self._fetcher.layers(image, self._places.get(digest)) if found is None else found

    def look(self, location: Location, platform: Platform) -> tuple[Descriptor, Image, dict[str, str]]:
        """Take in the image of a place as far as it can be had (builder.transport.fetcher.Fetcher.look)."""
        return self._fetcher.look(location, platform)

    def attached(self, reference: Reference, subject: Digest, artifact_type: str) -> bytes | None:
        """Return the newest document of a type that is attached to an image of a registry, or None.

        Raises RegistryError, ImageError, DigestMismatch.
        """
        return self._fetcher.attached(reference, subject, artifact_type)

    def available(self, image: Image) -> dict[str, str]:
        """Have the layers of an image here that can be had; return why the others can't, by digest."""
        return {} if find_layer_records(self._store, image) is not None else self._fetcher.available(image)

    def _redirected(self, reference: str) -> str:
        for _ in range(_MAX_REDIRECTIONS):
            target = None if is_place(reference) else self._named.get(_familiar(reference.removeprefix(IMAGE_SCHEME)))
            if target is None or target == reference:
                return reference
            # A name that is given itself, by its whole reference perhaps, ends there and does not go in circles.
            if not is_place(target) and _familiar(target.removeprefix(IMAGE_SCHEME)) == _familiar(
                reference.removeprefix(IMAGE_SCHEME)
            ):
                return target
            reference = target
        raise TransportError(f"{reference}: named contexts refer to each other more than {_MAX_REDIRECTIONS} times")

    def _resolve(self, text: str, platform: Platform) -> Image:
        if is_place(text):
            found = self._without_name(text, platform)
            assert found is not None  # what a place has not got is an error
            return found
        text = text.removeprefix(IMAGE_SCHEME)
        found = self._find_id(text, platform)
        if found is not None:
            return found
        if _WHOLE_ID.fullmatch(text):
            raise TransportError(f"no image with the ID {text} is in the store: not found")
        reference = parse_reference(text)
        if not self._pull:
            found = self._find_local(reference, platform)
        short = _SHORT_ID.fullmatch(str(reference))
        if found is None and short:
            found = self._find_id(short.group(1), platform)
        return found or self._fetcher.fetch(reference, reference.pinned, platform)

    def _find_local(self, reference: Reference, platform: Platform) -> Image | None:
        top = self._store.names.find(reference.pinned)
        if top is not None and reference.digest not in (None, top.digest):
            top = None  # whoever has written that: a digest is of one image alone
        if top is None and reference.digest and self._store.blobs.has(reference.digest):
            return self._find_digest(reference.digest, platform)
        if top is None:
            return None
        try:
            image = load_image(self._store.blobs, top, platform)
        except BlobNotFound:
            # An index of which another platform was used before, or a document lost: its origin has it.
            return self._fetcher.complete(reference.name, top, platform)
        fits = platform.accepts(image.config.platform) is not None
        if not fits and self._store.origins.find(image.descriptor.digest) == reference.name:
            return None  # pulled for another platform: the registry may have ours
        self._places[image.descriptor.digest] = reference.name
        return image

    def _find_digest(self, digest: Digest, platform: Platform) -> Image | None:
        """Return the image of a digest whose blob is here under any name; None when it is no whole image."""
        descriptor = Descriptor(media_type="", digest=digest, size=self._store.blobs.size(digest))
        try:
            return load_image(self._store.blobs, descriptor, platform)
        except (ImageError, BlobNotFound):
            return None

    def _find_id(self, text: str, platform: Platform) -> Image | None:
        return self._without_name(text, platform) if _ID.fullmatch(text) else None

    def _without_name(self, text: str, platform: Platform) -> Image | None:
        from builder.transport.nameless import find_nameless  # gate: rare. Names are commoner than IDs and places

        return find_nameless(self._store, text, platform, lambda: self._fetcher)

    @property
    def _fetcher(self) -> Fetcher:
        """Who fetches, for all who ask: a build whose images are all here needs none."""
        with self._opening:
            if self._opened is None:
                from builder.transport.fetcher import Fetcher  # gate: network

                self._opened = Fetcher(self._store, self.cancel, self._notify, self._client, self._report)
            return self._opened


def _image(value: str) -> str | None:
    """Return the image that a value of --build-context is; None for other contexts."""
    name = image_name(value)
    return image_place(value) if name is None else IMAGE_SCHEME + name


def _familiar(name: str) -> str:
    try:
        return parse_reference(name).familiar.removesuffix(":latest")
    except ReferenceFormatError:
        return name
