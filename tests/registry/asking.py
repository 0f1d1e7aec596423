"""Shorthand for tests: a client that never waits, and what it asks a scripted registry for."""

from __future__ import annotations

import os
from typing import Any

from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.reference import parse_reference
from builder.registry.client import RegistryClient
from builder.registry.connection import Connection
from builder.store.store import Store
from tests.support.registry import FakeRegistry, sha256

BLOB = os.urandom(300_000)


def client(environ: dict[str, str] | None = None, waits: list[float] | None = None) -> RegistryClient:
    """A client without anybody's credentials, which notes how long it would wait instead of waiting."""
    sleep = (lambda seconds: None) if waits is None else waits.append
    return RegistryClient(Connection(sleep=sleep), {"HOME": "/nonexistent", **(environ or {})})


def reference(fake: FakeRegistry, name: str = "library/x:1") -> Any:
    return parse_reference(f"{fake.host}/{name}")


def fetch(fake: FakeRegistry, store: Store, blob: bytes = BLOB, **extra: Any) -> None:
    descriptor = Descriptor(media_type="x", digest=Digest(sha256(blob)), size=len(blob), extra=extra)
    with store.blobs.ingest(descriptor.digest, descriptor.size) as sink:
        client().fetch_blob(reference(fake), descriptor, sink)
        sink.commit()
