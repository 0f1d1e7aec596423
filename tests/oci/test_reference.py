"""Image names, normalised as docker normalises them (distribution/reference)."""

from __future__ import annotations

import pytest

from builder.errors import ReferenceFormatError
from builder.oci.reference import parse_reference, reference_or_none, split_short_name

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "whole", "familiar"),
    [
        ("ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("index.docker.io/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("host/x", "docker.io/host/x:latest", "host/x:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
        ("a.b/x", "a.b/x:latest", "a.b/x:latest"),
        ("UPPER.com/x", "UPPER.com/x:latest", "UPPER.com/x:latest"),
        ("Host/x", "Host/x:latest", "Host/x:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("[2001:db8::1]/x:1", "[2001:db8::1]/x:1", "[2001:db8::1]/x:1"),
        ("example.com", "docker.io/library/example.com:latest", "example.com:latest"),
        ("example.com:5000", "docker.io/library/example.com:5000", "example.com:5000"),
        ("a__b", "docker.io/library/a__b:latest", "a__b:latest"),
        ("a--b", "docker.io/library/a--b:latest", "a--b:latest"),
        ("foo/bar:TAG_1.x-", "docker.io/foo/bar:TAG_1.x-", "foo/bar:TAG_1.x-"),
        (
            "docker.io/library/distros/ubuntu",
            "docker.io/library/distros/ubuntu:latest",
            "library/distros/ubuntu:latest",
        ),
        (f"x@sha256:{HEX}", f"docker.io/library/x@sha256:{HEX}", f"x@sha256:{HEX}"),
        (f"x:1@sha256:{HEX}", f"docker.io/library/x:1@sha256:{HEX}", f"x:1@sha256:{HEX}"),
        ("x:" + "t" * 128, "docker.io/library/x:" + "t" * 128, "x:" + "t" * 128),
        (f"a.b/{'x' * 251}", f"a.b/{'x' * 251}:latest", f"a.b/{'x' * 251}:latest"),
    ],
)
def test_a_name_is_normalised_and_shown_short(text: str, whole: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert (str(reference), reference.familiar) == (whole, familiar)
    assert parse_reference(reference.familiar) == reference


@pytest.mark.parametrize(
    "text",
    [
        *("", "a___b", "a..b", "-a", "a-", "x:", "x:-1", "x:.1", HEX, "Ubuntu", "a/Ubuntu", "x@sha256:abc", "x@"),
        *("x:" + "t" * 129, f"a.b/{'x' * 252}", "a b", "x\n", "/x", "x/", "a//b", "[::1/x", "x:1:2", "-h.b/x", "ü"),
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ReferenceFormatError):
        parse_reference(text)
    assert reference_or_none(text) is None


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("fedora", ("fedora", "")),
        ("fedora:40", ("fedora", ":40")),
        (f"team/x:1@sha256:{HEX}", ("team/x", f":1@sha256:{HEX}")),
        ("example.com:5000", ("example.com", ":5000")),
        *((text, ("", "")) for text in ("docker.io/fedora", "localhost/x", "h:5000/x:1", "Host/x", "[::1]/x")),
    ],
)
def test_a_name_without_a_registry_is_short(text: str, short: tuple[str, str]) -> None:
    assert split_short_name(text) == short
