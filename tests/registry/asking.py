"""Shorthand for tests: a client that never waits, and what it asks a scripted registry for."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Any

from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.reference import Reference, parse_reference
from builder.registry.client import Pushed, RegistryClient
from builder.registry.connection import Connection
from builder.registry.credential_helper import Credentials
from builder.store.store import Store
from builder.transport.source import OpenFile
from builder.web.stretch import FileStretch
from tests.support.registry import FakeImage, FakeRegistry, sha256

BLOB = os.urandom(300_000)
NOBODY = {"HOME": "/nonexistent"}


def client(
    environ: dict[str, str] | None = None,
    waits: list[float] | None = None,
    *,
    who: Credentials | None = None,
    chunk_bytes: int | None = None,
    **connection: Any,
) -> RegistryClient:
    """A client without anybody's credentials, or with those of `who`; it notes how long it would wait."""
    sleep = (lambda seconds: None) if waits is None else waits.append
    environ = {**NOBODY, **(environ or {})}
    return RegistryClient(
        Connection(sleep=sleep, environ=environ, **connection),
        environ,
        credentials=None if who is None else lambda *_: who,
        chunk_bytes=chunk_bytes,
    )


def reference(fake: FakeRegistry, name: str = "library/x:1") -> Reference:
    return parse_reference(f"{fake.host}/{name}")


def descriptor_of(data: bytes, kind: str = "application/octet-stream", **extra: Any) -> Descriptor:
    return Descriptor(media_type=kind, digest=Digest(sha256(data)), size=len(data), extra=extra)


def fetch(fake: FakeRegistry, store: Store, blob: bytes = BLOB, **extra: Any) -> None:
    descriptor = descriptor_of(blob, **extra)
    with store.blobs.ingest(descriptor.digest, descriptor.size) as sink:
        client().fetch_blob(reference(fake), descriptor, sink)
        sink.commit()


def opener(data: bytes) -> Callable[[int], io.BytesIO]:
    """What opens `data` at an offset."""
    return lambda offset: io.BytesIO(data[offset:])


class _File:
    """A part of an open file, as the store gives it to be sent."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._file = TemporaryFile()  # noqa: SIM115  # `close` does
        self._file.write(data)
        self._file.flush()
        self._blob, self._offset = OpenFile(self._file), offset
        self.close = self._file.close

    def read(self, size: int, /) -> bytes:
        raise AssertionError("nothing is read that the system can send")

    def stretch(self, size: int, /) -> FileStretch:
        stretch = self._blob.stretch_at(self._offset, size)
        self._offset += stretch.size
        return stretch


def push(one: RegistryClient, fake: FakeRegistry, data: bytes = BLOB, name: str = "team/app", **options: Any) -> Pushed:
    return one.push_blob(reference(fake, name), descriptor_of(data), lambda offset: _File(data, offset), **options)


def push_image(one: RegistryClient, fake: FakeRegistry, image: FakeImage, name: str = "team/app:1") -> Digest:
    for data in image.blobs.values():
        push(one, fake, data, name)
    return one.put_manifest(reference(fake, name), image.manifest)


def artifact(subject: bytes, kind: str = "application/x-signature", **members: Any) -> bytes:
    """Return a manifest without layers that refers to another one."""
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}
    document = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": kind,
        "config": empty, "layers": [empty],
        "subject": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sha256(subject), "size": len(subject)
        },
        **members,
    }  # fmt: skip
    return json.dumps(document).encode()


def asked(fake: FakeRegistry) -> list[str]:
    """Return the methods of what was asked, without those for tokens."""
    return [method for method, path, _ in fake.requests if not path.startswith("/token")]


def openssl(*words: str) -> None:
    """Run openssl, which makes keys and certificates for a test."""
    subprocess.run(["openssl", *words], check=True, capture_output=True)
