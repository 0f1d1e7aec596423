"""The commands about images: images, inspect, history, tag, rmi, prune, info; and parse and plan."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program

DOCKERFILE = 'FROM scratch\nCOPY Dockerfile /file\nENV A=1\nLABEL who="me"\nCMD ["/file"]\n'


@pytest.fixture
def built(pybuild: Program) -> Program:
    pybuild.build(DOCKERFILE, "-t", "team/app:1", "-t", "app").succeeded()
    return pybuild


def _rows(program: Program, *words: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(program("images", "--json", *words).succeeded().out)
    return rows


def test_images_lists_every_name_once(built: Program) -> None:
    assert {row["name"] for row in _rows(built)} == {"docker.io/team/app:1", "docker.io/library/app:latest"}
    table = built("images").succeeded().out.splitlines()
    assert table[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert {tuple(line.split()[:2]) for line in table[1:]} == {("team/app", "1"), ("app", "latest")}
    assert [row["name"] for row in _rows(built, "team/app")] == ["docker.io/team/app:1"]
    assert _rows(built, "nothing") == []


def test_images_quiet_gives_each_id_once(built: Program) -> None:
    assert built("images", "-q").succeeded().out.count("\n") == 1
    assert built("images", "-q", "--no-trunc").succeeded().out.startswith("sha256:")


def test_inspect_tells_config_and_layers(built: Program) -> None:
    (found,) = json.loads(built("inspect", "app").succeeded().out)
    config = json.loads(built("inspect", "--config", "app").succeeded().out)
    manifest = json.loads(built("inspect", "--raw", "app").succeeded().out)
    assert config["config"]["Cmd"] == ["/file"]
    assert config["config"]["Labels"] == {"who": "me"}
    assert manifest["schemaVersion"] == 2
    assert manifest["config"]["digest"] in json.dumps(found)
    built("inspect", "nothing").failed(1, "no such image: nothing")


def test_an_image_is_found_by_id_short_id_and_digest(built: Program) -> None:
    row = _rows(built)[0]
    identifier = row["id"].removeprefix("sha256:")
    for name in (row["id"], identifier, identifier[:12], f"team/app@{row['digest']}"):
        assert json.loads(built("inspect", "--config", name).succeeded().out)["config"]["Env"][-1] == "A=1"


def test_history_shows_each_step(built: Program) -> None:
    rows = json.loads(built("history", "--json", "app").succeeded().out)
    assert [row["created_by"].split()[0] for row in rows] == ["COPY", "ENV", "LABEL", "CMD"]
    assert built("history", "--layers", "app").succeeded().out.count("\n") == 2


def test_tag_gives_further_names(built: Program) -> None:
    built("tag", "app", "other:2", "127.0.0.1:5000/x/y").succeeded()
    assert len({row["id"] for row in _rows(built)}) == 1
    assert len(_rows(built)) == 4
    built("tag", "nothing", "x").failed(1, "no such image: nothing")
    assert built("tag", "app", "Bad:Name").code in {1, 2}
    assert len(_rows(built)) == 4


def test_untag_takes_names_and_leaves_the_image(built: Program) -> None:
    identifier = built("images", "-q").succeeded().out.strip()
    built("untag", "app", "team/app:1", "other").failed(1, "docker.io/library/other:latest: tag not known")
    built("untag", "app", "team/app:1").succeeded()
    assert [row["name"] for row in _rows(built)] == ["docker.io/library/app:latest"]
    built("untag", identifier).succeeded()
    assert [row["name"] for row in _rows(built)] == [""]
    assert built("images", "-qa").succeeded().out.strip() == identifier


def test_rmi_takes_names_first_and_the_image_with_its_last_name(built: Program) -> None:
    identifier = _rows(built)[0]["id"]
    built("rmi", identifier).failed(1, "-f")
    assert "Untagged: team/app:1" in built("rmi", "team/app:1").succeeded().out
    assert "Deleted: sha256:" in built("rmi", "app").succeeded().out
    assert _rows(built) == []
    built("rmi", "app").failed(1, "no such image: app")
    built("rmi", "-f", "app").succeeded()


def test_rmi_goes_on_after_a_failure(built: Program) -> None:
    built("rmi", "nothing", "app").failed(1, "no such image: nothing")
    assert [row["name"] for row in _rows(built)] == ["docker.io/team/app:1"]


def test_rmi_of_a_base_leaves_what_was_built_on_it(built: Program) -> None:
    built.build("FROM app\nCOPY Dockerfile /more\n", "-t", "child").succeeded()
    built("rmi", "app", "team/app:1").succeeded()
    built("prune", "-a").succeeded()
    built.build("FROM child\nCOPY Dockerfile /third\n", "-t", "grandchild").succeeded()
    built("info", "--verify").succeeded()


def test_prune_takes_dangling_images_and_spares_named_ones(built: Program) -> None:
    built.build(DOCKERFILE + "ENV B=2\n", "-t", "app").succeeded()
    built("rmi", "team/app:1")
    built.build(DOCKERFILE + "ENV C=3\n").succeeded()
    before = len(list((built.store / "blobs" / "sha256").iterdir()))
    assert "would remove 1 dangling image," in built("prune", "-n").succeeded().out
    assert len(list((built.store / "blobs" / "sha256").iterdir())) == before
    assert "removed 1 dangling image," in built("prune").succeeded().out
    assert [row["name"] for row in _rows(built)] == ["docker.io/library/app:latest"]
    assert "CACHED" in built.build(DOCKERFILE).succeeded().err
    built("prune", "--all").succeeded()
    assert "CACHED" not in built.build(DOCKERFILE).succeeded().err
    built("prune", "--keep-storage", "no").failed(2, "'no' is not a size")


def test_prune_can_take_the_store_itself(built: Program) -> None:
    built("prune", "--whole-store", "--dry-run").failed(2, "--dry-run")
    built("prune", "--whole-store").succeeded()
    assert not built.store.exists()
    built("prune", "--whole-store").failed(1, "there is no store")


def test_info_says_where_and_how(built: Program) -> None:
    said = json.loads(built("info", "--json").succeeded().out)
    assert str(built.store) in json.dumps(said)
    assert "isolation" in json.dumps(said)
    assert "everything is as it should be" in built("info", "--verify").succeeded().out


def test_info_verify_finds_a_blob_that_was_changed(built: Program) -> None:
    blobs = built.store / "blobs" / "sha256"
    victim = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    victim.chmod(0o600)
    with victim.open("r+b") as file:
        file.seek(512)
        file.write(b"\xff")
    outcome = built("info", "--verify")
    assert outcome.code == 1
    assert victim.name in outcome.out + outcome.err


def test_plan_tells_hits_and_misses_and_executes_nothing(built: Program) -> None:
    before = sorted(os.listdir(built.store / "blobs" / "sha256"))
    (built.folder / "Dockerfile").write_text(DOCKERFILE + "WORKDIR /new\n")
    document = json.loads(built("plan", "--json", ".").succeeded().out)
    assert "WORKDIR" in json.dumps(document)
    text = built("plan", ".").succeeded().out
    assert "WORKDIR /new" in text
    assert "MISS" in text
    assert sorted(os.listdir(built.store / "blobs" / "sha256")) == before


def test_plan_names_the_stages_that_nothing_needs(pybuild: Program) -> None:
    text = (
        "FROM scratch AS used\nCOPY Dockerfile /\nFROM scratch AS spare\nCOPY x /\nFROM scratch\nCOPY y /\nFROM used\n"
    )
    (pybuild.folder / "Dockerfile").write_text(text)
    for _ in range(2):  # the second time from the plan that was kept
        assert pybuild("plan", ".").succeeded().out.splitlines()[-1] == "not needed, and so not built: spare, stage-2"
        assert json.loads(pybuild("plan", "--json", ".").succeeded().out)[0]["skipped_stages"] == ["spare", "stage-2"]
    (pybuild.folder / "Dockerfile").write_text("FROM scratch AS used\nCOPY Dockerfile /\nFROM used\n")
    assert "not needed" not in pybuild("plan", ".").succeeded().out
    assert "not needed" in pybuild("plan", "--target=used", ".").succeeded().out


@pytest.mark.parametrize(
    ("history", "shown"),
    [
        ([{"created_by": "", "comment": "Imported from -"}], "(Imported from -)"),
        ([{"created_by": ""}], "(no command recorded)"),
        ([{"created_by": "", "comment": "buildkit.exporter.image.v0"}], "(no command recorded)"),
        ([], "(no command recorded)"),
        ([{"created_by": "RUN x", "comment": "why"}], "RUN x"),
    ],
)
def test_history_has_no_empty_step(pybuild: Program, tmp_path: Path, history: list[dict[str, str]], shown: str) -> None:
    layout = tmp_path / "layout"
    pybuild.build("FROM scratch\nCOPY Dockerfile /\n", "-o", f"type=oci,tar=false,dest={layout}").succeeded()
    with_history(layout, history)
    text = "FROM base\nCOPY Dockerfile /again\n"
    pybuild.build(text, "--build-context", f"base=oci-layout://{layout}", "-t", "app").succeeded()
    first, second = pybuild("history", "app").succeeded().out.splitlines()[1:]
    assert first.startswith(shown)
    assert second.startswith("COPY Dockerfile /again")


def with_history(layout: Path, history: list[dict[str, str]]) -> None:
    """Give the only image of a layout another history."""
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(_blob(layout, index["manifests"][0]).read_text())
    config = json.loads(_blob(layout, manifest["config"]).read_text()) | {"history": history}
    manifest["config"] |= _put(layout, config)
    index["manifests"][0] |= _put(layout, manifest)
    (layout / "index.json").write_text(json.dumps(index))


def _blob(layout: Path, descriptor: dict[str, Any]) -> Path:
    return layout / "blobs" / str(descriptor["digest"]).replace(":", "/")


def _put(layout: Path, document: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(document).encode()
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def test_parse_prints_one_document_a_file(pybuild: Program, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text('# syntax=x\nFROM a AS b\nRUN <<E\nhi\nE\nENV A=1 B=2\nCMD ["x"]\n')
    bad.write_text("FROM a\nRUNN x\n")
    outcome = pybuild("parse", str(good), str(bad))
    assert outcome.code == 1
    first, length = json.JSONDecoder().raw_decode(outcome.out)
    second = json.loads(outcome.out[length:])
    assert [one["keyword"] for one in first["instructions"]] == ["FROM", "RUN", "ENV", "CMD"]
    assert first["instructions"][1]["heredocs"] == [{"name": "E", "content": "hi\n"}]
    assert first["instructions"][2]["args"] == ["A", "1", "B", "2"]
    assert first["instructions"][3]["json"] is True
    assert (second["error"]["line"], second["error"]["column"]) == (2, 1)
    pybuild("parse", str(tmp_path / "nothing")).failed(1)


def test_commands_without_a_store_say_so_or_make_one(pybuild: Program) -> None:
    assert pybuild("images").succeeded().out.startswith("REPOSITORY")
    pybuild("inspect", "x").failed(1, "no such image: x")
    pybuild("history", "x").failed(1, "no such image: x")
    pybuild("inspect").failed(2, "IMAGE")
