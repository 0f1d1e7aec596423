"""Work that takes minutes ends within seconds of a signal: trees that are written, layers that are unpacked."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.context.directory import DirectoryTree
from builder.context.ignore import NOTHING_IGNORED
from builder.context.tree import Node
from builder.errors import Cancelled
from builder.filesystem.entry import Entry
from builder.solve.run.materialize import materialize
from tests.cli.program import Program
from tests.crash.watch import Running, debris, verified

SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
LONGEST_SECONDS = 12
"""Five for the program, the rest for a busy machine."""


def layout_with_entries(folder: Path, count: int) -> str:
    """An image whose one layer has `count` empty files."""
    block = bytearray(512)
    fields = (
        (0, b"d/0000000"),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, b"0" * 11 + b"\0"),
    )
    for offset, text in (*fields, (136, b"0" * 11 + b"\0"), (148, b" " * 8), (156, b"0"), (257, b"ustar\x0000")):
        block[offset : offset + len(text)] = text
    total = sum(block)
    tar = bytearray()
    for number in range(count):
        digits = b"%07d" % number
        block[2:9] = digits
        block[148:156] = b"%06o\0 " % (total + sum(digits) - 7 * ord("0"))
        tar += block
    tar += bytes(1024)
    diff_id = f"sha256:{hashlib.sha256(tar).hexdigest()}"
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    rootfs = {"type": "layers", "diff_ids": [diff_id]}
    config = put(json.dumps({"os": "linux", "architecture": machine, "rootfs": rootfs}).encode(), "config.v1+json")
    layer = put(gzip.compress(tar, 1), "layer.v1.tar+gzip")
    manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
    named = put(json.dumps(manifest).encode(), "manifest.v1+json")
    named["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"oci-layout://{folder}:latest"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> str:
    return layout_with_entries(tmp_path_factory.mktemp("crowd"), 300_000)


def stopped_in(program: Program, tmp_path: Path, number: signal.Signals, until: str, *words: str) -> int:
    build = Running(program, tmp_path / "log", *words)
    build.wait_for(until)
    time.sleep(0.5)
    began = time.monotonic()
    code = build.stop(number)
    assert time.monotonic() - began < LONGEST_SECONDS
    assert build.said().rstrip().endswith("pybuild: interrupted")
    assert "Traceback" not in build.said()
    assert debris(program) == []
    verified(program)
    return code


@SIGNALS
def test_a_layer_that_is_indexed(
    pybuild: Program, tmp_path: Path, crowd: str, number: signal.Signals, code: int
) -> None:
    (pybuild.folder / "Dockerfile").write_text("FROM crowd\nCOPY Dockerfile /\n")
    words = ("--build-context", f"crowd={crowd}", ".")
    assert stopped_in(pybuild, tmp_path, number, "note: pull", *words) == code


@SIGNALS
def test_a_layer_that_is_unpacked(runs: Program, tmp_path: Path, crowd: str, number: signal.Signals, code: int) -> None:
    words = ("--build-context", f"crowd={crowd}", *runs.base_words())
    index = "FROM crowd\nCOPY --from=base /bin /bin\n"
    runs.build(index, *words).succeeded()
    (runs.folder / "Dockerfile").write_text(index + 'RUN ["/bin/busybox", "true"]\n')
    assert stopped_in(runs, tmp_path, number, "RUN", *words, ".") == code


@SIGNALS
def test_a_context_that_is_written_for_a_mount(
    runs: Program, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    for folder in range(40):
        (runs.folder / f"d{folder}").mkdir()
        for file in range(500):
            (runs.folder / f"d{folder}" / f"f{file}").write_text(f"{folder} {file}")
    (runs.folder / ".dockerignore").write_text("d0\n")
    (runs.folder / "Dockerfile").write_text("FROM base\nRUN --mount=type=bind,target=/c find /c | wc -l; sleep 30\n")
    assert stopped_in(runs, tmp_path, number, "RUN", ".") == code


def test_an_endless_tree_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    cancel = threading.Event()

    def nodes() -> Iterator[Node]:
        yield Node(Entry("", "directory", 0o755))
        number = 0
        while True:
            number += 1
            yield Node(Entry(f"f{number:09}", "file", 0o644), b"")
            if number == 100:
                cancel.set()

    with pytest.raises(Cancelled):
        materialize(nodes(), str(tmp_path / "tree"), owners=False, cancel=cancel)
    assert len(os.listdir(tmp_path / "tree")) == 100


def test_a_huge_file_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    cancel = threading.Event()
    (tmp_path / "context").mkdir()
    with (tmp_path / "context" / "huge").open("wb") as file:
        file.truncate(1 << 40)
    threading.Timer(0.2, cancel.set).start()
    tree = DirectoryTree(str(tmp_path / "context"), NOTHING_IGNORED)
    with pytest.raises(Cancelled):
        materialize(tree.walk(""), str(tmp_path / "tree"), owners=False, cancel=cancel)
    (tmp_path / "tree" / "huge").unlink()
