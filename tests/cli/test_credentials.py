"""User and password in an address: said to its server, and kept or shown nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.context.git import Repository, check_out, find_commit
from tests.cli.program import Program
from tests.solve.remotes import git
from tests.web.hostile import HostileServer, answer

LOGIN = f"Authorization: Basic {b64encode(b'user:hunter2').decode()}".lower()
REFUSED = answer("401 Unauthorized", "Content-Length: 0", 'WWW-Authenticate: Basic realm="x"')


@pytest.fixture
def server() -> Iterator[HostileServer]:
    """One that knows a user with a password."""
    server = HostileServer()
    body = b"hello\n"

    def known() -> list[bytes]:
        granted = LOGIN in server.requests[-1].lower()
        return [answer("200 OK", f"Content-Length: {len(body)}", body=body) if granted else REFUSED]

    server.scripts[""] = known
    with server:
        yield server


SOURCES = (
    "ADD http://user:hunter2@{host}/f /f",
    'ADD ["http://user:hunter2@{host}/f", "/f"]',
    "ADD --chmod=644 --checksum=sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    " http://user:hunter2@{host}/f /f",
    "ADD http://user:hunter%32@{host}/f /f",
)


@pytest.mark.parametrize("source", SOURCES)
def test_a_build_keeps_no_password(pybuild: Program, server: HostileServer, source: str, tmp_path: Path) -> None:
    text = source.format(host=server.host)
    (pybuild.folder / "Dockerfile").write_text(f"FROM scratch\n{text}\n")
    metadata, layout = tmp_path / "metadata.json", tmp_path / "layout"
    said = ""
    for progress in ("plain", "rawjson"):  # twice: what the first has kept, the second reads
        said += pybuild(
            "-t", "x", f"--progress={progress}", f"--metadata-file={metadata}", f"--output=type=oci,dest={layout}",
            str(pybuild.folder),
        ).succeeded().err  # fmt: skip
    assert server.requests
    said += pybuild("history", "--no-trunc", "x").succeeded().out + pybuild("inspect", "x").succeeded().out
    said += metadata.read_text() + layout.read_bytes().decode("latin-1")
    assert_unknown("hunter", said)
    assert "://user" not in said
    assert_unkept(b"hunter", pybuild.store)


def assert_unknown(secret: str, text: str) -> None:
    assert secret not in text, [line for line in text.split("\n") if secret in line]


def assert_unkept(secret: bytes, folder: Path) -> None:
    found = [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert not found


@pytest.mark.parametrize(
    "address",
    [
        "http://user:hunter2@{host}/none", "http://user:hunter2@127.0.0.1:9/", "http://user:hunter2@[::1",
        "http://user:hunter2@h.invalid/", "https://user:hunter2@{host}/f", "http://user:hunter2@{host}/r.git",
        "git://user:hunter2@127.0.0.1:9/r.git", "ssh://user:hunter2@[::1/r.git",
        "ssh://user:hunter2@h.invalid/r.git", "http://user:hunter2@{host}/r.git?x=1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["ADD", "context", "named"])
def test_an_error_shows_no_password(pybuild: Program, server: HostileServer, address: str, place: str) -> None:
    server.scripts["/none"] = lambda: [answer("404 Not Found")]
    address = address.format(host=server.host)
    words = [str(pybuild.folder)]
    text = "FROM scratch\nCOPY --from=other . /\n"
    match place:
        case "ADD":
            text = f"FROM scratch\nADD {address} /\n"
        case "context":
            words = [address]
        case _:
            words.append(f"--build-context=other={address}")
    (pybuild.folder / "Dockerfile").write_text(text)
    outcome = pybuild("--progress=rawjson", *words)
    outcome.failed(outcome.code)
    assert outcome.code in (1, 2)
    assert_unknown("hunter2", outcome.err + outcome.out)
    assert_unkept(b"hunter2", pybuild.store)


def test_a_repository_is_asked_with_a_password_and_does_not_keep_it(server: HostileServer, tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    git(served, "init", "-q", "-b", "main")
    (served / "f").write_text("f")
    git(served, "add", ".")
    git(served, "commit", "-q", "-m", "one")
    git(served, "update-server-info")

    def file_of(path: Path) -> list[bytes]:
        body = path.read_bytes()
        granted = LOGIN in server.requests[-1].lower()
        return [
            answer("200 OK", f"Content-Length: {len(body)}", "Connection: close", body=body) if granted else REFUSED
        ]

    for path in (path for path in (served / ".git").rglob("*") if path.is_file()):
        script = lambda path=path: file_of(path)  # noqa: E731
        relative = f"/r.git/{path.relative_to(served / '.git')}"
        server.scripts |= {relative: script, f"{relative}?service=git-upload-pack": script}
    server.scripts[""] = lambda: [answer("404 Not Found", "Content-Length: 0", "Connection: close")]
    repository = Repository(remote=f"http://user:hunter2@{server.host}/r.git", keep_git_dir=True)
    check_out(repository, find_commit(repository), str(tmp_path / "out"))
    assert (tmp_path / "out/f").read_text() == "f"
    assert_unkept(b"hunter2", tmp_path / "out")
    origin = subprocess.run(
        ["git", "-C", str(tmp_path / "out"), "remote", "get-url", "origin"], capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
             "GIT_CONFIG_VALUE_0": "*"},
    )  # fmt: skip
    assert origin.stdout == f"http://{server.host}/r.git\n"


def test_a_change_of_password_is_no_change_of_the_file(pybuild: Program, server: HostileServer) -> None:
    for login in ("user:hunter2@", "user:hunter%32@"):
        (pybuild.folder / "Dockerfile").write_text(f"FROM scratch\nADD http://{login}{server.host}/f /f\n")
        outcome = pybuild("--progress=rawjson", str(pybuild.folder)).succeeded()
    events = [json.loads(line)["event"] for line in outcome.err.splitlines()]
    assert "step-cached" in events
