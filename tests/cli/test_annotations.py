"""--annotation and the annotation fields of outputs: where each form arrives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program

TEXT = "FROM scratch\nCOPY Dockerfile /\n"
TWO = "--platform=linux/amd64,linux/arm64"
INDEX = ("--build-arg", "BUILDKIT_MULTI_PLATFORM=1", "--platform=linux/amd64")


def document(layout: Path, descriptor: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_text())
    return found


def built(program: Program, *words: str) -> dict[str, Any]:
    """Build into an image layout; return what is annotated, by place and platform."""
    layout = program.folder.parent / "layout"
    program.build(TEXT, "-o", f"type=oci,tar=false,dest={layout}", *words).succeeded()
    return annotated(layout, json.loads((layout / "index.json").read_text())["manifests"][0])


def annotated(layout: Path, top: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    inner = document(layout, top)
    entries = [top]
    if "manifests" in inner:
        found["index-descriptor"], found["index"] = top.get("annotations", {}), inner.get("annotations", {})
        entries = inner["manifests"]
    for entry in entries:
        name = entry["platform"]["architecture"]
        found[f"manifest-descriptor {name}"] = entry.get("annotations", {})
        found[f"manifest {name}"] = document(layout, entry).get("annotations", {})
    return {place: values for place, values in found.items() if values}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a=b"], {"manifest amd64": {"a": "b"}}),
        (["manifest:a=b"], {"manifest amd64": {"a": "b"}}),
        (["manifest-descriptor:a=b"], {"manifest-descriptor amd64": {"a": "b"}}),
        (["manifest[linux/amd64]:a=b"], {"manifest amd64": {"a": "b"}}),
        (["manifest,manifest-descriptor:a=b"], {"manifest amd64": {"a": "b"}, "manifest-descriptor amd64": {"a": "b"}}),
        (["org.x/y=a=b:c,d"], {"manifest amd64": {"org.x/y": "a=b:c,d"}}),
        (["a=", "b=1", "b=2"], {"manifest amd64": {"a": "", "b": "2"}}),
    ],
)
def test_annotations_of_one_platform(pybuild: Program, words: list[str], expected: dict[str, Any]) -> None:
    flags = [word for text in words for word in ("--annotation", text)]
    assert built(pybuild, "--platform=linux/amd64", *flags) == expected


@pytest.mark.parametrize("place", ["index", "index-descriptor"])
@pytest.mark.parametrize("platforms", [(TWO,), INDEX])
def test_annotations_of_an_index(pybuild: Program, place: str, platforms: tuple[str, ...]) -> None:
    assert built(pybuild, *platforms, f"--annotation={place}:a=b") == {place: {"a": "b"}}


def test_annotations_of_all_places_and_of_some_platforms(pybuild: Program) -> None:
    found = built(
        pybuild,
        TWO,
        "--annotation=index,manifest,manifest-descriptor,index-descriptor:all=1",
        "--annotation=manifest[linux/arm64]:arm=1",
        "--annotation=manifest-descriptor[linux/amd64],index:some=1",
    )
    assert found == {
        "index-descriptor": {"all": "1"},
        "index": {"all": "1", "some": "1"},
        "manifest amd64": {"all": "1"},
        "manifest-descriptor amd64": {"all": "1", "some": "1"},
        "manifest arm64": {"all": "1", "arm": "1"},
        "manifest-descriptor arm64": {"all": "1"},
    }


def test_fields_of_an_output_annotate_that_output_alone(pybuild: Program) -> None:
    layout = pybuild.folder.parent / "layout"
    fields = "annotation.a=1,annotation-manifest.b=2,annotation-index.c=3,annotation-manifest[linux/arm64].d=4"
    fields += ",annotation-manifest-descriptor.e=5,annotation-index-descriptor.f=6"
    plain = f"type=oci,tar=false,dest={layout}-plain"
    words = ("-o", f"type=oci,tar=false,dest={layout},{fields}", "-o", plain, "--annotation=index:g=7")
    pybuild.build(TEXT, TWO, *words).succeeded()
    found = annotated(layout, json.loads((layout / "index.json").read_text())["manifests"][0])
    assert found == {
        "index": {"c": "3", "g": "7"},
        "index-descriptor": {"f": "6"},
        "manifest amd64": {"a": "1", "b": "2"},
        "manifest arm64": {"a": "1", "b": "2", "d": "4"},
        "manifest-descriptor amd64": {"e": "5"},
        "manifest-descriptor arm64": {"e": "5"},
    }
    other = Path(f"{layout}-plain")
    assert annotated(other, json.loads((other / "index.json").read_text())["manifests"][0]) == {"index": {"g": "7"}}


def test_the_image_of_the_store_is_annotated_each_time(pybuild: Program) -> None:
    for value in ("1", "1", "2"):
        pybuild.build(TEXT, "-t", "n", f"--annotation=a={value}").succeeded()
        top = next(
            entry
            for entry in json.loads((pybuild.store / "index.json").read_text())["manifests"]
            if "docker.io/library/n:latest" in entry.get("annotations", {}).values()
        )
        assert document(pybuild.store, top)["annotations"] == {"a": value}
    pybuild.build(TEXT, "-t", "n").succeeded()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--annotation=a"], "'a' is not KEY=VALUE"),
        (["--annotation="], "'' is not KEY=VALUE"),
        (["--annotation==b"], "'=b' is not KEY=VALUE"),
        (["--annotation=manifest:=b"], "is not KEY=VALUE"),
        (["--annotation=foo:a=b"], "unknown annotation type 'foo'"),
        (["--annotation=manifest,:a=b"], "'' is not PLACE"),
        (["--annotation=Manifest:a=b"], "'Manifest' is not PLACE"),
        (["--annotation=manifest[:a=b"], "'manifest[' is not PLACE"),
        (["--annotation=manifest[x/y/z/w]:a=b"], "x/y/z/w"),
        (["--annotation=index:a=b"], "without an index"),
        (["--annotation=index-descriptor:a=b"], "without an index"),
        (["--annotation=manifest[linux/s390x]:a=b"], "linux/s390x is not built"),
        (["-o", "type=oci,dest=x,annotation-foo.a=b"], "unknown annotation type 'foo'"),
        (["-o", "type=oci,dest=x,annotation=b"], "'annotation' is not annotation.KEY"),
        (["-o", "type=oci,dest=x,annotation-index.a=b"], "without an index"),
        (["-o", "type=docker,dest=x,annotation[linux/s390x].a=b"], "linux/s390x is not built"),
    ],
)
def test_an_annotation_that_goes_nowhere_is_refused_before_building(
    pybuild: Program, words: list[str], said: str
) -> None:
    outcome = pybuild.build(TEXT, *words)
    outcome.failed(2, said)
    assert "DONE" not in outcome.err
