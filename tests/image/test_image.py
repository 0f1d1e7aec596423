"""Loading images and choosing platforms; times; what people type for an image, and removing it."""

from __future__ import annotations

import calendar
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError, ReferenceFormatError, StoreError
from builder.image.assemble import assemble
from builder.image.image import choose_platform, load_image, walk_manifests
from builder.image.index import assemble_index
from builder.image.listing import find_descriptor, get_image, list_images, tag_image
from builder.image.removal import remove_image
from builder.image.timestamp import format_timestamp, now, parse_timestamp
from builder.oci.descriptor import Descriptor
from builder.oci.digest import digest_of
from builder.oci.manifest import Index
from builder.oci.media_type import OCI_INDEX, OCI_MANIFEST
from builder.oci.platform import Platform, host_platform, parse_platform
from builder.plan.step import StepID
from builder.store.prune import prune
from builder.store.store import Store
from tests.image.test_assemble import T1, file_layer, planned
from tests.support.validate import validate_image


def entry(platform: str, text: str = "", media_type: str = OCI_MANIFEST, attests: str = "") -> Descriptor:
    return Descriptor(
        media_type=media_type, digest=digest_of((text or platform).encode()), size=1,
        platform=parse_platform(platform) if platform else None,
        annotations={"vnd.docker.reference.type": attests} if attests else {},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm64"], 1),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/arm64", ["linux/amd64", "linux/arm64/v8"], 1),
        ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
    ],
)
def test_the_best_platform_is_chosen_and_of_equals_the_first(wanted: str, offered: list[str], chosen: int) -> None:
    entries = tuple(entry(platform, f"{number}") for number, platform in enumerate(offered))
    assert choose_platform(Index(entries, OCI_INDEX), parse_platform(wanted)) is entries[chosen]


def test_attestations_are_never_chosen() -> None:
    proof = Descriptor(media_type=OCI_MANIFEST, digest=digest_of(b"p"), size=1, platform=Platform("unknown", "unknown"))
    marked = entry("linux/amd64", "marked", attests="attestation-manifest")
    real = entry("linux/amd64", "real")
    assert choose_platform(Index((proof, marked, real), OCI_INDEX), Platform("linux", "amd64")) is real
    with pytest.raises(ImageError):
        choose_platform(Index((proof, marked), OCI_INDEX), Platform("linux", "amd64"))


def test_entries_of_unknown_types_are_passed_over() -> None:
    odd, real = entry("linux/amd64", "odd", "application/x-odd"), entry("linux/amd64", "real")
    assert choose_platform(Index((odd, real), OCI_INDEX), Platform("linux", "amd64")) is real


def test_when_nothing_fits_the_error_lists_what_there_is() -> None:
    index = Index((entry("linux/arm64"), entry("windows/amd64")), OCI_INDEX)
    with pytest.raises(ImageError, match="no match for platform linux/s390x") as caught:
        choose_platform(index, Platform("linux", "s390x"))
    assert "linux/arm64, windows/amd64" in caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"config": None}, {"layers": "x"}, {"layers": [{"digest": "sha256:../../x", "mediaType": "x", "size": 1}]},
        {"schemaVersion": 1}, {"manifests": []}, {"mediaType": "application/x-other"},
        {"config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}},
        {"layers": []},
    ],
)  # fmt: skip
def test_what_is_no_image_is_refused(store: Store, change: dict[str, object]) -> None:
    good = assemble(store, planned(None, ("COPY", 0)), [file_layer(store, "a")], {StepID(0): T1})
    document = json.loads(store.blobs.read(good.digest, 1 << 20)) | change
    store.blobs.put(b"{}")
    data = json.dumps({key: value for key, value in document.items() if value is not None}).encode()
    bad = Descriptor(media_type=OCI_MANIFEST, digest=store.blobs.put(data), size=len(data))
    with pytest.raises((ImageError, ReferenceFormatError)):
        load_image(store.blobs, bad)


@given(st.integers(0, 4_000_000_000), st.sampled_from([0, 5, 999_999_999, 120_000_000]))
def test_moments_go_there_and_back(seconds: int, fraction: int) -> None:
    timestamp = seconds * 1_000_000_000 + fraction
    assert parse_timestamp(format_timestamp(timestamp)) == timestamp
    assert calendar.timegm(time.strptime(format_timestamp(timestamp)[:19], "%Y-%m-%dT%H:%M:%S")) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T19:00:00-05:00", 0),
        ("1970-01-01t00:00:00.0z", 0),
        ("0001-01-01T00:00:00Z", -62135596800),
    ],
)
def test_moments_of_other_tools_are_read(text: str, seconds: int) -> None:
    assert parse_timestamp(text) == seconds * 1_000_000_000


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-13-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00", "२०२४-01-01T00:00:00Z"]
)
def test_what_is_no_moment_is_none(text: str) -> None:
    assert parse_timestamp(text) is None


