"""Digests, descriptors, manifests, indexes and configs by the specification: what is read, refused and carried."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError, PybuildError, ReferenceFormatError
from builder.oci import canonical
from builder.oci.config import parse_config
from builder.oci.descriptor import descriptor_from_json
from builder.oci.digest import DiffID, chain_ids, digest_of, parse_digest
from builder.oci.manifest import Index, Manifest, parse_manifest
from builder.oci.media_type import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEX_TYPES,
    LAYER_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
)
from builder.oci.platform import normalise, parse_platform

HEX = "0123456789abcdef" * 4
ONE = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{HEX}", "size": 3}


@given(st.binary(max_size=64), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_is_read_as_it_was_written(data: bytes, algorithm: str) -> None:
    digest = digest_of(data, algorithm)
    assert parse_digest(str(digest)) == digest
    assert f"{digest.algorithm}:{digest.encoded}" == digest


@pytest.mark.parametrize(
    "text",
    [
        "", "sha256", "sha256:", f":{HEX}", HEX, f"SHA256:{HEX}", f"sha256:{HEX.upper()}", f"sha256:{HEX[1:]}",
        f"sha256:{HEX}0", f"sha512:{HEX}", f"sha256:{HEX[1:]}g", f"sha256:{HEX}\n", f" sha256:{HEX}", f"sha256+:{HEX}",
        "sha256:../../x", "sha256:../../../../etc/passwd", f"../sha256:{HEX}", f"sha256:{HEX[:-3]}/..",
    ],
)  # fmt: skip
def test_what_is_no_digest_is_refused_before_it_is_a_path_cve_2024_3727(text: str) -> None:
    with pytest.raises(ReferenceFormatError):
        parse_digest(text)


@pytest.mark.parametrize("algorithm", ["blake3", "sha3-256", "multihash+base58"])
def test_an_algorithm_that_is_not_known_is_named(algorithm: str) -> None:
    with pytest.raises(ReferenceFormatError, match="is not supported") as caught:
        parse_digest(f"{algorithm}:{HEX}")
    assert algorithm in caught.value.message


def test_a_chain_id_is_of_digests_with_a_blank_between() -> None:
    """Printed by docker when it deleted these layers."""
    first = DiffID("sha256:50c49e832b3a7ba96cd18028560bb7b83236c7f014e6c2f0a6acb35a705a32f3")
    second = DiffID("sha256:9f61ff08f419b7c17d9f121a87c2fc5335bb34f85f1b22a0b7443a5ef071992b")
    chain = [str(each) for each in chain_ids([first, second])]
    assert chain == [first, "sha256:17c84a5e12883ce59dc7d926e04eb17fc01a72aac70d245d4f82ee0d80aa1ac6"]


@pytest.mark.parametrize("missing", ["mediaType", "digest", "size"])
def test_a_descriptor_has_type_digest_and_size(missing: str) -> None:
    with pytest.raises(PybuildError):
        descriptor_from_json({key: value for key, value in ONE.items() if key != missing}, "it")


@pytest.mark.parametrize("size", [-1, -(2**63), 2**63, 1.5, "3", True, None])
def test_a_size_is_a_number_of_bytes(size: object) -> None:
    with pytest.raises(ImageError, match="not a number of bytes"):
        descriptor_from_json(ONE | {"size": size}, "it")


def test_a_descriptor_keeps_what_nobody_here_reads() -> None:
    document = ONE | {
        "urls": ["https://elsewhere.example/blob"], "data": "bm90IGl0", "artifactType": "application/x-y",
        "annotations": {"a": "b", "org.example.unknown": ""}, "x-later": {"nested": [1]},
        "platform": {"os": "linux", "architecture": "amd64", "os.features": ["a"], "features": ["b"]},
    }  # fmt: skip
    assert descriptor_from_json(document, "it").to_json() == document


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_INDEX])
def test_manifests_and_indexes_of_oci_and_of_docker_are_read(media_type: str) -> None:
    is_index = media_type in INDEX_TYPES
    body = {"manifests": [ONE]} if is_index else {"config": ONE, "layers": [ONE, ONE]}
    for inner, delivered in ((media_type, ""), (None, media_type), (media_type, media_type)):
        document = {"schemaVersion": 2, "x-later": 1, **body} | ({"mediaType": inner} if inner else {})
        read = parse_manifest(json.dumps(document).encode(), delivered, "it")
        assert read.media_type == media_type
        assert isinstance(read, Index if is_index else Manifest)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mediaType": DOCKER_MANIFEST}, "calls itself"),
        ({"manifests": []}, "both an index and a manifest"),
        ({"mediaType": 5}, "not a string"),
        ({"schemaVersion": 1}, "schema 1"),
        ({"config": None}, "not a descriptor"),
        ({"layers": {"0": ONE}}, "not a list"),
        ({"annotations": {"a": 1}}, "annotations that are not strings"),
    ],
)
def test_a_manifest_that_is_two_things_or_none_is_refused_cve_2021_41190(change: dict[str, Any], said: str) -> None:
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": ONE, "layers": [ONE]} | change
    with pytest.raises(ImageError, match=said):
        parse_manifest(json.dumps(document).encode(), OCI_MANIFEST, "it")


@pytest.mark.parametrize(
    "text",
    [
        '{"layers":[],"layers":[1]}', '{"config":{"digest":"a","digest":"b"}}', '{"a":1,"\\u0061":2}', "[]", "1", "{",
        "\ufeff{}", '{"a":NaN}', '{"a":"\udc80"}', "[" * 100_000, '{"a":' * 100_000,
    ],
)  # fmt: skip
def test_what_two_readers_would_read_differently_is_no_document(text: str) -> None:
    with pytest.raises(ImageError, match="it "):
        canonical.decode(text.encode("utf-8", "surrogateescape"), "it")


def test_an_index_may_be_empty_and_hold_what_nobody_knows() -> None:
    odd = ONE | {"mediaType": "application/x-odd"}
    for entries in ([], [odd], None):
        read = parse_manifest(json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), OCI_INDEX, "it")
        assert isinstance(read, Index)
        assert [entry.media_type for entry in read.manifests] == [entry["mediaType"] for entry in entries or []]


def test_layers_of_all_types_are_layers_and_nothing_else_is() -> None:
    for prefix in ("application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"):
        assert {prefix, f"{prefix}+gzip", f"{prefix}+zstd"} <= LAYER_TYPES
    docker = "application/vnd.docker.image.rootfs"
    assert {f"{docker}.diff.tar.gzip", f"{docker}.foreign.diff.tar.gzip"} <= LAYER_TYPES
    assert not LAYER_TYPES & (MANIFEST_TYPES | INDEX_TYPES | {"application/vnd.oci.empty.v1+json"})


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        (("linux", "x86_64"), "linux/amd64"), (("Linux", "AMD64", "v1"), "linux/amd64"),
        (("linux", "aarch64"), "linux/arm64"), (("linux", "arm64", "v8"), "linux/arm64"),
        (("linux", "arm64", "8"), "linux/arm64"), (("linux", "armhf"), "linux/arm/v7"),
        (("linux", "armel"), "linux/arm/v6"), (("linux", "arm"), "linux/arm/v7"),
        (("linux", "arm", "6"), "linux/arm/v6"),
        (("linux", "i386"), "linux/386"), (("macos", "arm64"), "darwin/arm64"),
    ],
)  # fmt: skip
def test_a_platform_has_one_normal_form(written: tuple[str, ...], normal: str) -> None:
    assert str(normalise(*written)) == normal


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ("linux/arm/v7", ["v7", "v6", "v5"]), ("linux/arm/v6", ["v6", "v5"]),
        ("linux/arm/v8", ["v8", "v7", "v6", "v5"]),
        ("linux/amd64/v3", ["v3", "v2", ""]), ("linux/amd64", [""]), ("linux/arm64", [""]),
    ],
)  # fmt: skip
def test_an_older_variant_serves_where_the_wanted_one_is_not_there(wanted: str, taken: list[str]) -> None:
    platform = parse_platform(wanted)
    offered = {f"{platform.os}/{platform.architecture}/{variant}".rstrip("/"): variant for variant in
               ("", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8")}  # fmt: skip
    ranks = {
        parse_platform(text).variant: rank
        for text in offered
        if (rank := platform.accepts(parse_platform(text))) is not None
    }
    assert sorted(ranks, key=lambda variant: ranks[variant]) == taken


def config(**members: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{HEX}"]}
    return json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs} | members).encode()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"rootfs": {"type": "snapshots", "diff_ids": []}}, "only 'layers' exists"),
        ({"rootfs": {"type": "layers", "diff_ids": "x"}}, "diff_ids is a string"),
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:../x"]}}, "is not a digest"),
        ({"config": {"ExposedPorts": ["80/tcp"]}}, "ExposedPorts is a list"),
        ({"config": {"Volumes": {"/v": 1}}}, "not an object"),
    ],
)
def test_a_config_of_another_shape_is_refused(members: dict[str, Any], said: str) -> None:
    with pytest.raises(PybuildError, match=said):
        parse_config(config(**members), "it")


def test_a_config_comes_back_with_all_that_docker_and_others_put_in_it() -> None:
    document = json.loads(
        config(
            variant="v8",
            **{"os.features": ["x"], "x-later": {"a": 1}},
            created="2020-01-01T00:00:00Z",
            author="me",
            config={
                "User": "1:2", "Env": ["B=1", "A=2"], "Cmd": [], "Entrypoint": ["/e"], "WorkingDir": "/w",
                "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": {"/v": {}}, "Labels": {"b": "1", "a": ""},
                "StopSignal": "SIGINT", "ArgsEscaped": True, "OnBuild": ["RUN x"], "Shell": ["/s", "-c"],
                "Healthcheck": {
                    "Test": ["CMD", "x"], "Interval": 1, "Timeout": 2, "StartPeriod": 3, "StartInterval": 4,
                    "Retries": 5,
                },
                "X-Later": [1],
            },
            history=[
                {"created": "2020-01-01T00:00:00Z", "created_by": "a", "comment": "c", "author": "me"},
                {"created_by": "b", "empty_layer": True},
            ],
        )
    )  # fmt: skip
    document["architecture"] = "riscv64"
    assert parse_config(json.dumps(document).encode(), "it").to_json() == document
