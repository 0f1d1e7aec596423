"""--output: parsed, and what it says of places that cannot be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import PybuildError, TransportError, UsageError
from builder.image.image import load_image
from builder.oci.annotations import Annotation
from builder.oci.reference import parse_reference
from builder.store.store import Store
from builder.transport.output import (
    ArchiveOutput,
    CacheOnlyOutput,
    ImageOutput,
    LocalOutput,
    TarOutput,
    parse_output,
)
from builder.transport.packing_choice import Packing
from builder.transport.places.one_file import open_output_file
from tests.transport.writing import build, write

# --- the text


def test_every_type_is_understood() -> None:
    assert parse_output("type=oci,dest=x.tar") == ArchiveOutput(dest="x.tar")
    assert parse_output("type=oci,tar=false,dest=dir") == ArchiveOutput(dest="dir", is_directory=True)
    assert parse_output("type=docker") == ArchiveOutput(dest="-", for_docker=True)
    assert parse_output("type=tar,dest=-") == TarOutput("-")
    assert parse_output("-") == TarOutput("-")
    assert parse_output("out/dir") == LocalOutput("out/dir")
    assert parse_output("type=local,dest=d") == LocalOutput("d")
    assert parse_output("type=cacheonly") == CacheOnlyOutput()
    assert parse_output('type=image,"name=a,b:2"') == ImageOutput(names=(parse_reference("a"), parse_reference("b:2")))


def test_options_of_archives_are_understood() -> None:
    text = "type=oci,dest=x,compression=zstd,compression-level=19,force-compression=true,annotation.a.b=c=d,name=n"
    assert parse_output(text) == ArchiveOutput(
        dest="x", names=(parse_reference("n"),), packing=Packing(compression="zstd", level=19, force=True),
        annotations=(Annotation("manifest", None, "a.b", "c=d"),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("type=ocii,dest=x", "unknown type 'ocii'", "Did you mean oci?"),
        ("type=oci,dst=x", "unknown key 'dst'", "Did you mean dest?"),
        ("dest=x", "type is missing", "Known are"),
        ("", "dest is missing", ""),
        ("type=local", "dest is missing", ""),
        ("type=oci,tar=false", "dest is missing", ""),
        ("type=oci,dest=x,tar=perhaps", "tar is true or false", ""),
        ("type=oci,dest=x,compression=gz", "unknown compression 'gz'", "Did you mean gzip?"),
        ("type=oci,dest=x,compression-level=10", "compression-level is 0 to 9", ""),
        ("type=oci,dest=x,compression=zstd,compression-level=x", "compression-level is 0 to 22", ""),
        ("type=oci,dest", "not of the form key=value", ""),
        ("type=registry,push=maybe", "push is true or false", ""),
        ('type=oci,"dest=x', "unexpected end of data", ""),
    ],
)
def test_what_is_wrong_is_said_with_the_nearest_known_word(text: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_output(text)
    assert said in caught.value.message
    assert hint in caught.value.hint


@given(st.text(alphabet='typeocidst=,"-. \n\0x', max_size=40) | st.text(max_size=40))
def test_no_text_is_anything_but_an_output_or_a_clear_error(text: str) -> None:
    try:
        parse_output(text)
    except PybuildError as error:
        assert error.message  # noqa: PT017  # any other exception fails the test


# --- destinations


def test_a_failed_output_leaves_the_old_file(store: Store, tmp_path: Path) -> None:
    image = build(store)
    (tmp_path / "out.tar").write_text("old")
    store.blobs.delete(load_image(store.blobs, image).manifest.layers[1].digest)
    with pytest.raises(PybuildError, match="not in the store"):
        write(store, image, f"type=docker,dest={tmp_path}/out.tar")
    assert (tmp_path / "out.tar").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["out.tar", "store"]


@pytest.mark.parametrize("kind", ["oci", "docker", "tar"])
def test_places_that_cannot_be_written_are_named(store: Store, tmp_path: Path, kind: str) -> None:
    image = build(store)
    with pytest.raises(TransportError, match="is a directory"):
        write(store, image, f"type={kind},dest={tmp_path}")
    with pytest.raises(TransportError, match=r"nowhere/x: no such file"):
        write(store, image, f"type={kind},dest={tmp_path}/nowhere/x")


def test_nothing_is_written_to_a_terminal(store: Store) -> None:
    master, terminal = os.openpty()
    try:
        with pytest.raises(TransportError, match="would go to the terminal"):
            write(store, build(store), "type=tar", stdout=terminal)
    finally:
        os.close(master)
        os.close(terminal)


def test_what_killed_writers_left_beside_an_output_goes_with_the_next(tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    others = [
        tmp_path / name
        for name in (".image.tar.20240131", ".image.tar.part", ".pybuild-20240131.part", ".pybuild-0123456789abcdef")
    ]
    for path in (*others, *(tmp_path / f".pybuild-{mark}.part" for mark in ("0123456789abcdef", "fedcba9876543210"))):
        path.write_text("kept")
    with open_output_file(str(target)) as write:
        write(b"1")
        (living,) = {path.name for path in tmp_path.iterdir()} - {path.name for path in others}
        with open_output_file(str(target)) as write_again:
            write_again(b"2")
        assert (tmp_path / living).exists(), "its writer lives"
    assert target.read_bytes() == b"1"
    assert {path.name for path in tmp_path.iterdir()} == {"image.tar", *(path.name for path in others)}
