"""Fetches images and their layers into the store, from registries and image layouts. Imports what speaks to networks.

In: names that the store does not know, or images whose layers it has not got. Out: images and layers of the store.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from threading import Event

from builder.errors import ImageError, RegistryError, TransportError
from builder.image.image import Image
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.platform import Platform
from builder.oci.reference import Reference, parse_reference
from builder.registry.client import RegistryClient
from builder.registry.configuration import find_alias
from builder.registry.connection import Connection
from builder.store.layers import LayerRecord
from builder.store.store import Store
from builder.transport.advice import explain
from builder.transport.attachments import find_attached
from builder.transport.fetch_layers import fetch_what_is_there, layer_records
from builder.transport.places.location import Location, RegistryLocation
from builder.transport.places.opening import open_origin, open_source, place_state
from builder.transport.progress import Report, ignore_progress
from builder.transport.pull import complete_documents, pull_documents
from builder.transport.source import Source


class Fetcher:
    """Fetches for one build. Safe for threads. `notify` gets a line for what takes time; `cancel` ends it."""

    def __init__(
        self,
        store: Store,
        cancel: Event,
        notify: Callable[[str], None],
        client: RegistryClient | None,
        report: Report = ignore_progress,
    ) -> None:
        self._store = store
        self._notify = notify
        self._report = report
        self._aliases: dict[str, str] = {}
        self._client = client or RegistryClient(
            Connection(cancelled=cancel.is_set, sleep=lambda s: _wait(cancel, s)), notify=notify
        )

    def fetch(self, reference: Reference, kept_as: str, platform: Platform) -> Image:
        """Fetch the documents of an image by its name, and keep them under the name `kept_as`.

        Raises RegistryError with advice, ImageError.
        """
        self._notify(f"load metadata for {reference}")
        try:
            with self._source(reference.name) as source:
                known = self._unchanged(reference, kept_as)
                if known is not None:
                    return complete_documents(self._store, source, known, platform)
                top, image = pull_documents(self._store, source, str(reference.digest or reference.tag), platform)
        except RegistryError as error:
            raise explain(error, reference, self._store, self._client) from error
        except ImageError as error:
            raise ImageError(f"{reference}: {error.message}", hint=error.hint) from error
        self._store.names.set(kept_as, top)
        there = [image.id, *(layer.digest for layer in image.manifest.layers)]
        self._store.repositories.put([image.id], reference.name, top.digest, there)
        return image

    def complete(self, location: str, top: Descriptor, platform: Platform) -> Image:
        """Fetch what is missing of an image that the store knows."""
        with self._source(location) as source:
            return complete_documents(self._store, source, top, platform)

    def layers(self, image: Image, location: str | None) -> tuple[LayerRecord, ...]:
        """Fetch the layers that are missing, from where the image came from, or else from `location`."""
        with ExitStack() as opened:
            return layer_records(
                self._store,
                image,
                lambda: opened.enter_context(self._origin(image.descriptor.digest, location)),
                self._report,
            )

    def alias(self, text: str) -> str:
        """Return the whole name that registries.conf lets a short one stand for, and say so; "" for none.

        Raises RegistryError.
        """
        if text not in self._aliases:
            found = find_alias(text)
            self._aliases[text] = str(parse_reference(found)) if found else ""
            if found:
                self._notify(f"{text} stands for {found}: an alias of registries.conf")
        return self._aliases[text]

    def take(self, location: Location, platform: Platform) -> tuple[Descriptor, Image]:
        """Take in the image of a place with its layers: opening it again may cost as much as all of it.

        Returns the descriptor of what the place calls so, and the image. Raises TransportError, ImageError.
        """
        self._notify(f"pull {location}")
        with open_source(location, self._store, self._client) as source:
            top, image = pull_documents(self._store, source, location.image, platform)
            layer_records(self._store, image, lambda: source, self._report)
        return top, image

    def look(self, location: Location, platform: Platform) -> tuple[Descriptor, Image, dict[str, str]]:
        """Take in the image of a place with the layers that can be had, and why the others can't, by digest.

        Raises RegistryError with advice, TransportError, ImageError.
        """
        try:
            with open_source(location, self._store, self._client) as source:
                top, image = pull_documents(self._store, source, location.image, platform)
                return top, image, fetch_what_is_there(self._store, image, lambda: source, self._report)
        except RegistryError as error:
            if isinstance(location, RegistryLocation):
                raise explain(error, location.reference, self._store, self._client) from error
            raise

    def attached(self, reference: Reference, subject: Digest, artifact_type: str) -> bytes | None:
        """Return the newest document of a type that is attached to an image (builder.transport.attachments)."""
        return find_attached(self._client, reference, subject, artifact_type)

    def available(self, image: Image) -> dict[str, str]:
        """Fetch the layers of an image of the store that can be had; return why the others can't, by digest."""
        location = self._store.origins.find(image.descriptor.digest)
        with ExitStack() as opened:
            return fetch_what_is_there(
                self._store,
                image,
                None if location is None else lambda: opened.enter_context(self._source(location)),
                self._report,
            )

    def state(self, location: Location) -> str:
        """Return a digest of the image of a place; "" where nobody knows. Raises TransportError."""
        return place_state(location)

    def _unchanged(self, reference: Reference, kept_as: str) -> Descriptor | None:
        """Return what the store has for the name if the registry says that it still is that (one HEAD)."""
        known = self._store.names.find(kept_as)
        if known is None or reference.digest:
            return None
        return known if self._client.resolve_tag(reference) == known.digest else None

    def _origin(self, manifest: Digest, otherwise: str | None) -> AbstractContextManager[Source]:
        location = self._store.origins.find(manifest) or otherwise
        if location is None:
            raise TransportError(
                f"layers of {manifest} are missing from the store, and it is not known where it came from",
                hint="Build or pull the image again.",
            )
        self._notify(f"pull {location}@{manifest}")
        return self._source(location)

    def _source(self, location: str) -> AbstractContextManager[Source]:
        return open_origin(location, self._store, self._client)


def _wait(cancel: Event, seconds: float) -> None:
    cancel.wait(seconds)
