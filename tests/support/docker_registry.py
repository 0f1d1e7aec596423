"""Debian's docker-registry, started on a free port of loopback: open, or with one user and password."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER, PASSWORD = "me", "hunter2"
_HTPASSWD = f"{USER}:$2b$05$HxDiPcPuUK0k5TY7HwkLUu28QbxxunzL5r/hkbHXN/ink0wPmPcVK\n"
"""What `htpasswd -Bbn me hunter2` prints."""


def registry_program() -> str:
    """Return the path of docker-registry, or skip."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not on the PATH")
    return str(program)


def with_password(folder: Path) -> str:
    """Return the settings of a registry that only USER may use, whose files are in `folder`."""
    (folder / "users").write_text(_HTPASSWD)
    return f"auth: {{htpasswd: {{realm: test, path: {folder}/users}}}}\n"


@contextmanager
def running(program: str, folder: Path, more: str = "", tls: str = "") -> Iterator[str]:
    """Give the host of a registry that keeps its data in `folder`/data, and one line a request in `folder`/log.

    `more` are further settings, `tls` further ones of its HTTP server.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "config.yml").write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        f'http: {{addr: "{host}"{tls}}}\n{more}'
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", f"{folder}/config.yml"], stdout=log, stderr=log)
    try:
        _wait_for(f"{'https' if tls else 'http'}://{host}/v2/")
        yield host
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str) -> None:
    unchecked = ssl._create_unverified_context()
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=1, context=unchecked).close()
            return
        except urllib.error.HTTPError:
            return  # it wants a password
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
