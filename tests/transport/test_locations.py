"""The texts that say where images are."""

from __future__ import annotations

import pytest

from builder.errors import PybuildError
from builder.oci.reference import parse_reference
from builder.transport.places.location import (
    DaemonLocation,
    DirLocation,
    DockerArchiveLocation,
    LayoutLocation,
    Location,
    OciArchiveLocation,
    RegistryLocation,
    StorageLocation,
    StoreLocation,
    parse_location,
    parse_origin,
)

X = parse_reference("x:1")
HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("docker://x:1", RegistryLocation(X)),
        ("x:1", StoreLocation("x:1")),
        ("localhost:5000/x", StoreLocation("localhost:5000/x")),
        ("docker:24", StoreLocation("docker:24")),
        (HEX, StoreLocation(HEX)),
        (f"sha256:{HEX}", StoreLocation(f"sha256:{HEX}")),
        ("oci:d", LayoutLocation("d")),
        ("oci:/d:v1", LayoutLocation("/d", "v1")),
        ("oci:/d:host:5000/x:1", LayoutLocation("/d", "host:5000/x:1")),
        ("oci:/d:@2", LayoutLocation("/d", "@2")),
        ("oci-layout:///d:v1", LayoutLocation("/d", "v1")),
        ("oci-archive:a.tar:v1", OciArchiveLocation("a.tar", "v1")),
        ("docker-archive:a.tar", DockerArchiveLocation("a.tar")),
        ("docker-archive:a.tar:x:1", DockerArchiveLocation("a.tar", X)),
        ("docker-archive:-:@3", DockerArchiveLocation("-", position=3)),
        ("dir:/a:b", DirLocation("/a:b")),
        ("docker-daemon:x:1", DaemonLocation(X)),
        (f"docker-daemon:sha256:{HEX}", DaemonLocation(None, f"sha256:{HEX}")),
        ("containers-storage:x:1", StorageLocation("", X)),
        ("containers-storage:[vfs@/r+/run]x:1", StorageLocation("[vfs@/r+/run]", X)),
        ("containers-storage:@0123ab", StorageLocation("", None, "0123ab")),
    ],
)
def test_each_transport_has_its_grammar(text: str, location: Location) -> None:
    assert parse_location(text) == location
    assert parse_location(str(location)) == location


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("oci-archiv:/x.tar", "Did you mean oci-archive:?"),
        ("dokcer://x", "Did you mean docker://?"),
        ("ftp://x", "unknown transport 'ftp'"),
        ("oci:", "the path is missing"),
        ("docker-archive::x", "the path is missing"),
        ("docker://", "the name of the image is missing"),
        ("docker://X", "lower-case"),
        (f"docker-archive:a.tar:x@sha256:{HEX}", "not by digest"),
        ("docker-daemon:sha256:abc", "no image ID"),
        (f"docker-daemon:x:1@sha256:{HEX}", "a tag and a digest"),
        ("containers-storage:@zz", "no image ID"),
    ],
)
def test_a_mistake_gets_one_clear_error(text: str, words: str) -> None:
    with pytest.raises(PybuildError) as caught:
        parse_location(text)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_origins_of_older_stores_stay_readable() -> None:
    assert parse_origin("docker.io/library/x") == RegistryLocation(parse_reference("x"))
    assert parse_origin("localhost:5000/x") == RegistryLocation(parse_reference("localhost:5000/x"))
    assert parse_origin("oci:5000/x") == RegistryLocation(parse_reference("oci:5000/x"))
    assert parse_origin("oci-layout:///d") == LayoutLocation("/d")
