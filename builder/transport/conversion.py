"""The documents of an image in the other format, OCI's or docker's (schema 2): the same blobs under other media types.

    application/vnd.oci.image.manifest.v1+json   ↔  application/vnd.docker.distribution.manifest.v2+json
    …index, …config, …layer, …nondistributable   ↔  manifest list, container image, rootfs diff, foreign diff

In: documents. Out: documents, of other digests; what is in the format already keeps its bytes. The config is the same
in both, so that an image keeps its ID (image-spec media-types.md#compatibility-matrix). Docker's has no annotations,
no zstd and no artifacts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from builder.errors import ImageError
from builder.oci import canonical, media_type
from builder.oci.descriptor import Descriptor
from builder.oci.digest import digest_of
from builder.oci.manifest import Manifest, is_image, parse_manifest
from builder.transport.documents import Documents
from builder.transport.source import Document

Form = Literal["oci", "docker"]

FORMS: Mapping[str, Form] = {"oci": "oci", "docker": "docker", "v2s2": "docker"}
"""The words of --format: v2s2 is skopeo's and podman's."""
_DOCKER = "application/vnd.docker.image.rootfs."
_OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
_TO_DOCKER: Mapping[str, str] = {
    media_type.OCI_INDEX: media_type.DOCKER_INDEX,
    media_type.OCI_MANIFEST: media_type.DOCKER_MANIFEST,
    media_type.OCI_CONFIG: media_type.DOCKER_CONFIG,
    media_type.OCI_LAYER_GZIP: media_type.DOCKER_LAYER_GZIP,
    media_type.OCI_LAYER: f"{_DOCKER}diff.tar",
    f"{_OCI_FOREIGN}+gzip": f"{_DOCKER}foreign.diff.tar.gzip",
    _OCI_FOREIGN: f"{_DOCKER}foreign.diff.tar",
}
_TYPES: Mapping[Form, Mapping[str, str]] = {
    "docker": _TO_DOCKER,
    # What some tools write, though docker's format never had it.
    "oci": {docker: oci for oci, docker in _TO_DOCKER.items()} | {f"{_DOCKER}diff.tar.zstd": media_type.OCI_LAYER_ZSTD},
}
_MEMBERS = frozenset({"schemaVersion", "mediaType", "config", "layers", "manifests"})
_DESCRIPTOR_MEMBERS = ("mediaType", "digest", "size", "urls", "platform")
"""What docker's documents have (distribution, manifest v2 schema 2)."""
_ATTESTED = "vnd.docker.reference.digest"


class Converted(NamedTuple):
    """The documents, and what the format has no place for, in words."""

    documents: Documents
    lost: tuple[str, ...]


def convert(documents: Documents, form: Form) -> Converted:
    """Return documents that lead to the same blobs, in `form`. Raises ImageError for what has no such form.

    An index that has to be changed loses what nobody here knows, and in docker's form what is no image.
    """
    conversion = _Conversion(form, documents)
    for document in documents.all:  # those of an index stand before it
        conversion.add(document)
    if documents.top.descriptor.digest not in conversion.made:
        raise ImageError(
            f"{documents.top.descriptor.digest} is no image, and docker's format has no form for anything else",
            hint="Use --format=oci.",
        )
    if conversion.made[documents.top.descriptor.digest] is documents.top:
        return Converted(documents, ())
    made = tuple(conversion.made.values())
    manifests = tuple(
        (conversion.made[descriptor.digest].descriptor, _parsed(conversion.made[descriptor.digest]))
        for descriptor, _ in documents.manifests
        if descriptor.digest in conversion.made
    )
    left_out = (*documents.left_out, *conversion.left_out)
    return Converted(Documents(made, manifests, left_out), tuple(dict.fromkeys(conversion.lost)))


class _Conversion:
    """Converts one document after the other."""

    def __init__(self, form: Form, documents: Documents) -> None:
        self.made: dict[str, Document] = {}
        """What became of each, by the digest it had."""
        self.left_out: list[str] = []
        self.lost: list[str] = []
        self._manifests = {descriptor.digest: manifest for descriptor, manifest in documents.manifests}
        self._is_docker = form == "docker"
        self._types = _TYPES[form]

    def add(self, document: Document) -> None:
        """Convert a document, unless it is in the format already. Raises ImageError."""
        digest, manifest = document.descriptor.digest, self._manifests.get(document.descriptor.digest)
        if manifest is None:
            self._add_index(document)
        elif not _is_image(manifest):
            if self._is_docker:
                self.left_out.append(f"{digest}, which is no image")
            else:
                self.made[digest] = document
        elif document.descriptor.media_type not in self._types:
            self.made[digest] = document
        else:
            what = f"manifest {digest}"
            content = canonical.decode(document.data, what)
            content["config"] = self._converted(content["config"], what)
            content["layers"] = [self._converted(layer, what) for layer in content.get("layers") or ()]
            self._put(document, content)

    def _add_index(self, document: Document) -> None:
        content = canonical.decode(document.data, f"index {document.descriptor.digest}")
        entries = content.get("manifests") or []
        # BuildKit's attestations say in an annotation which image they are of.
        new = [self._entry(entry) for entry in entries if entry.get("digest") in self.made]
        if document.descriptor.media_type not in self._types and new == entries:
            self.made[document.descriptor.digest] = document
        else:
            self._put(document, content | {"manifests": new})

    def _entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        document = self.made[entry["digest"]]
        annotations = dict(entry.get("annotations") or {})
        attested = self.made.get(annotations.get(_ATTESTED, ""))
        if document.descriptor.digest == entry["digest"] and attested is None:
            return dict(entry)
        if attested is not None:
            annotations[_ATTESTED] = str(attested.descriptor.digest)
        became = document.descriptor.bare().to_json()
        return self._members({**entry, **became} | ({"annotations": annotations} if annotations else {}))

    def _converted(self, descriptor: Mapping[str, Any], what: str) -> dict[str, Any]:
        kind = descriptor["mediaType"]
        if self._is_docker and kind.endswith("zstd"):
            raise ImageError(
                f"{what} has layers of zstd, which docker's format does not know",
                hint="Copy it into the store: what is copied from there is compressed anew, by gzip.",
            )
        return self._members({**descriptor, "mediaType": self._types.get(kind, kind)})

    def _members(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        """Return a descriptor with the members that the format has."""
        if not self._is_docker:
            return descriptor
        self.lost += ["annotations"] if descriptor.get("annotations") else []
        return {name: descriptor[name] for name in _DESCRIPTOR_MEMBERS if name in descriptor}

    def _put(self, document: Document, content: dict[str, Any]) -> None:
        old = document.descriptor
        kind = self._types.get(old.media_type, old.media_type)
        if self._is_docker:
            self.lost += sorted(content.keys() - _MEMBERS)
            content = {name: value for name, value in content.items() if name in _MEMBERS}
        data = canonical.encode(content | {"mediaType": kind})
        new = Descriptor(media_type=kind, digest=digest_of(data), size=len(data), platform=old.platform)
        self.made[old.digest] = Document(new, data)


def _is_image(manifest: Manifest) -> bool:
    return is_image(manifest) and all(layer.media_type in media_type.LAYER_TYPES for layer in manifest.layers)


def _parsed(document: Document) -> Manifest:
    parsed = parse_manifest(document.data, "", f"manifest {document.descriptor.digest}")
    assert isinstance(parsed, Manifest)
    return parsed
