"""Servers on loopback: files by HTTP, a repository by git's own protocol."""

from __future__ import annotations

import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.solve.copy.test_archive import tar_of

MODIFIED = "Wed, 01 Jan 2020 00:00:00 GMT"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `files`; notes what was asked. `modified` is the time it says, empty for none."""

    files: ClassVar[dict[str, bytes]] = {}
    modified: ClassVar[str] = MODIFIED
    log: ClassVar[list[tuple[str, int, str]]] = []

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body = self.files.get(path)
        tag = f'"{hashlib.sha256(body or b"").hexdigest()[:8]}"'
        status = 404 if body is None else 304 if self.headers.get("If-None-Match") == tag else 200
        if path == "/moved":
            status = 302
        self.log.append((path, status, self.headers.get("Authorization", "")))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/file.txt")
        length = len(body or b"") if status == 200 else 0
        self.send_header("Content-Length", str(length + (9 if path == "/short" else 0)))
        self.send_header("ETag", tag)
        if self.modified:
            self.send_header("Last-Modified", self.modified)
        self.end_headers()
        if status == 200:
            self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.files = {
        "/file.txt": b"hello",
        "/": b"root",
        "/short": b"cut",
        "/a.tar": tar_of(("n", "f", "N")),
        "/b%20c": b"bc",
    }
    Handler.log = []
    Handler.modified = MODIFIED
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def git(folder: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
        "GIT_AUTHOR_DATE": "1600000000 +0000", "GIT_COMMITTER_DATE": "1600000000 +0000",
    }  # fmt: skip
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """The URL of a repository served by `git daemon`: main, branch `other`, tag `v1`."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "served" / "repo.git"
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "sub").mkdir()
    (folder / "sub/f").write_text("f")
    (folder / "run").write_text("#!")
    (folder / "run").chmod(0o777)
    os.symlink("/etc", folder / "out")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "-a", "-m", "v1", "v1")
    git(folder, "checkout", "-q", "-b", "other")
    (folder / "new").write_text("new")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "two")
    git(folder, "checkout", "-q", "main")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    daemon = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}",
         f"--base-path={tmp_path / 'served'}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"git://127.0.0.1:{port}/repo.git"
    os.killpg(daemon.pid, 15)
    daemon.wait()