def test_texts_of_now_sort_by_time() -> None:
    timestamps = [now() for _ in range(200)]
    assert timestamps == sorted(timestamps)


def build(store: Store, name: str, *, content: bytes = b"x") -> Descriptor:
    image = planned(None, ("COPY", 0))
    descriptor = assemble(store, image, [file_layer(store, "f", content)], {StepID(0): T1})
    store.names.set(f"docker.io/library/{name}", descriptor)
    return descriptor


def test_images_are_listed_by_name_with_dangling_ones_last(store: Store) -> None:
    build(store, "b:1")
    build(store, "a:1", content=b"a")
    build(store, "b:1", content=b"new")
    listed = list_images(store)
    assert [image.name for image in listed] == ["docker.io/library/a:1", "docker.io/library/b:1", ""]
    assert all(image.size and image.created == T1 for image in listed)


def test_an_image_is_found_by_all_that_people_type(store: Store) -> None:
    image = load_image(store.blobs, build(store, "x:1"))
    for text in ("x:1", "docker.io/library/x:1", image.id, image.id[7:], image.id[7:19], image.descriptor.digest,
                 f"x@{image.descriptor.digest}"):  # fmt: skip
        assert get_image(store, text).id == image.id, text
    for text in ("x", "y:1", "abc", "0" * 64):
        with pytest.raises(StoreError, match="no such image"):
            find_descriptor(store, text)


def test_a_beginning_that_fits_several_images_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    build(store, "x:1")
    build(store, "y:1", content=b"y")
    monkeypatch.setattr("builder.image.by_id._identifiers", lambda _, entry: [(entry, f"sha256:abcd{entry.digest}")])
    with pytest.raises(StoreError, match="several image IDs"):
        find_descriptor(store, "abcd")


def test_tags_are_added_and_removed_and_the_last_one_takes_the_image_along(store: Store) -> None:
    image = load_image(store.blobs, build(store, "x:1"))
    tag_image(store, "x:1", ["x:2", "localhost:5000/y"])
    assert remove_image(store, "x:2") == ["Untagged: x:2"]
    assert remove_image(store, "localhost:5000/y") == ["Untagged: localhost:5000/y:latest"]
    assert remove_image(store, "x:1") == [
        "Untagged: x:1",
        f"Deleted: {image.id}",
        f"Deleted: {image.config.diff_ids[0]}",
    ]
    assert list(store.blobs.walk()) == []
    with pytest.raises(StoreError, match="no such image"):
        remove_image(store, "x:1")


def test_an_id_with_several_names_must_be_forced(store: Store) -> None:
    image = load_image(store.blobs, build(store, "x:1"))
    tag_image(store, "x:1", ["x:2"])
    with pytest.raises(StoreError, match=r"must be forced\) - image is referenced in multiple repositories"):
        remove_image(store, image.id)
    lines = remove_image(store, image.id[7:19], force=True)
    assert lines[:3] == ["Untagged: x:1", "Untagged: x:2", f"Deleted: {image.id}"]


def test_blobs_that_another_image_needs_stay(store: Store) -> None:
    shared = file_layer(store, "shared")
    one = assemble(store, planned(None, ("COPY", 0)), [shared], {StepID(0): T1})
    two = assemble(store, planned(None, ("COPY", 0), ("ENV", None)), [shared], {StepID(0): T1})
    store.names.set("docker.io/library/one:1", one)
    store.names.set("docker.io/library/two:1", two)
    assert not any(str(shared.diff_id) in line for line in remove_image(store, "one:1"))
    assert validate_image(store.blobs, two) == ()


def test_a_tag_must_not_be_a_digest(store: Store) -> None:
    descriptor = build(store, "x:1")
    with pytest.raises(ReferenceFormatError, match="has a digest"):
        tag_image(store, "x:1", [f"y@{descriptor.digest}"])


def test_an_index_of_platforms_is_one_image_with_many_faces(store: Store) -> None:
    here = build(store, "x:1")
    index = assemble_index(store, [here])
    store.names.set("docker.io/library/all:1", index)
    assert validate_image(store.blobs, index) == ()
    assert [item.digest for item in walk_manifests(store.blobs, index)] == [here.digest]
    assert load_image(store.blobs, index, host_platform()).descriptor.digest == here.digest
    assert get_image(store, "all:1").id == get_image(store, "x:1").id


def test_pruning_takes_dangling_images_and_what_nobody_needs(store: Store) -> None:
    old = build(store, "x:1", content=b"old" * 10_000)
    new = build(store, "x:1", content=b"new")
    stray = store.blobs.put(b"stray")
    dry = prune(store, dry_run=True)
    assert dry.images == (old.digest,)
    assert dry.bytes > 30_000
    assert store.blobs.has(stray)
    assert prune(store) == dry
    assert validate_image(store.blobs, new) == ()
    assert not store.blobs.has(old.digest)
    assert not store.blobs.has(stray)
    assert prune(store).blobs == ()
