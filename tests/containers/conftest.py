"""Worlds for containers: every kind of user and of isolation, each with a store of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builds.base_image import BaseImage
from tests.cli.conftest import base_image
from tests.cli.program import Program
from tests.containers.world import DOCKERFILE, IMAGE, World
from tests.sandbox.conftest import users
from tests.support.ordinary import as_user

__all__ = ["base_image", "users"]

KINDS = ("root", "ranges", "single", "chroot", "oci")


@pytest.fixture
def world(base_image: BaseImage) -> Iterator[World]:
    """Whoever runs the tests, with what isolation works."""
    yield from _furnished(base_image, "")


@pytest.fixture(params=KINDS)
def any_world(request: pytest.FixtureRequest, base_image: BaseImage) -> Iterator[World]:
    """Every kind of user and of isolation."""
    kind = request.param
    if os.geteuid() != 0 and kind != "root":
        pytest.skip("needs root, to be others")
    if kind == "oci" and not (shutil.which("crun") or shutil.which("runc")):
        pytest.skip("neither crun nor runc is installed")
    user = request.getfixturevalue("users")[kind] if kind in ("ranges", "single") else ""
    for made in _furnished(base_image, user):
        isolation = ("--isolation", kind) if kind in ("chroot", "oci") else ()
        yield replace(made, isolation=isolation, one_id=kind == "single")


def _furnished(base: BaseImage, user: str) -> Iterator[World]:
    uid = pwd.getpwnam(user).pw_uid if user else 0
    folder = Path(tempfile.mkdtemp(prefix="pybuild-containers-test-"))
    try:
        (folder / "context").mkdir()
        shutil.copytree(base.layout, folder / "base")
        program = Program(folder / "store", folder / "context", f"oci-layout://{folder}/base:latest")
        (program.folder / "Dockerfile").write_text(DOCKERFILE)
        if user:
            subprocess.run(["chown", "-R", user, str(folder)], check=True)
        made = World(program, as_user(uid) if user else ())
        made("--progress=plain", *program.base_words(), "-t", IMAGE, ".").succeeded()
        yield made
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=False)
