"""The real programs tests compare with: run when installed, skipped with a word when not, required in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request

import pytest

REGISTRY = "127.0.0.1:5000"


def missing(what: str) -> None:
    """Skip the test because `what` is not here; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not available, and CI must have it")
    pytest.skip(f"{what} is not available")


def peer(name: str) -> str:
    """Return the path of a peer program, or skip."""
    found = shutil.which(name)
    if found is None:
        missing(name)
    assert found is not None
    return found


def run(*command: str, cwd: str | None = None, check: bool = True) -> str:
    """Run a peer and return its output; a failure shows what it said."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)
    assert not check or result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def docker() -> str:
    """Return docker if its daemon answers, or skip."""
    path = peer("docker")
    if subprocess.run([path, "info"], capture_output=True, timeout=60, check=False).returncode != 0:
        missing("a docker daemon")
    return path


def real_registry() -> str:
    """Return the host of a real docker-registry on loopback, or skip."""
    try:
        with urllib.request.urlopen(f"http://{REGISTRY}/v2/", timeout=5) as answer:
            assert answer.status == 200
    except OSError:
        missing(f"docker-registry on {REGISTRY}")
    return REGISTRY
