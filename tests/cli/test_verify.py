"""`verify`: each thing that an image says of itself, made wrong once, is found, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.cli.main import main
from builder.engine.build import build
from builder.engine.request import BuildRequest
from tests.support.registry import FakeRegistry

Edit = Callable[["Layout"], None]
SIZE_OF_DATA = 20_000


class Layout:
    """An image layout that can be taken apart and put together wrongly."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.index = json.loads((path / "index.json").read_text())
        self.manifest = self._read(self.index["manifests"][0])
        self.config = self._read(self.manifest["config"])

    def _read(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.blob(descriptor).read_text())
        return document

    def blob(self, descriptor: dict[str, Any]) -> Path:
        return self._path / "blobs" / str(descriptor["digest"]).replace(":", "/")

    def put(self, data: bytes) -> dict[str, Any]:
        """Write a blob; return its digest and size."""
        digest = hashlib.sha256(data).hexdigest()
        (self._path / "blobs" / "sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def write(self) -> None:
        """Write config, manifest and index, each with what the one below turned out to be."""
        self.manifest["config"] |= self.put(json.dumps(self.config).encode())
        self.index["manifests"][0] |= self.put(json.dumps(self.manifest).encode())
        (self._path / "index.json").write_text(json.dumps(self.index))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("context")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY data /\nCOPY Dockerfile /\nENV A=1\n")
    (folder / "data").write_bytes(b"z" * SIZE_OF_DATA)
    store = str(folder.parent / "verified-store")
    build(BuildRequest(root=store, context=str(folder), tags=("app",)))
    return store


@pytest.fixture(scope="module")
def sound(root: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    layout = tmp_path_factory.mktemp("sound") / "layout"
    assert main(["--root", root, "copy", "-q", "app", f"oci:{layout}:app"]) == 0
    return layout


def bad_byte(layout: Layout) -> None:
    path = layout.blob(layout.manifest["layers"][0])
    data = bytearray(path.read_bytes())
    data[-5] ^= 1  # in the trailer of the gzip stream
    path.write_bytes(data)


def cut_short(layout: Layout) -> None:
    path = layout.blob(layout.manifest["layers"][0])
    path.write_bytes(path.read_bytes()[:-1])


def other_diff_id(layout: Layout) -> None:
    layout.config["rootfs"]["diff_ids"].reverse()


def one_diff_id_less(layout: Layout) -> None:
    layout.config["rootfs"]["diff_ids"].pop()


def short_history(layout: Layout) -> None:
    layout.config["history"].pop(0)


def wrong_layer_type(layout: Layout) -> None:
    layout.manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.v1.tar"


def wrong_size(layout: Layout) -> None:
    layout.manifest["layers"][0]["size"] += 1


def missing_layer(layout: Layout) -> None:
    layout.blob(layout.manifest["layers"][1]).unlink()


def config_that_is_none(layout: Layout) -> None:
    layout.config["rootfs"]["type"] = "tree"


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (bad_byte, {("layer 1", "digest"), ("layer 1", "diff ID")}),
        (cut_short, {("layer 1", "digest"), ("layer 1", "size"), ("layer 1", "diff ID")}),
        (other_diff_id, {("layer 1", "diff ID"), ("layer 2", "diff ID")}),
        (one_diff_id_less, {("config", "diff IDs")}),
        (short_history, {("config", "history")}),
        (wrong_layer_type, {("layer 2", "media type")}),
        (wrong_size, {("layer 1", "size")}),
        (missing_layer, {("layer 2", "digest")}),
        (config_that_is_none, {("config", "document")}),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(
    root: str, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], edit: Edit, found: set[tuple[str, str]]
) -> None:
    broken = tmp_path / "layout"
    shutil.copytree(sound, broken)
    layout = Layout(broken)
    edit(layout)
    layout.write()
    assert main(["--root", root, "verify", "--json", f"oci:{broken}"]) == 1
    checks = json.loads(capsys.readouterr().out)
    assert {(check["subject"], check["about"]) for check in checks if check["is_good"] is False} == found
    assert all(check["found"] != check["expected"] for check in checks)


def test_an_image_that_is_whole_passes_wherever_it_lies(
    root: str, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("dir", "docker-archive", "oci-archive"):
        assert main(["--root", root, "copy", "-q", "app", f"{form}:{tmp_path}/{form}"]) == 0
    places = [f"{form}:{tmp_path}/{form}" for form in ("dir", "docker-archive", "oci-archive")]
    for image in ("app", f"oci:{sound}", *places):
        capsys.readouterr()
        assert main(["--root", root, "verify", image]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1].endswith("checks: everything is as it should be")
        assert sum("diff ID " in line for line in lines) == 2
        assert any("history     2 layers" in line for line in lines)


def test_a_document_that_is_damaged_is_a_finding_and_a_wrong_name_an_error(
    root: str, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "layout"
    shutil.copytree(sound, broken)
    layout = Layout(broken)
    layout.blob(layout.manifest["config"]).write_text("{}")
    capsys.readouterr()
    assert main(["--root", root, "verify", "-q", f"oci:{broken}", f"oci:{sound}"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"oci:{broken}:"
    assert next(line.split()[:3] for line in lines if line.startswith("FAIL")) == ["FAIL", "config", "digest"]
    assert main(["--root", root, "verify", "nothing"]) == 1
    assert main(["--root", root, "verify", "--all", "--platform=linux/arm64", "app"]) == 2
    assert "no such image: nothing" in capsys.readouterr().err


def test_a_damaged_layer_of_the_store_is_found_though_it_was_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sound: Path
) -> None:
    store = str(tmp_path / "store")
    assert main(["--root", store, "copy", "-q", f"oci:{sound}", "app"]) == 0
    layer = Layout(sound).manifest["layers"][0]["digest"]
    path = Path(store, "blobs", layer.replace(":", "/"))
    data = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    capsys.readouterr()
    assert main(["--root", store, "verify", "app"]) == 1
    out = capsys.readouterr().out
    assert f"should be {layer}" in out
    assert out.splitlines()[-1].endswith("checks failed")


def test_every_image_of_an_index_is_checked_or_the_one_for_this_machine(
    root: str, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several = tmp_path / "layout"
    shutil.copytree(sound, several)
    layout = Layout(several)
    entry = layout.index["manifests"][0] | {"platform": {"os": "linux", "architecture": layout.config["architecture"]}}
    other = entry | {"platform": {"os": "linux", "architecture": "s390x"}}
    document = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry, other]
    }  # fmt: skip
    layout.index["manifests"] = [
        {"mediaType": document["mediaType"], "annotations": entry.pop("annotations")}
        | layout.put(json.dumps(document).encode())
    ]
    (several / "index.json").write_text(json.dumps(layout.index))
    capsys.readouterr()
    assert main(["--root", root, "verify", "-q", f"oci:{several}"]) == 0
    assert main(["--root", root, "verify", "-q", "--all", f"oci:{several}"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[:4] == ["FAIL", "linux/s390x", "config", "platform"]


def test_an_image_of_a_registry_is_read_whole_and_a_blob_that_is_gone_is_found(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeRegistry() as registry:
        name = f"docker://{registry.host}/team/app:1"
        assert main(["--root", root, "copy", "-q", "app", name]) == 0
        capsys.readouterr()
        assert main(["--root", root, "verify", name]) == 0
        assert sum("diff ID " in line for line in capsys.readouterr().out.splitlines()) == 2
        assert main(["--root", root, "inspect", "-f", "{{(index .Layers 0).Digest}}", name]) == 0
        layer = capsys.readouterr().out.strip()
        del registry.blobs[layer]
        assert main(["--root", root, "verify", "-q", name]) == 1
        (line,) = capsys.readouterr().out.splitlines()
        assert line.split()[:4] == ["FAIL", "layer", "1", "digest"]
        assert main(["--root", root, "verify", f"{name}-not"]) == 1
        assert "not found" in capsys.readouterr().err
