"""What a copy carries that it does not understand, byte for byte; and what it only looks as if it understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builder.engine.copying import copy_between, load_images
from builder.errors import PybuildError
from builder.image.image import load_image
from builder.layer.compression import open_decompressed
from builder.oci.descriptor import Descriptor
from builder.oci.digest import digest_of
from builder.oci.media_type import OCI_INDEX, OCI_MANIFEST
from builder.oci.platform import Platform
from builder.store.reachability import needed_blobs
from builder.store.store import Store
from builder.store.verify import verify_store
from builder.transport.copy import copy_image
from builder.transport.places.layout_source import LayoutSource
from builder.transport.places.location import parse_location
from builder.transport.places.opening import open_destination, open_source
from builder.transport.places.store import StoreDestination
from tests.support.registry import FakeImage, make_image, make_index, sha256
from tests.transport.resolving import AMD64, failing, resolver, write_layout
from tests.transport.test_places import client

EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}
IMAGE = make_image()


def document(media_type: str = OCI_MANIFEST, blobs: dict[str, bytes] | None = None, **members: Any) -> FakeImage:
    """An image whose manifest has blanks and an order that nobody here writes."""
    text = json.dumps({"x-later": [1.0, 1e3], "schemaVersion": 2, "mediaType": media_type} | members, indent=3)
    return FakeImage(text.encode() + b"\n", media_type, {**(blobs or {}), sha256(b"{}"): b"{}"}, {})


def described(data: bytes, media_type: str, /, **members: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)} | members


ODD = b"neither tar nor anything"
ARTIFACT = document(
    blobs={sha256(ODD): ODD}, artifactType="application/x-sbom", config=EMPTY,
    layers=[described(ODD, "application/x-odd", annotations={"a": "b"}, urls=["http://127.0.0.1:1/no"], data="eA==")],
    subject=described(IMAGE.manifest, OCI_MANIFEST),
)  # fmt: skip
NOTHING = document(artifactType="application/x-nothing", config=EMPTY, layers=[EMPTY])
PROOF = document(blobs={sha256(ODD): ODD}, config=EMPTY, layers=[described(ODD, "application/vnd.in-toto+json")])
ATTESTED = make_index(
    [IMAGE],
    [
        {
            "mediaType": OCI_MANIFEST, "digest": PROOF.digest, "size": len(PROOF.manifest),
            "platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": IMAGE.digest
            },
        }
    ],
)  # fmt: skip


@pytest.mark.parametrize("carried", [ARTIFACT, NOTHING, ATTESTED], ids=["artifact", "nothing", "attested"])
@pytest.mark.parametrize("place", ["store", "oci:{}/out:x", "dir:{}/out", "oci-archive:{}/out:x"])
def test_what_is_not_understood_is_copied_byte_for_byte(
    store: Store, tmp_path: Path, carried: FakeImage, place: str
) -> None:
    write_layout(tmp_path / "in", carried)
    for one in (PROOF, IMAGE):  # what an index leads to
        blobs = tmp_path / "in/blobs/sha256"
        for digest, data in {**one.blobs, one.digest: one.manifest}.items():
            (blobs / digest[7:]).write_bytes(data)
    source = LayoutSource(str(tmp_path / "in"))
    if place == "store":
        copy_image(source, StoreDestination(store), "latest")
    else:
        there = parse_location(place.format(tmp_path))
        with open_destination(there, store, client()) as destination:
            copy_image(source, destination, "latest", names=there.names)
        with open_source(there, store, client()) as back:
            assert copy_image(back, StoreDestination(store), there.image).top.data == carried.manifest
    found = {str(digest): store.blobs.read(digest, 1 << 20) for digest, _ in store.blobs.walk()}
    expected = carried.blobs | {carried.digest: carried.manifest}
    if carried is ATTESTED:
        expected |= PROOF.blobs | {PROOF.digest: PROOF.manifest, IMAGE.digest: IMAGE.manifest}
    assert expected.items() <= found.items()


def test_an_attestation_is_no_image_of_any_platform(store: Store, tmp_path: Path) -> None:
    write_layout(tmp_path / "in", ATTESTED)
    (tmp_path / "in/blobs/sha256" / IMAGE.digest[7:]).write_bytes(IMAGE.manifest)
    assert resolver(store).resolve(f"oci-layout://{tmp_path}/in:latest", AMD64).manifest_digest == IMAGE.digest


def test_entries_that_nobody_here_knows_take_nothing_from_the_other_images(store: Store, tmp_path: Path) -> None:
    """Neither from the image that is chosen, nor in a copy of all, nor when what is not needed is pruned."""
    foreign = [
        {"mediaType": OCI_MANIFEST, "digest": f"{name}:{'a' * 64}", "size": 3} for name in ("blake3", "sha3-256")
    ]
    index = make_index([IMAGE], [*foreign, described(ODD, "application/x-odd")])
    write_layout(tmp_path / "in", index)
    blobs = tmp_path / "in/blobs/sha256"
    for digest, data in {**IMAGE.blobs, IMAGE.digest: IMAGE.manifest}.items():
        (blobs / digest[7:]).write_bytes(data)
    listed = json.loads((tmp_path / "in/index.json").read_text())
    listed["manifests"] = [*foreign, described(ODD, "application/x-odd"), *listed["manifests"]]
    (tmp_path / "in/index.json").write_text(json.dumps(listed))
    place = f"oci-layout://{tmp_path}/in"
    assert resolver(store).resolve(f"{place}:latest", AMD64).manifest_digest == IMAGE.digest
    with pytest.raises(PybuildError) as nothing:
        resolver(store).resolve(f"{place}:latest", Platform("linux", "s390x"))
    assert "cannot be checked here: blake3:aaa" in nothing.value.hint
    for there in (f"oci:{tmp_path}/out:x", f"oci-archive:{tmp_path}/x.tar"):
        notes: list[str] = []
        copied = copy_between(f"oci:{tmp_path}/in:latest", there, store.root, all_platforms=True, notify=notes.append)
        assert copied == index.digest
        assert [note.split()[2].split(":")[0] for note in notes] == ["blake3", "sha3-256", "sha256"]
        assert "of the unknown type 'application/x-odd': it is not copied" in notes[-1]
    assert [one.names for one in load_images(store.root, f"{tmp_path}/x.tar", notify=notes.append)] == [()]
    assert len(notes) == 6
    assert digest_of(IMAGE.manifest) in needed_blobs(store)
    assert verify_store(store, open_decompressed) == ()


@pytest.mark.parametrize("label", ["", "+gzip", "+zstd"])
def test_a_layer_is_unpacked_by_what_it_begins_with_whatever_it_is_called(
    store: Store, tmp_path: Path, label: str
) -> None:
    for number, compress in enumerate((True, False)):
        image = make_image([{f"{number}{label}": b"x"}], compress=compress)
        manifest = json.loads(image.manifest)
        manifest["layers"][0]["mediaType"] = f"application/vnd.oci.image.layer.v1.tar{label}"
        called = FakeImage(json.dumps(manifest).encode(), OCI_MANIFEST, image.blobs, image.config)
        write_layout(tmp_path / str(number), called)
        here = resolver(store)
        found = here.resolve(f"oci-layout://{tmp_path}/{number}:latest", AMD64)
        assert [layer.diff_id for layer in here.layers(found.manifest_digest)] == image.config["rootfs"]["diff_ids"]
    assert verify_store(store, open_decompressed) == ()


def nested(depth: int) -> tuple[FakeImage, dict[str, bytes]]:
    index, blobs = IMAGE, {**IMAGE.blobs, IMAGE.digest: IMAGE.manifest}
    for _ in range(depth):
        entry = described(index.manifest, index.media_type, platform={"os": "linux", "architecture": "amd64"})
        index = document(OCI_INDEX, blobs, manifests=[entry])
        blobs = {**blobs, index.digest: index.manifest}
    return index, blobs


def test_indexes_in_indexes_are_followed_to_an_end(store: Store) -> None:
    for depth in (1, 2, 3):
        index, blobs = nested(depth)
        for data in blobs.values():
            store.blobs.put(data)
        top = Descriptor(media_type=OCI_INDEX, digest=digest_of(index.manifest), size=len(index.manifest))
        assert load_image(store.blobs, top, AMD64).descriptor.digest == IMAGE.digest
    index, blobs = nested(9)
    for data in blobs.values():
        store.blobs.put(data)
    top = Descriptor(media_type=OCI_INDEX, digest=digest_of(index.manifest), size=len(index.manifest))
    with pytest.raises(PybuildError, match="nested more than"):
        load_image(store.blobs, top, AMD64)


def test_a_layout_may_hold_more_than_it_lists(store: Store, tmp_path: Path) -> None:
    """Files and entries that nobody knows are no errors; what index.json lists twice is one image."""
    write_layout(tmp_path / "in", IMAGE)
    (tmp_path / "in/README").write_text("of ours")
    (tmp_path / "in/blobs/sha256/not-a-digest").write_bytes(b"")
    (tmp_path / "in/blobs/odd").mkdir()
    index = json.loads((tmp_path / "in/index.json").read_text())
    index["manifests"] += [described(ODD, "application/x-odd"), index["manifests"][0]]
    index |= {"x-later": 1, "annotations": {"org.example": "y"}}
    (tmp_path / "in/index.json").write_text(json.dumps(index))
    assert resolver(store).resolve(f"oci-layout://{tmp_path}/in:latest", AMD64).manifest_digest == IMAGE.digest
    assert "not found" in failing(store, f"oci-layout://{tmp_path}/in:nothing").message
