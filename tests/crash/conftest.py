"""The program and its base image, as the tests of the command line have them."""

from __future__ import annotations

from tests.cli.conftest import base_image, pybuild, runs

__all__ = ["base_image", "pybuild", "runs"]
