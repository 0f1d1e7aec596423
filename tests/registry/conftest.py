"""Scripted registries: one with a blob, an empty one where each repository has its own; and certificates."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry.asking import BLOB, openssl
from tests.support.registry import FakeRegistry, sha256


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        fake.blobs[sha256(BLOB)] = BLOB
        yield fake


@pytest.fixture
def empty() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        fake.owned = set()
        yield fake


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca.crt), a server's and a client's certificate made by it, and a stranger's."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on the PATH")
    folder = tmp_path_factory.mktemp("authority")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("ca", "stranger"):
        openssl(
            *("req", "-x509", *new_key, "-subj", f"/CN={name}", "-days", "2"),
            *("-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"),
            *("-addext", "keyUsage=critical,keyCertSign"),
        )
    for name in ("server", "client"):
        openssl(
            "req", *new_key, "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr"
        )
        (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl(
            *("x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key"),
            *("-CAcreateserial", "-days", "2", "-extfile", f"{folder}/extensions", "-out", f"{folder}/{name}.cert"),
        )
    return folder
