"""What came is what its descriptor says, in size and type, wherever it came from and whether or not it was here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.errors import ImageError, PybuildError, TransportError
from builder.layer.compression import open_decompressed
from builder.oci.canonical import encode
from builder.oci.config import parse_config
from builder.oci.digest import digest_of
from builder.store.store import Store
from builder.store.verify import verify_store
from builder.transport.places.layout import LayoutDestination
from tests.support.registry import FakeImage, make_image
from tests.transport.resolving import AMD64, failing, resolver, write_layout

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def fetch(store: Store, text: str) -> None:
    here = resolver(store)
    here.layers(here.resolve(text, AMD64).manifest_digest)


def put(layout: Path, document: Any) -> str:
    data = encode(document)
    (layout / "blobs/sha256" / digest_of(data).encoded).write_bytes(data)
    return digest_of(data)


def entry(layout: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the only entry of index.json."""
    document = json.loads((layout / "index.json").read_text())
    change(document["manifests"][0])
    (layout / "index.json").write_text(json.dumps(document))


def remade(layout: Path, image: FakeImage, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest of a layout, and the entry that names it."""
    document = json.loads(image.manifest)
    change(document)
    digest, size = put(layout, document), len(encode(document))
    entry(layout, lambda named: named.update(digest=digest, size=size))


def indexed(layout: Path, image: FakeImage, **wrong: Any) -> None:
    """Put an index between index.json and the manifest, whose only entry has something wrong."""
    child = {
        "mediaType": MANIFEST, "digest": str(image.digest), "size": len(image.manifest),
        "platform": {"os": "linux", "architecture": "amd64"},
    } | wrong  # fmt: skip
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}
    digest, size = put(layout, document), len(encode(document))
    entry(layout, lambda named: named.update(mediaType=INDEX, digest=digest, size=size))


@pytest.mark.parametrize("here", [False, True], ids=["fresh", "already here"])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("entry", "index.json says"), ("child", "descriptor says"), ("child type", "was delivered as"),
        ("config", "byte"), ("layer", "byte"), ("layer shorter", "byte"),
    ],
)  # fmt: skip
def test_a_size_or_type_that_is_not_so_is_refused(
    store: Store, tmp_path: Path, here: bool, what: str, said: str
) -> None:
    image, layout = make_image(), tmp_path / "layout"
    write_layout(layout, image)
    text = f"oci-layout://{layout}:latest"
    if here:
        fetch(store, text)
    match what:
        case "entry":
            entry(layout, lambda named: named.update(size=named["size"] + 1))
        case "child":
            indexed(layout, image, size=5)
        case "child type":
            indexed(layout, image, mediaType="application/vnd.docker.distribution.manifest.v2+json")
        case "config":
            remade(layout, image, lambda document: document["config"].update(size=document["config"]["size"] + 1))
        case "layer":
            remade(layout, image, lambda document: document["layers"][0].update(size=10_000_000))
        case _:
            remade(layout, image, lambda document: document["layers"][0].update(size=1))
    with pytest.raises(PybuildError, match=said):
        fetch(store, text)
    assert verify_store(store, open_decompressed) == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"imageLayoutVersion": "2.0.0"}', "version '2.0.0'"), ('{"imageLayoutVersion": 1}', "version 1"),
        ("{}", "version None"), ("[]", "not what an image layout"), ("", "not what an image layout"),
        ("[" * 100_000, "not what an image layout"),
    ],
)  # fmt: skip
def test_a_layout_of_another_version_is_neither_read_nor_extended(
    store: Store, tmp_path: Path, content: str, said: str
) -> None:
    layout = tmp_path / "layout"
    write_layout(layout, make_image())
    (layout / "oci-layout").write_text(content)
    assert said in failing(store, f"oci-layout://{layout}:latest").message
    with pytest.raises(TransportError, match=said):
        LayoutDestination(str(layout))


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
@pytest.mark.parametrize("kind", ["fifo", "directory", "device"])
def test_what_is_no_file_keeps_nobody_waiting(store: Store, tmp_path: Path, name: str, kind: str) -> None:
    layout = tmp_path / "layout"
    write_layout(layout, make_image())
    (layout / name).unlink()
    match kind:
        case "fifo":
            os.mkfifo(layout / name)
        case "directory":
            (layout / name).mkdir()
        case _:
            (layout / name).symlink_to("/dev/zero")
    assert "not a regular file" in failing(store, f"oci-layout://{layout}:latest").message


WRONG = [
    {"created": 5}, {"author": ["x"]}, {"os": 1}, {"architecture": {}}, {"variant": True}, {"os.version": 1.5},
    {"config": []}, {"history": {}}, {"history": ["x"]}, {"history": [{"created_by": 1}]},
    {"history": [{"empty_layer": "yes"}]}, {"rootfs": "layers"}, {"rootfs": {"type": "layers", "diff_ids": [1]}},
    {"config": {"User": 0}}, {"config": {"WorkingDir": ["/"]}}, {"config": {"StopSignal": 9}},
    {"config": {"Env": {"A": "b"}}}, {"config": {"Env": [1]}}, {"config": {"Cmd": "sh"}},
    {"config": {"Entrypoint": [["sh"]]}}, {"config": {"Labels": {"a": 1}}}, {"config": {"Labels": ["a"]}},
    {"config": {"ExposedPorts": ["80"]}}, {"config": {"ExposedPorts": {"80": 1}}}, {"config": {"Volumes": {"/v": []}}},
    {"config": {"ArgsEscaped": 1}}, {"config": {"OnBuild": "RUN x"}}, {"config": {"Shell": [None]}},
    {"config": {"Healthcheck": {"Interval": True}}}, {"config": {"Healthcheck": {"Interval": 1.5}}},
    {"config": {"Healthcheck": {"Retries": 10**30}}}, {"config": {"Healthcheck": {"Test": "x"}}},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_config_with_a_wrong_type_is_refused(wrong: dict[str, Any]) -> None:
    document = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}} | wrong
    with pytest.raises(ImageError, match="the config"):
        parse_config(encode(document), "the config")


def test_members_that_are_null_are_as_good_as_absent() -> None:
    document = {
        "os": "linux", "architecture": "amd64", "variant": None, "created": None, "history": None,
        "config": {
            "User": None, "Env": None, "Labels": {"a": None}, "Volumes": {"/v": None}, "Healthcheck": None,
            "ArgsEscaped": None,
        },
        "rootfs": {"type": "layers", "diff_ids": []},
    }  # fmt: skip
    config = parse_config(encode(document), "it")
    assert config.runtime.labels == (("a", ""),)
    assert config.runtime.volumes == ("/v",)


@pytest.mark.parametrize("wrong", [{"platform": 1}, {"platform": {"os": 1}}, {"size": 10**400}, {"size": 2**63}])
def test_a_descriptor_with_a_wrong_type_is_refused(store: Store, tmp_path: Path, wrong: dict[str, Any]) -> None:
    image, layout = make_image(), tmp_path / "layout"
    write_layout(layout, image)
    indexed(layout, image, **wrong)
    assert isinstance(failing(store, f"oci-layout://{layout}:latest"), ImageError)


def test_annotations_that_are_no_strings_are_refused(store: Store, tmp_path: Path) -> None:
    image, layout = make_image(), tmp_path / "layout"
    write_layout(layout, image)
    remade(layout, image, lambda document: document.update(annotations=["x"]))
    assert "annotations" in failing(store, f"oci-layout://{layout}:latest").message
