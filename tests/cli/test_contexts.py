"""Where a build comes from: folders with awkward names, tars and Dockerfiles on stdin, -f of every kind."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.support.registry import make_tar
from tests.support.settle import wait_until_settled

DOCKERFILE = b"FROM scratch\nCOPY file /copied\n"


def _zstd(data: bytes) -> bytes:
    zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    result: bytes = zstd.compress(data)
    return result


def _files(program: Program, *words: str, stdin: bytes = b"", cwd: Path | None = None) -> dict[str, bytes]:
    """Build to a folder; return its files."""
    out = program.store.parent / "out"
    program("-o", f"type=local,dest={out}", *words, stdin=stdin, cwd=cwd).succeeded()
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, _zstd])
def test_a_tar_on_stdin_is_a_context_in_any_compression(pybuild: Program, pack: Callable[[bytes], bytes]) -> None:
    tar = make_tar({"Dockerfile": DOCKERFILE, "file": b"content"})
    assert _files(pybuild, "-", stdin=pack(tar)) == {"copied": b"content"}


def test_a_tar_on_stdin_may_hold_its_dockerfile_elsewhere(pybuild: Program) -> None:
    tar = make_tar({"sub/": b"", "sub/x.Dockerfile": DOCKERFILE, "file": b"content", ".dockerignore": b"nothing\n"})
    assert _files(pybuild, "-f", "sub/x.Dockerfile", "-", stdin=tar) == {"copied": b"content"}


def test_a_dockerfile_on_stdin_is_a_build_without_context(pybuild: Program) -> None:
    assert _files(pybuild, "-", stdin=b"FROM scratch\nCOPY <<EOF /a\nhello\nEOF\n") == {"a": b"hello\n"}
    outcome = pybuild("-", stdin=DOCKERFILE)
    outcome.failed(1, '"/file": not found')


def test_a_dockerfile_on_stdin_goes_with_a_folder(pybuild: Program) -> None:
    (pybuild.folder / "file").write_bytes(b"content")
    assert _files(pybuild, "-f", "-", ".", stdin=DOCKERFILE) == {"copied": b"content"}


def test_nothing_on_stdin_is_an_error(pybuild: Program) -> None:
    pybuild("-").failed(1, "the Dockerfile cannot be empty")
    pybuild("-f", "-", ".").failed(1, "the Dockerfile cannot be empty")


def test_a_broken_tar_on_stdin_is_an_error(pybuild: Program) -> None:
    tar = make_tar({"Dockerfile": DOCKERFILE, "file": os.urandom(5000)})
    for broken in (tar[:3000], gzip.compress(tar)[:2000], b"\x1f\x8b" + b"\0" * 600):
        outcome = pybuild("-", stdin=broken)
        assert outcome.code == 1
        outcome.failed(1, "error: ")


def test_attack_a_tar_on_stdin_cannot_write_outside_its_context(pybuild: Program, tmp_path: Path) -> None:
    for name in ("../escaped", "/../escaped", str(tmp_path / "escaped")):
        tar = make_tar({"Dockerfile": b"FROM scratch\nCOPY . /\n", name: b"gotcha"})
        pybuild("-", stdin=tar)
        assert not list(tmp_path.rglob("../escaped"))
        assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("name", ["images", "run", "prune", "build", "version", "parse"])
def test_a_folder_named_like_a_command_is_built_when_it_is_written_so(pybuild: Program, name: str) -> None:
    folder = pybuild.folder / name
    folder.mkdir()
    (folder / "Dockerfile").write_bytes(DOCKERFILE)
    (folder / "file").write_bytes(b"content")
    assert _files(pybuild, f"./{name}") == {"copied": b"content"}


def test_build_is_also_a_command(pybuild: Program) -> None:
    (pybuild.folder / "Dockerfile").write_bytes(DOCKERFILE)
    (pybuild.folder / "file").write_bytes(b"content")
    pybuild("build", "-t", "x", ".").succeeded()


def test_containerfile_and_named_ignore_files_are_found(pybuild: Program) -> None:
    (pybuild.folder / "Containerfile").write_text("FROM scratch\nCOPY . /\n")
    (pybuild.folder / ".containerignore").write_text("a\n")
    (pybuild.folder / "a").touch()
    (pybuild.folder / "b").touch()
    assert set(_files(pybuild, ".")) == {"Containerfile", ".containerignore", "b"}
    (pybuild.folder / "Containerfile.dockerignore").write_text("*\n!a\n")
    (pybuild.store.parent / "out" / "b").unlink()
    assert "a" in _files(pybuild, ".")


def test_a_folder_seen_through_odd_paths_is_the_same_context(pybuild: Program, tmp_path: Path) -> None:
    (pybuild.folder / "Dockerfile").write_bytes(DOCKERFILE)
    (pybuild.folder / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(pybuild.folder)
    pybuild(".").succeeded()
    for path in (str(pybuild.folder), f"{pybuild.folder}/", f"{pybuild.folder}/../context", str(tmp_path / "link")):
        assert "CACHED" in pybuild("--progress=plain", path, cwd=tmp_path).succeeded().err


@pytest.mark.parametrize("place", [".dockerignore", ".containerignore", "Dockerfile.dockerignore"])
@pytest.mark.parametrize("command", [(), ("plan",), ("--check",)])
def test_an_ignore_file_that_is_none_is_warned_of_again_and_again(
    pybuild: Program, place: str, command: tuple[str, ...]
) -> None:
    os.symlink("nowhere", pybuild.folder / place)
    (pybuild.folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    for _ in range(3):
        outcome = pybuild(*command, ".").succeeded()
        assert outcome.err.count("warning: UnusableIgnoreFile: ") == 1
        assert f"{place} is a symbolic link to 'nowhere'" in outcome.err
    os.unlink(pybuild.folder / place)
    assert "UnusableIgnoreFile" not in pybuild(*command, ".").succeeded().err


def test_an_ignore_file_that_is_none_in_a_named_context_is_warned_of_when_it_is_read(pybuild: Program) -> None:
    other = pybuild.folder / "other"
    (other / ".dockerignore").mkdir(parents=True)
    words = ("--build-context", f"n={other}", "--metadata-file", str(pybuild.folder.parent / "meta"))
    outcome = pybuild.build("FROM scratch\nCOPY --from=n . /\n", *words).succeeded()
    assert f"{other}/.dockerignore is a directory, not a file: it hides nothing from the build" in outcome.err
    assert "UnusableIgnoreFile" in (pybuild.folder.parent / "meta").read_text()
    assert "UnusableIgnoreFile" not in pybuild.build("FROM scratch\nCOPY Dockerfile /\n", *words).succeeded().err


def test_context_ls_warns_of_an_ignore_file_that_is_none(pybuild: Program) -> None:
    (pybuild.folder / ".dockerignore").mkdir()
    outcome = pybuild("context", "ls", ".").succeeded()
    assert "warning: ./.dockerignore is a directory, not a file" in outcome.err


@pytest.mark.parametrize("command", [(), ("plan",), ("--check",), ("--call=outline",), ("--call=targets",)])
def test_every_command_refuses_them(pybuild: Program, command: tuple[str, ...]) -> None:
    text = "FROM scratch AS Build\nCOPY Dockerfile /\n"
    (pybuild.folder / "Dockerfile").write_text(text)
    pybuild(*command, "--build-context", "Build=.", ".").failed(2, "invalid context name Build", "Write 'build'")
    pybuild(*command, "--build-context", "n=gone", ".").failed(1, "the build context 'n' cannot be found: gone")
    # The receipt of a build does not let its next one through either.
    pybuild(".").succeeded()
    pybuild(*command, "--build-context", "Build=oci-layout://gone", ".").failed(2, "invalid context name Build")


def test_images_of_any_transport_are_bases_and_sources(pybuild: Program) -> None:
    """All that are files here; a daemon's and podman's are in tests/interop/test_archives.py."""
    pybuild.build("FROM scratch\nCOPY Dockerfile /kept\n", "-t", "app:1").succeeded()
    there = pybuild.folder.parent
    tar = there / "app.tar"
    places = {
        "base": f"dir:{there}/flat",
        "tools": f"docker-archive:{tar}:app:1",
        "packed": f"oci-archive:{there}/oci.tar:v1",
        "layout": f"oci:{there}/layout:v1",
        "slashes": f"oci-layout://{there}/layout:v1",
    }
    for name in places.keys() - {"slashes"}:
        pybuild("copy", "app:1", places[name]).succeeded()
    stages = [f"FROM {name} AS s-{name}\nCOPY --from=tools /kept /{name}\n" for name in places]
    taken = [f"COPY --from=s-{name} / /{name}/\n" for name in places]
    (pybuild.folder / "Dockerfile").write_text("".join([*stages, "FROM scratch\n", *taken]))
    words = [word for name, place in places.items() for word in ("--build-context", f"{name}={place}")] + ["."]
    assert set(_files(pybuild, *words)) == {f"{name}/{file}" for name in places for file in ("kept", name)}
    wait_until_settled(there)
    pybuild(*words).succeeded()
    again = pybuild("--progress=plain", *words).succeeded().err
    assert "CACHED" in again
    assert "pull" not in again
    assert f"FROM docker-archive:{tar}" in pybuild("plan", *words).succeeded().out
    wrong = [word.replace(":app:1", ":app:2") for word in words]
    assert "Dockerfile:2:13: error: tools: docker-archive:" in pybuild("--check", *wrong).out
    for command in ((), ("plan",)):
        pybuild(*command, *wrong).failed(
            1, "Dockerfile:2:13: error: tools:", "app.tar has no image", "It names: app:1."
        )
