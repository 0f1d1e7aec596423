"""Shorthand for tests: a resolver that never waits, what it says when it fails, and layouts for it to read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.errors import PybuildError
from builder.oci.platform import Platform
from builder.registry.client import RegistryClient
from builder.registry.connection import Connection
from builder.store.store import Store
from builder.transport.resolver import Resolver
from tests.support.registry import FakeImage

AMD64 = Platform("linux", "amd64")


def resolver(store: Store, **options: object) -> Resolver:
    client = RegistryClient(Connection(sleep=lambda _: None), {"HOME": "/nonexistent"})
    return Resolver(store, client=client, **options)  # type: ignore[arg-type]


def failing(store: Store, name: str, **options: object) -> PybuildError:
    with pytest.raises(PybuildError) as caught:
        resolver(store, **options).resolve(name, AMD64)
    assert "\n" not in caught.value.message
    return caught.value


def write_layout(directory: Path, image: FakeImage, *, ref: str = "latest") -> None:
    for digest, data in (image.blobs | {image.digest: image.manifest}).items():
        path = directory / "blobs/sha256" / digest.partition(":")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    entry = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    if ref:
        entry["annotations"] = {"org.opencontainers.image.ref.name": ref}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
