"""The real programs that tests compare with: run when they are here, skipped with a word when not, required in CI.

`make test-peers` installs and starts them (.ci/peers). A test asks for one by naming its fixture (tests/conftest.py),
which also gives it the marker `peers`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.request

import pytest

REGISTRY = "127.0.0.1:5000"
"""Where .ci/peers starts the registry that all tests share."""

FIXTURES = frozenset(
    (
        *("docker", "buildah", "podman", "skopeo", "umoci", "shared_registry", "registry_program", "sshd"),
        *("zsh", "fish", "groff", "mandoc", "chromium"),
        *("users", "several"),  # ordinary users that root makes for the time of a run (useradd)
    )
)
"""Whoever asks for one of these, directly or through another, needs what `make test-peers` installs or makes."""

MISSING = re.compile(
    r"not (available|installed|on the PATH)\b|does not answer|nor \w+ is installed|no OCI runtime|no static busybox"
)
"""What the reasons of skips say when a machine only lacks a program: a failure in CI (tests/conftest.py)."""


def is_required() -> bool:
    """Tell whether a missing program is a failure, as in CI."""
    return os.environ.get("CI") == "true"


def why_peer_is_absent(peer: str) -> str:
    """Return why a peer can't be used here, or an empty string."""
    if shutil.which(peer) is None:
        return f"{peer} is not on the PATH"
    question = ["docker", "version", "--format", "{{.Server.Version}}"] if peer == "docker" else [peer, "--version"]
    done = subprocess.run(question, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else f"{peer} does not answer: {(done.stdout + done.stderr).strip()[-200:]}"


def peer(name: str) -> str:
    """Return the path of a peer that answers, or skip."""
    if reason := why_peer_is_absent(name):
        pytest.skip(reason)
    return str(shutil.which(name))


def tool(name: str) -> str:
    """Return the path of a program of this machine, or skip."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on the PATH")
    return path


def run(*command: str, cwd: str | None = None, check: bool = True) -> str:
    """Run a peer and return its output; a failure shows what it said."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)
    assert not check or result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def real_registry() -> str:
    """Return the host of a real docker-registry on loopback, or skip."""
    try:
        with urllib.request.urlopen(f"http://{REGISTRY}/v2/", timeout=5) as answer:
            assert answer.status == 200
    except OSError:
        pytest.skip(f"docker-registry on {REGISTRY} is not available")
    return REGISTRY
