"""Damage never passes for success: a build checks what it reads where it reads it, and says how to heal it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import Program

LARGE = 3_000_000
HUGE = b"the beginning of much: 77aa"
SMALL = b"small, and here once: 8b1f\n"
COPIED = "FROM scratch AS one\nCOPY data /data\n"


@pytest.fixture
def built(pybuild: Program) -> Program:
    """A store that has the layer of COPIED, with a small and a large file in it."""
    (pybuild.folder / "data").mkdir()
    (pybuild.folder / "data/large").write_bytes(HUGE + os.urandom(LARGE))
    (pybuild.folder / "data/small").write_bytes(SMALL)
    pybuild.build(COPIED, "-t", "it").succeeded()
    return pybuild


def layer_blob(program: Program, name: str = "it", number: int = -1) -> Path:
    document = json.loads(program("inspect", name).succeeded().out)[0]
    digest: str = document["Layers"][number]["Digest"]
    return program.store / "blobs/sha256" / digest.removeprefix("sha256:")


def edit(path: Path, at: int, *, keep_time: bool = False) -> None:
    """Write another byte in the place of one; an editor that hides its traces sets the time back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 0xFF]))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def edit_inside(path: Path, content: bytes) -> None:
    edit(path, path.read_bytes().index(content) + 2)


def heal(said: str) -> None:
    """Do what the hint says."""
    command = re.search(r"(rm '[^']+'|mv '[^']+' '[^']+')", said)
    assert command is not None, said
    subprocess.run(["sh", "-c", command.group(1)], check=True)


OUTPUTS = (
    "type=oci,dest={out}", "type=oci,dest={out},compression=uncompressed", "type=docker,dest={out}",
    "type=oci,tar=false,dest={out}", "type=oci,compression=zstd,dest={out}", "type=tar,dest={out}",
    "type=local,dest={out}",
)  # fmt: skip


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("content", [SMALL, HUGE], ids=["small", "large"])
def test_an_edited_layer_goes_into_no_output(built: Program, tmp_path: Path, output: str, content: bytes) -> None:
    edit_inside(layer_blob(built), content)
    out = output.format(out=tmp_path / "out")
    outcome = built.build(COPIED, "-o", out)
    outcome.failed(1, "is damaged", "hint:")
    if not out.startswith("type=local") and "tar=false" not in out:
        assert not (tmp_path / "out").exists()
    heal(outcome.err)
    built.build(COPIED, "-o", out).succeeded()
    if out.startswith("type=local"):
        assert (tmp_path / "out/data/small").read_bytes() == SMALL


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_layer_edited_after_an_output_was_written_goes_into_no_other(
    built: Program, tmp_path: Path, output: str
) -> None:
    blob = layer_blob(built)
    os.utime(blob, (0, 0))
    for name in ("first", "second"):  # the second finds it known
        built.build(COPIED, "-o", f"type=oci,compression=uncompressed,dest={tmp_path}/{name}").succeeded()
    edit(blob, blob.read_bytes().index(HUGE) + 2, keep_time=True)
    built.build(COPIED, "-o", output.format(out=tmp_path / "out")).failed(1, "is damaged", "hint:")


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_an_edited_compressed_form_is_not_exported_again(built: Program, tmp_path: Path, compression: str) -> None:
    output = f"type=oci,dest={tmp_path}/out,compression={compression}"
    before = set(built.store.glob("blobs/sha256/*"))
    built.build(COPIED, "-o", output).succeeded()
    fresh = sorted(set(built.store.glob("blobs/sha256/*")) - before, key=lambda path: path.stat().st_size)
    edit(fresh[-1], 5000, keep_time=True)
    outcome = built.build(COPIED, "-o", output)
    outcome.failed(1, "is damaged")
    heal(outcome.err)
    built.build(COPIED, "-o", output).succeeded()


