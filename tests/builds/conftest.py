"""What the tests of differential builds share: the base image, and whether the peers are here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.builds.base_image import BaseImage, make_base_image
from tests.builds.builders import give_base_to_peer, why_peer_is_absent


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseImage:
    folder: Path = tmp_path_factory.mktemp("base")
    folder.chmod(0o755)
    try:
        return make_base_image(folder)
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(error.stderr.strip())


@pytest.fixture(scope="session")
def docker(base: BaseImage) -> str:
    return peer_or_skip("docker", base)


@pytest.fixture(scope="session")
def buildah(base: BaseImage) -> str:
    return peer_or_skip("buildah", base)


def peer_or_skip(peer: str, base: BaseImage) -> str:
    """Return the peer when it is here; its absence is a failure in CI only."""
    reason = why_peer_is_absent(peer)
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; CI must have it", pytrace=False)
    if reason:
        pytest.skip(reason)
    give_base_to_peer(peer, base)
    return peer
