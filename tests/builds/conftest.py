"""What the tests of differential builds share: the base image, and whether the peers are here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builds.base_image import BaseImage, find_base_image
from tests.builds.builders import give_base_to_peer


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseImage:
    folder: Path = tmp_path_factory.mktemp("base")
    folder.chmod(0o755)
    return find_base_image(folder)


@pytest.fixture(scope="session")
def docker(docker: str, base: BaseImage) -> str:
    """Docker, which knows the base image; its name, as the cases have it."""
    give_base_to_peer("docker", base)
    return "docker"


@pytest.fixture(scope="session")
def buildah(buildah: str, base: BaseImage) -> str:
    give_base_to_peer("buildah", base)
    return "buildah"