def test_a_blob_that_an_earlier_export_left_damaged_is_written_anew(built: Program, tmp_path: Path) -> None:
    output = f"type=oci,tar=false,dest={tmp_path}/out"
    built.build(COPIED, "-o", output).succeeded()
    largest = max((tmp_path / "out/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    sound = largest.read_bytes()
    edit(largest, 5000)
    built.build(COPIED, "-o", output).succeeded()
    assert largest.read_bytes() == sound


@pytest.mark.parametrize("name", ["large", "small"])
def test_an_edited_layer_is_not_copied_from(built: Program, tmp_path: Path, name: str) -> None:
    edit_inside(layer_blob(built), SMALL if name == "small" else HUGE)
    dockerfile = f"{COPIED}FROM scratch\nCOPY --from=one /data/{name} /\n"
    outcome = built.build(dockerfile)
    outcome.failed(1, "is damaged")
    heal(outcome.err)
    built.build(dockerfile, "-o", f"type=local,dest={tmp_path}/out").succeeded()
    assert (tmp_path / "out" / name).read_bytes() == (built.folder / "data" / name).read_bytes()


@pytest.mark.parametrize("number", [0, -1], ids=["of the base", "of our own"])
@pytest.mark.parametrize("isolation", ["native", "chroot"])
def test_an_edited_layer_is_not_unpacked_for_a_run(runs: Program, number: int, isolation: str) -> None:
    (runs.folder / "file").write_bytes(SMALL)
    first = "FROM base\nCOPY file /file\n"
    runs.build(first, "-t", "it").succeeded()
    blob = layer_blob(runs, number=number)
    edit(blob, blob.stat().st_size // 2 if number == 0 else blob.read_bytes().index(SMALL))
    if number == 0:
        for path in runs.store.glob("indexes/sha256/*"):
            path.touch()
    dockerfile = f"{first}RUN cat /file\n"
    outcome = runs.build(dockerfile, "--isolation", isolation)
    outcome.failed(1, "is damaged")
    heal(outcome.err)
    runs.build(dockerfile, "--isolation", isolation).succeeded()


@pytest.mark.parametrize("length", [0, 700])
def test_a_layer_that_a_crash_cut_short_is_made_again(built: Program, tmp_path: Path, length: int) -> None:
    blob = layer_blob(built)
    os.truncate(blob, length)
    built.build(COPIED, "-o", f"type=local,dest={tmp_path}/out").succeeded()
    assert (tmp_path / "out/data/small").read_bytes() == SMALL


@pytest.mark.parametrize("which", ["manifest", "config"])
def test_an_edited_document_is_not_believed_and_a_build_puts_it_right(built: Program, which: str) -> None:
    flag = "--raw" if which == "manifest" else "--config"
    text = built("inspect", flag, "it").succeeded().out
    (path,) = (path for path in built.store.glob("blobs/sha256/*") if path.read_bytes() == text.encode())
    path.write_bytes(path.read_bytes().replace(b"sha256:", b"sha257:"))
    built("inspect", "it").failed(1, "is damaged")
    built.build(COPIED, "-t", "it", "--build-context", f"x={built.folder}").succeeded()
    assert built("inspect", flag, "it").succeeded().out == text


def other_index(path: Path) -> None:
    others = [other for other in path.parent.iterdir() if other != path]
    path.write_bytes(others[0].read_bytes())


@pytest.mark.parametrize("how", ["edited", "empty", "cut short", "of another layer", "of an older version", "gone"])
def test_a_table_of_contents_that_does_not_fit_is_made_again(built: Program, tmp_path: Path, how: str) -> None:
    built.build("FROM scratch\nCOPY data/small /other\n", "-t", "other").succeeded()
    path = built.store / "indexes/sha256" / layer_blob(built).name
    match how:
        case "edited":
            edit(path, path.stat().st_size - 30)
        case "empty":
            os.truncate(path, 0)
        case "cut short":
            os.truncate(path, path.stat().st_size - 8)
        case "of another layer":
            other_index(path)
        case "of an older version":
            edit(path, 8)
        case _:
            path.unlink()
    dockerfile = f"{COPIED}FROM scratch\nCOPY --from=one /data /copied\n"
    built.build(dockerfile, "-o", f"type=local,dest={tmp_path}/out").succeeded()
    assert (tmp_path / "out/copied/small").read_bytes() == SMALL
    built("info", "--verify").succeeded()
