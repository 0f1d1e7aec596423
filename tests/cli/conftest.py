"""What tests of the program share: a fresh store and context for each, one base image for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builds.base_image import BaseImage, find_base_image
from tests.cli.program import Program
from tests.solve.remotes import url

__all__ = ["base_image", "pybuild", "runs", "url"]


@pytest.fixture(scope="session")
def base_image(tmp_path_factory: pytest.TempPathFactory) -> BaseImage:
    return find_base_image(tmp_path_factory.mktemp("base"))


@pytest.fixture
def pybuild(tmp_path: Path) -> Program:
    """The program, without a base image: for builds from scratch."""
    return _program(tmp_path, "")


@pytest.fixture
def runs(tmp_path: Path, base_image: BaseImage) -> Program:
    """The program, with a base image that RUN works on."""
    return _program(tmp_path, f"oci-layout://{base_image.layout}:latest")


def _program(tmp_path: Path, base: str) -> Program:
    folder = tmp_path / "context"
    folder.mkdir()
    return Program(tmp_path / "store", folder, base)
