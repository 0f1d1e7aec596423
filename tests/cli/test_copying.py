"""Images between places, as people call for it: copy, save, load, and inspect of what lies elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.engine.copying import copy_between
from builder.errors import StoreError, UsageError
from tests.cli.program import Outcome, Program
from tests.support.registry import FakeImage, FakeRegistry, Fault, make_image, make_index
from tests.transport.test_docker_archive import old_docker, packed, skopeo_s, write

TEXT = "FROM scratch\nCOPY Dockerfile /file\nCOPY Dockerfile /again\n"
TWO = ("--platform=linux/amd64", "--platform=linux/arm64")
FILES = ("oci:{}/layout:x", "oci-archive:{}/x.tar:x", "docker-archive:{}/x.tar:app:1", "dir:{}/flat")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def other(program: Program) -> dict[str, str | None]:
    """The environment of a second store."""
    return {"PYBUILD_ROOT": str(program.store.with_name("other"))}


def facts(outcome: Outcome) -> dict[str, Any]:
    (found,) = json.loads(outcome.succeeded().out)
    return dict(found)


def add_index(registry: FakeRegistry) -> tuple[str, FakeImage]:
    amd, arm = make_image([{"a": b"amd"}]), make_image([{"a": b"arm"}], architecture="arm64")
    index = make_index([amd, arm])
    return registry.add_image("demo", "all", index, [amd, arm]), amd


@pytest.mark.parametrize("place", FILES)
def test_a_copy_there_and_back_is_the_same_image(pybuild: Program, place: str, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    before = facts(pybuild("inspect", "app:1"))
    where = place.format(tmp_path)
    digest = pybuild("copy", "-q", "app:1", where).succeeded().out.strip()
    said = pybuild("copy", where, "back:1", env=other(pybuild)).succeeded().out
    assert said.splitlines()[-1] == f"Digest: {digest}"
    assert said.count(": Copied") == 3, "two layers and the config"
    after = facts(pybuild("inspect", "back:1", env=other(pybuild)))
    assert (after["Id"], after["Digest"], after["RootFS"]) == (before["Id"], digest, before["RootFS"])
    assert (digest == before["Digest"]) == place.startswith("dir:"), "layers are compressed for all but dir:"
    again = pybuild("copy", where, "back:2", env=other(pybuild)).succeeded().out
    assert again.count(": Already exists") == 3


@pytest.mark.parametrize("place", FILES)
def test_digests_stay_where_that_is_asked_for(pybuild: Program, place: str, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    digest = facts(pybuild("inspect", "app:1"))["Digest"]
    where = place.format(tmp_path)
    assert pybuild("copy", "-q", "--preserve-digests", "app:1", where).succeeded().out == f"{digest}\n"
    assert facts(pybuild("inspect", where))["Digest"] == digest


def test_an_image_is_carried_in_the_format_that_is_asked_for(
    pybuild: Program, registry: FakeRegistry, tmp_path: Path
) -> None:
    name, source = f"{registry.host}/app:1", f"docker://{registry.host}/app:1"
    pybuild.build("FROM scratch\nCOPY Dockerfile /\n", "-t", name).succeeded()
    (tmp_path / "pointed").symlink_to(tmp_path / "digest")
    words = ("--format=docker", f"--digestfile={tmp_path}/pointed")
    said = pybuild("push", *words, name).succeeded().out
    assert f"digest: {(tmp_path / 'digest').read_text()} size: " in said
    raw, media_type = registry.manifests["app", "1"]
    assert json.loads(raw)["mediaType"] == media_type == "application/vnd.docker.distribution.manifest.v2+json"
    # Layers of zstd are compressed anew, where the store has them.
    pybuild("push", "--compression=zstd", name).succeeded()
    pybuild("copy", "--format=v2s2", source, f"dir:{tmp_path}/d").failed(1, "layers of zstd", "Copy it into the store")
    pybuild("copy", source, "zstd").succeeded()
    copied = pybuild("copy", "-q", *words, "zstd", f"dir:{tmp_path}/d").succeeded().out
    assert copied == f"{(tmp_path / 'digest').read_text()}\n"
    manifest = json.loads((tmp_path / "d/manifest.json").read_text())
    assert manifest["config"] == json.loads(raw)["config"], "the ID is the same"
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}
    pybuild("push", "-a", f"--digestfile={tmp_path}/x", name).failed(2, "--digestfile is for one digest")
    for place, options, reason in (
        ("x", {"preserve_digests": True}, "--format and --preserve-digests are mutually exclusive"),
        ("docker-daemon:x", {}, "nothing for --format to decide"),
    ):
        with pytest.raises(UsageError, match=reason):
            copy_between(name, place, str(pybuild.store), form="docker", notify=print, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["docker-daemon:app:1", "containers-storage:app:1"])
def test_a_place_that_makes_other_digests_is_refused(pybuild: Program, place: str) -> None:
    pybuild("copy", "--preserve-digests", "app:1", place).failed(2, "--preserve-digests forbids", "oci-archive:")


def test_an_image_goes_to_a_registry_and_back(pybuild: Program, registry: FakeRegistry) -> None:
    registry.owned = set()
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    where = f"docker://{registry.host}/team/app:1"
    digest = pybuild("copy", "-q", "app:1", where).succeeded().out.strip()
    assert facts(pybuild("inspect", "app:1"))["RepoDigests"] == [f"{registry.host}/team/app@{digest}"]
    pybuild("copy", where, "back", env=other(pybuild)).succeeded()
    assert facts(pybuild("inspect", "back", env=other(pybuild)))["Digest"] == digest
    second = pybuild("copy", "app:1", f"docker://{registry.host}/other:1").succeeded()
    assert second.out.count(": Copied") == 3
    assert any("mount=" in path and "from=team/app" in path.replace("%2F", "/") for _, path, _ in registry.requests)


def test_of_an_index_one_image_is_copied_or_all(pybuild: Program, registry: FakeRegistry, tmp_path: Path) -> None:
    name, amd = add_index(registry)
    source, index = f"docker://{name}", registry.manifests[("demo", "all")][0]
    assert pybuild("copy", "-q", "--platform=linux/amd64", source, "one").succeeded().out.strip() == amd.digest
    where = f"oci-archive:{tmp_path}/all.tar"
    pybuild("copy", "--all", source, where).succeeded()
    assert pybuild("inspect", "--raw", where).succeeded().out.encode() == index
    pybuild("copy", "--all", source, f"docker-archive:{tmp_path}/d.tar").failed(1, "one platform only", "--all")
    pybuild("copy", "--all", "--platform=linux/arm64", source, "x").failed(2, "mutually exclusive")
    pybuild("copy", "--platform=linux/s390x", source, "x").failed(1, "linux/s390x")
    assert not (tmp_path / "d.tar").exists()


def test_an_image_elsewhere_is_described_without_its_layers(pybuild: Program, registry: FakeRegistry) -> None:
    image = make_image([{"a": b"a"}, {"b": b"b"}])
    name = registry.add_image("demo", "v1", image)
    found = facts(pybuild("inspect", f"docker://{name}"))
    assert found["Digest"] == image.digest
    assert found["RepoDigests"] == [f"{registry.host}/demo@{image.digest}"]
    assert len(found["Layers"]) == 2
    fetched = {path.rpartition("/")[2] for _, path, _ in registry.requests if "/blobs/" in path}
    assert fetched == {found["Id"]}
    assert pybuild("inspect", "--raw", f"docker://{name}").succeeded().out.encode() == image.manifest
    assert json.loads(pybuild("inspect", "--config", f"docker://{name}").succeeded().out) == image.config
    assert json.loads(pybuild("images", "--json").succeeded().out) == []


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_was_saved_is_loaded_under_its_names(pybuild: Program, form: str, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1", "-t", "app:2").succeeded()
    pybuild.build("FROM scratch\nLABEL a=b\n", "-t", "empty").succeeded()
    pybuild("save", "--format", form, "-o", str(tmp_path / "x.tar"), "app:1", "empty", "app:2").succeeded()
    said = pybuild("load", "-q", "-i", str(tmp_path / "x.tar"), env=other(pybuild)).succeeded().out
    assert said.splitlines() == ["Loaded image: app:1", "Loaded image: app:2", "Loaded image: empty:latest"]
    for name in ("app:2", "empty"):
        ids = [facts(pybuild("inspect", name, env=env))["Id"] for env in ({}, other(pybuild))]
        assert ids[0] == ids[1]
    history = json.loads(pybuild("history", "--json", "app:1", env=other(pybuild)).succeeded().out)
    assert [step["files"] for step in history if step["layer"]] == [1, 1], "tables of contents are made"


def test_saving_and_loading_go_through_pipes(pybuild: Program, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    pybuild("save", "app:1", redirect=f">{tmp_path}/x.tar").succeeded()
    data = (tmp_path / "x.tar").read_bytes()
    assert pybuild("load", "-q", stdin=data, env=other(pybuild)).succeeded().out == "Loaded image: app:1\n"
    pybuild("copy", "app:1", "oci-archive:-:app:1", redirect=f">{tmp_path}/y.tar").succeeded()
    copied = pybuild("copy", "oci-archive:-", "again", stdin=(tmp_path / "y.tar").read_bytes(), env=other(pybuild))
    assert copied.succeeded().out.count(": Already exists") == 3


def test_an_image_without_a_name_is_loaded_by_its_id(pybuild: Program, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    identifier = facts(pybuild("inspect", "app:1"))["Id"]
    pybuild("save", "-o", str(tmp_path / "x.tar"), identifier).succeeded()
    said = pybuild("load", "-q", "-i", str(tmp_path / "x.tar"), env=other(pybuild)).succeeded().out
    assert said == f"Loaded image ID: {identifier}\n"
    assert facts(pybuild("inspect", identifier[7:19], env=other(pybuild)))["Id"] == identifier


@pytest.mark.parametrize("files", [old_docker, skopeo_s, packed])
def test_archives_of_all_generations_are_loaded(pybuild: Program, files: Any, tmp_path: Path) -> None:
    write(tmp_path / "x.tar", files())
    assert pybuild("load", "-q", "-i", str(tmp_path / "x.tar")).succeeded().out == "Loaded image: demo:v1\n"
    pybuild.build("FROM demo:v1\nCOPY --from=demo:v1 /a /c\n", "-t", "on-top").succeeded()
    assert len(facts(pybuild("inspect", "on-top"))["Layers"]) == 3


@pytest.mark.parametrize("form", ["oci-dir", "docker-dir"])
def test_an_image_is_saved_as_a_directory(pybuild: Program, form: str, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1", "-t", "app:2").succeeded()
    pybuild("save", "--format", form, "-o", str(tmp_path / "d"), "app:1").succeeded()
    where = f"oci:{tmp_path}/d:1" if form == "oci-dir" else f"dir:{tmp_path}/d"
    assert facts(pybuild("inspect", where))["Id"] == facts(pybuild("inspect", "app:1"))["Id"]
    pybuild("save", "--format", form, "app:1").failed(2, "cannot be written to standard output", "-o")
    pybuild("save", "--format", "docker-dir", "-o", str(tmp_path / "e"), "app:1", "app:2").failed(2, "one image")


@pytest.mark.parametrize("part", [3, 2])
def test_an_archive_that_is_cut_short_leaves_nothing(pybuild: Program, part: int, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    pybuild("save", "-o", str(tmp_path / "x.tar"), "app:1").succeeded()
    data = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(data[: len(data) // part])
    pybuild("load", "-i", str(tmp_path / "x.tar"), env=other(pybuild)).failed(1, "x.tar")
    assert pybuild("images", "-q", "-a", env=other(pybuild)).succeeded().out == ""


def test_what_cannot_be_had_is_said(pybuild: Program, registry: FakeRegistry, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    pybuild("save", "-o", str(tmp_path / "x.tar"), "app:1").succeeded()
    pybuild("copy", f"docker-archive:{tmp_path}/x.tar:app:9", "x").failed(1, "has no image 'docker.io/library/app:9'")
    pybuild("copy", f"docker://{registry.host}/no:1", "x").failed(1, "not found in registry")
    pybuild("copy", "app:9", f"dir:{tmp_path}/d").failed(1, "app:9: no such image in the store")
    pybuild("copy", "docker-archve:x.tar", "x").failed(1, "Did you mean docker-archive:?")
    pybuild("copy", "dokcer://x", "x").failed(2, "unknown transport 'dokcer'", "Did you mean docker://?")
    pybuild("save", "app:9").failed(1, "no such image: app:9")
    pybuild("load", "-i", str(tmp_path / "none.tar")).failed(1, "none.tar: not found")
    pybuild("inspect", f"oci:{tmp_path}/none").failed(1, "is not an OCI image layout")
    env = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    pybuild("copy", "app:1", "docker-daemon:app:1", env=env).failed(1, "none.sock")
    pybuild("copy", "docker-daemon:app:1", "x", env=env).failed(1, "none.sock")


def test_a_registry_that_refuses_gets_no_image(pybuild: Program, registry: FakeRegistry) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    registry.faults.append(Fault("blobs/uploads", status=403, times=9))
    pybuild("copy", "app:1", f"docker://{registry.host}/app:1").failed(1, "403")
    assert ("app", "1") not in registry.manifests


def test_an_index_of_the_store_goes_whole(pybuild: Program, tmp_path: Path) -> None:
    pybuild.build("FROM scratch\nCOPY Dockerfile /\n", *TWO, "-t", "both").succeeded()
    pybuild("save", "--format=oci-archive", "-o", str(tmp_path / "x.tar"), "both").succeeded()
    pybuild("load", "-i", str(tmp_path / "x.tar"), env=other(pybuild)).succeeded()
    raw = [json.loads(pybuild("inspect", "--raw", "both", env=env).succeeded().out) for env in ({}, other(pybuild))]
    assert [len(index["manifests"]) for index in raw] == [2, 2]
    pybuild("save", "-o", str(tmp_path / "y.tar"), "both").succeeded()
    assert (
        facts(pybuild("inspect", f"docker-archive:{tmp_path}/y.tar"))["Id"] == facts(pybuild("inspect", "both"))["Id"]
    )


DIGEST = f"sha256:{'0' * 63}1"


def test_a_name_with_a_digest_stands_for_nothing_else(pybuild: Program, tmp_path: Path) -> None:
    """Or `FROM name@sha256:…` would believe whoever wrote an archive."""
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    outcome = pybuild("copy", "app:1", f"good@{DIGEST}")
    outcome.failed(1, "cannot stand for", "a name with a digest is of one image alone")
    files = old_docker()
    listed = files["manifest.json"]
    assert isinstance(listed, bytes)
    write(tmp_path / "x.tar", {**files, "manifest.json": listed.replace(b"demo:v1", f"good@{DIGEST}".encode())})
    assert pybuild("load", "-i", str(tmp_path / "x.tar")).code == 1
    assert DIGEST not in pybuild("images", "--json").succeeded().out
    pybuild("copy", "app:1", f"docker://127.0.0.1:1/x:1@{DIGEST}").failed(2, "nothing can be called so")


@pytest.mark.parametrize("name", ["docker.io/library/good", "docker.io/library/good:1"])
def test_a_name_that_somebody_has_written_is_not_believed(pybuild: Program, name: str) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    index = pybuild.store / "index.json"
    index.write_text(index.read_text().replace("docker.io/library/app:1", f"{name}@{DIGEST}"))
    outcome = pybuild.build(f"FROM good@{DIGEST}\nCOPY Dockerfile /x\n", env={"https_proxy": "http://127.0.0.1:9"})
    outcome.failed(1, "cannot reach registry")


def test_images_of_one_tag_are_not_saved_where_one_would_be_lost(pybuild: Program, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "one", "-t", "same").succeeded()
    pybuild.build(f"{TEXT}LABEL a=b\n", "-t", "two", "-t", "three:3").succeeded()
    words = ("save", "--format=oci-dir", "-o", str(tmp_path / "d"))
    pybuild(*words, "one", "two").failed(2, "one:latest and two:latest have one tag")
    assert not (tmp_path / "d").exists()
    pybuild(*words, "one", "same", "three:3").succeeded()
    assert len(json.loads((tmp_path / "d/index.json").read_text())["manifests"]) == 3
    pybuild("save", "-o", str(tmp_path / "x.tar"), "one", "two").succeeded()


def test_a_store_is_not_written_to_as_if_it_were_a_layout(pybuild: Program, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    (tmp_path / "link").symlink_to(pybuild.store)
    before = sorted(pybuild.store.iterdir()), (pybuild.store / "index.json").read_bytes()
    itself, inside = "this is a store, which only pybuild", f"this is inside the store {pybuild.store}"
    for where, reason in (
        (f"oci:{pybuild.store}", itself),
        (f"dir:{tmp_path}/link", itself),
        (f"oci:{tmp_path}/link/new/one:x", inside),
        (f"dir:{pybuild.store}/blobs", inside),
    ):
        with pytest.raises(StoreError, match=reason) as refused:
            copy_between("app:1", where, str(pybuild.store), notify=print)
        assert f"store:{pybuild.store}" in refused.value.hint
    pybuild("save", "--format=oci-dir", "-o", str(pybuild.store), "app:1").failed(1, itself)
    pybuild.build(None, "-o", f"type=local,dest={tmp_path}/link/x").failed(1, inside)
    assert (sorted(pybuild.store.iterdir()), (pybuild.store / "index.json").read_bytes()) == before
    copy_between("app:1", f"oci:{tmp_path}/layout", str(pybuild.store), notify=print)
    copy_between(
        f"oci:{pybuild.store}:docker.io/library/app:1", f"dir:{tmp_path}/read", str(pybuild.store), notify=print
    )


def test_a_directory_is_not_copied_onto_itself(pybuild: Program, tmp_path: Path) -> None:
    pybuild.build(TEXT, "-t", "app:1").succeeded()
    pybuild("copy", "app:1", f"dir:{tmp_path}/a").succeeded()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    before = sorted(path.name for path in (tmp_path / "a").iterdir())
    pybuild("copy", f"dir:{tmp_path}/a", f"dir:{tmp_path}/b").failed(1, "both what is copied and what is overwritten")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == before


def test_an_image_is_copied_by_whatever_it_is_called(pybuild: Program, registry: FakeRegistry, tmp_path: Path) -> None:
    name = f"{registry.host}/app:1"
    pybuild.build(TEXT, "-t", name).succeeded()
    pybuild("push", name).succeeded()
    described = facts(pybuild("inspect", name))
    for number, text in enumerate((described["Id"], described["Id"][7:20], described["Digest"], name)):
        pybuild("copy", text, f"oci:{tmp_path}/layout:{number}").succeeded()
    layout = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    assert len(layout) == 4
    assert len({entry["digest"] for entry in layout}) == 1


def test_what_another_repository_has_is_not_fetched(pybuild: Program, registry: FakeRegistry) -> None:
    image = make_image()
    registry.owned = {("demo", digest) for digest in image.blobs}
    name = registry.add_image("demo", "v1", image)
    pybuild("copy", f"docker://{name}", f"docker://{registry.host}/other:v1").succeeded()
    assert not [path for method, path, _ in registry.requests if method == "GET" and "/blobs/" in path]
    assert not [path for method, path, _ in registry.requests if method in ("PUT", "PATCH") and "/blobs/" in path]
    assert sum(method == "GET" and "/manifests/" in path for method, path, _ in registry.requests) == 1


def test_each_blob_of_a_push_is_said_once(pybuild: Program, registry: FakeRegistry) -> None:
    outcome = pybuild.build(TEXT, "-t", f"{registry.host}/app:1", "--push", "--progress=rawjson").succeeded()
    said = [json.loads(line) for line in outcome.err.splitlines() if line.startswith("{")]
    ends = [event["digest"] for event in said if event["event"] == "blob" and event["state"] != "moving"]
    assert len(ends) == len(set(ends)) == 3
