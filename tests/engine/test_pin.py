"""FROM lines and their digests: what is pinned, what is left alone, and that nothing else of the file changes."""

from __future__ import annotations

import pytest

from builder.engine.pin import apply_pins, find_pins
from builder.errors import PlanError, RegistryError
from builder.oci.digest import Digest, digest_of
from builder.oci.reference import Reference

D = digest_of(b"today's")


def find_digest(reference: Reference) -> Digest:
    return D


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\n", f"FROM a@{D}\n"),
        ("from  a:1   as b\n", f"from  a:1@{D}   as b\n"),
        ("FROM --platform=linux/arm64 a:1 AS b\n", f"FROM --platform=linux/arm64 a:1@{D} AS b\n"),
        ("# FROM a\r\nFROM a\r\nRUN x\r\n", f"# FROM a\r\nFROM a@{D}\r\nRUN x\r\n"),
        ("FROM \\\n  a \\\n  AS b\n", f"FROM \\\n  a@{D} \\\n  AS b\n"),
        ("FROM a AS b\nFROM b\nFROM a\n", f"FROM a@{D} AS b\nFROM b\nFROM a@{D}\n"),
        ("FROM a AS B\nFROM b\n", f"FROM a@{D} AS B\nFROM b\n"),
        ("FROM scratch\n", "FROM scratch\n"),
        (f"FROM a@{D}\n", f"FROM a@{D}\n"),
        ("FROM a", f"FROM a@{D}"),
    ],
)
def test_only_the_words_that_name_images_change(text: str, expected: str) -> None:
    assert apply_pins(text, find_pins(text, "Dockerfile", find_digest)) == expected


@pytest.mark.parametrize(
    ("word", "reason"),
    [("$base", "it has variables or quotes"), ('"a"', "it has variables or quotes"), ("A", "must be lower-case")],
)
def test_a_word_that_cannot_be_pinned_is_reported_and_stays(word: str, reason: str) -> None:
    text = f"ARG base=a\nFROM {word}\n"
    (pin,) = find_pins(text, "Dockerfile", find_digest)
    assert (pin.written, pin.pinned, pin.location.line) == (word, "", 2)
    assert reason in pin.reason
    assert apply_pins(text, (pin,)) == text


def test_a_check_names_what_lacks_a_digest_and_asks_nobody() -> None:
    text = f"FROM a AS one\nFROM one\nFROM b@{D}\nFROM $c\n"
    pins = find_pins(text, "Dockerfile", None)
    assert [(pin.written, pin.pinned, bool(pin.reason)) for pin in pins] == [("a", "", False), ("$c", "", True)]
    assert apply_pins(text, pins) == text


def test_what_the_registry_says_is_passed_on() -> None:
    def refuse(reference: Reference) -> Digest:
        raise RegistryError(f"no {reference}")

    with pytest.raises(PlanError, match=r"no docker\.io/library/a:1") as caught:
        find_pins("FROM scratch\nFROM  a:1\n", "Dockerfile", refuse)
    assert caught.value.location is not None
    assert (caught.value.location.line, caught.value.location.column) == (2, 7)
