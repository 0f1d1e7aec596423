"""`explain`: what the table, one step, one file, the waste, the names and two images say, with a record and without."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from builder.cli.main import main
from builder.engine.build import build
from builder.engine.request import BuildRequest

DOCKERFILE = """\
FROM scratch AS tools
COPY big /sdk
FROM scratch
ENV A=1
COPY --chmod=644 words run.sh /w/
COPY src /srv/src
COPY --from=tools /sdk /kept
COPY --chmod=600 words /w/words
COPY src/x /srv/src/x
"""
WORDS = b"b\na\n"
BIG = b"z" * 5000


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with shop:1, and shop:2, for which a word was added."""
    context = tmp_path_factory.mktemp("context")
    (context / "src").mkdir()
    for name, data in (("Dockerfile", DOCKERFILE.encode()), ("words", WORDS), ("run.sh", b"r"), ("big", BIG)):
        (context / name).write_bytes(data)
    for name in "xy":
        (context / "src" / name).write_bytes(name.encode())
    store = str(tmp_path_factory.mktemp("store"))
    build(BuildRequest(root=store, context=str(context), tags=("shop:1",)))
    (context / "words").write_bytes(WORDS + b"c\n")
    build(BuildRequest(root=store, context=str(context), tags=("shop:2",)))
    return store


def explained(capsys: pytest.CaptureFixture[str], root: str, *words: str, code: int = 0) -> str:
    """Return what `explain` prints; what it says of errors comes after."""
    assert main(["explain", "--root", root, *words]) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def as_json(capsys: pytest.CaptureFixture[str], root: str, *words: str) -> Any:
    return json.loads(explained(capsys, root, *words, "--format", "json"))


def test_the_table_has_a_line_for_each_instruction_with_what_became_of_it(
    capsys: pytest.CaptureFixture[str], root: str
) -> None:
    text = explained(capsys, root, "shop:2")
    rows = {line.rpartition("  ")[2]: line.split() for line in text.splitlines()}
    assert rows["COPY --chmod=644 words run.sh /w/"][:5] == ["1", "5", "L1", "2", "7B"]
    assert rows["COPY --chmod=600 words /w/words"][2:5] == ["L4", "1", "6B"]
    assert "config" in rows["ENV A=1"]
    assert "↳ words changed" in text
    assert "— stage tools: not in the image" in text
    assert "5.02kB in 5 layers; 5.01kB are seen, 7B hidden (0%)" in text


def test_json_has_what_the_table_has(capsys: pytest.CaptureFixture[str], root: str) -> None:
    found = as_json(capsys, root, "shop:2")
    steps = {step["text"]: step for step in found["steps"]}
    copied = steps["COPY --from=tools /sdk /kept"]
    assert found["steps"][copied["reads"][0]]["text"] == "COPY big /sdk"
    assert (copied["cache"], copied["line"], copied["in_image"]) == ("ran", 7, True)
    assert steps["COPY big /sdk"]["cache"] == "hit"
    assert steps["COPY big /sdk"]["seconds"] is not None
    assert steps["COPY --chmod=644 words run.sh /w/"]["reason"] == "words changed"
    assert found["dockerfile"]["text"] == DOCKERFILE
    layers = [layer for layer in found["layers"] if layer["in_image"]]
    assert [(each["added"], each["modified"], each["deleted"]) for each in layers] == [
        (2, 0, 0), (2, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 0),
    ]  # fmt: skip
    assert found["hidden"] == sum(layer["hidden"] for layer in layers) == 7


def test_a_step_shows_its_files_as_a_tree(capsys: pytest.CaptureFixture[str], root: str) -> None:
    assert explained(capsys, root, "shop:1", "2").splitlines()[1:] == [
        "L2: 2 added", "", "A  srv/", "A    src/", "A      x  1B", "A      y  1B",
    ]  # fmt: skip
    modified = explained(capsys, root, "shop:1", "L4")
    assert "L4: 1 modified" in modified
    assert "M    words  4B  mode 0644 → 0600" in modified
    assert "L5: 1 stored again unchanged" in explained(capsys, root, "shop:1", "L5")
    assert "A  sdk  5kB" in explained(capsys, root, "shop:1", "tools:1")
    assert [row["path"] for row in as_json(capsys, root, "shop:1", "2")] == ["srv", "srv/src", "srv/src/x", "srv/src/y"]
    assert "no step '9'" in explained(capsys, root, "shop:1", "9", code=1)
    assert "stage-1:5" in explained(capsys, root, "shop:1", "tools:9", code=1)


def test_a_file_is_followed_through_the_layers(capsys: pytest.CaptureFixture[str], root: str) -> None:
    text = explained(capsys, root, "shop:1", "--file", "/w/words")
    assert [line.split()[:3] for line in text.splitlines()[1:3]] == [["●", "L4", "modified"], ["○", "L1", "added"]]
    assert "copied again with the same content by L4" in text
    assert "no layer of shop:1 has /nowhere" in explained(capsys, root, "shop:1", "--file", "nowhere", code=1)


def test_waste_names_files_and_who_hides_them(capsys: pytest.CaptureFixture[str], root: str) -> None:
    found = as_json(capsys, root, "shop:1", "--waste")
    assert [(file["path"], file["layer"], file["hidden_by"]) for file in found["files"]] == [
        ("w/words", 1, 4), ("srv/src/x", 2, 5),
    ]  # fmt: skip
    assert "set mode and owner where they are written" in explained(capsys, root, "shop:1", "--waste")


def test_names_are_computed_by_the_commands_that_are_shown(capsys: pytest.CaptureFixture[str], root: str) -> None:
    text = explained(capsys, root, "shop:1", "--ids")
    shown = [line.split()[1] if line.split()[0] in ("digest",) else "" for line in text.splitlines() if line.strip()]
    commands = [line.split("$ ", 1)[1] for line in text.splitlines() if line.strip().startswith("$ ")]
    sums = {
        subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout.split()[0]
        for command in commands
        if "pybuild" not in command
    }
    ids = as_json(capsys, root, "shop:1", "--ids")
    chains = [layer["chain_id"] for layer in ids["layers"]][1:]  # that of the lowest layer is its diff ID
    wanted = [ids["manifest"], *(layer["diff_id"] for layer in ids["layers"]), *chains]
    assert sums == {name.removeprefix("sha256:") for name in wanted}
    assert shown
    main(["inspect", "--root", root, "--config", "shop:1"])
    assert hashlib.sha256(capsys.readouterr().out.encode()).hexdigest() == ids["image_id"].removeprefix("sha256:")


def test_two_images_part_at_a_step_and_for_a_reason(capsys: pytest.CaptureFixture[str], root: str) -> None:
    found = as_json(capsys, root, "shop:1", "shop:2")
    assert found["same_layers"] == 0
    assert [step["text"] for step in found["parts_at"]] == ["COPY --chmod=644 words run.sh /w/"] * 2
    assert found["reasons"] == ["words changed"]
    assert found["files"] == [{"path": "w/words", "change": "changed", "bytes": 2}]
    assert "M /w/words  +2B" in explained(capsys, root, "shop:1", "shop:2")
    assert "the same image" in explained(capsys, root, "shop:1", "shop:1")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--max-waste", "1%"], 0, ""),
        (["--max-waste", "0.05%"], 1, "5B of 5.01kB are hidden; --max-waste allows 0.05%"),
        (["--max-waste", "4"], 1, "--max-waste allows 4B"),
        (["--max-layer", "1kB"], 1, "L3 has 5kB; --max-layer allows 1kB"),
        (["--max-layer", "5%"], 2, "a layer has a size"),
        (["--max-waste", "much"], 2, "is not a size"),
        (["--waste", "--ids"], 2, "show different things"),
        (["shop:7"], 1, "no such image: shop:7"),
    ],
)
def test_limits_and_mistakes_have_their_exit_codes(
    capsys: pytest.CaptureFixture[str], root: str, words: list[str], code: int, said: str
) -> None:
    assert said in explained(capsys, root, "shop:1", *words, code=code)


def test_an_image_of_another_place_is_explained_by_its_history(
    capsys: pytest.CaptureFixture[str], root: str, tmp_path: Path
) -> None:
    archive = tmp_path / "shop.tar"
    assert main(["save", "--root", root, "-o", str(archive), "shop:1"]) == 0
    capsys.readouterr()
    other = str(tmp_path / "store")
    text = explained(capsys, other, f"docker-archive:{archive}")
    assert "no record of its build is here" in text
    assert "COPY --chmod=600 words /w/words\n" in text, "without what the history says of its writer"
    assert "7B hidden" in text or "5B hidden" in text
    assert not json.loads(_printed(capsys, ["images", "--root", other, "--json"]))  # nothing of it gets a name


def _printed(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def layer_of(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def layout(folder: Path, layers: list[bytes], history: list[dict[str, Any]], *, without: int = -1) -> str:
    """Write an image layout; the blob of the layer numbered `without` is left out. Return how it is named."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str, *, is_left_out: bool = False) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        if not is_left_out:
            (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    found = [put(data, "layer.v1.tar", is_left_out=number == without) for number, data in enumerate(layers)]
    config = {
        "architecture": "amd64", "os": "linux", "history": history,
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in found]},
    }  # fmt: skip
    manifest = {
        "schemaVersion": 2,
        "config": put(json.dumps(config).encode(), "config.v1+json"),
        "layers": found,
    }
    index = {"schemaVersion": 2, "manifests": [put(json.dumps(manifest).encode(), "manifest.v1+json")]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"oci:{folder}"


RUN, NOP = {"created_by": "/bin/sh -c make"}, {"created_by": '/bin/sh -c #(nop)  CMD ["sh"]', "empty_layer": True}


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([], "(the history does not say)"),
        ([RUN, NOP], "its history tells of 1 layers, and there are 2"),
        ([RUN, RUN, RUN, NOP], "its history tells of more layers than there are"),
        ([RUN, NOP, {"created_by": "\x1b[31m\u202eevil"}], "\\x1b[31m\\u202eevil"),
    ],
)
def test_histories_that_do_not_fit_are_shown_as_what_they_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, history: list[dict[str, Any]], said: str
) -> None:
    image = layout(tmp_path / "layout", [layer_of(("a", b"1")), layer_of(("b", b"22"))], history)
    text = explained(capsys, str(tmp_path / "store"), image)
    assert said in text
    assert "3B in 2 layers; all of it is seen" in text
    assert not history or "RUN make" in text


def test_a_layer_that_is_not_there_is_said_and_the_others_are_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    layers = [
        layer_of(("a", b"1")),
        layer_of(("gone", b"2")),
        layer_of((".wh.a", b""), ("d/.wh..wh..opq", b""), ("c", b"3")),
    ]
    image = layout(tmp_path / "layout", layers, [RUN, RUN, RUN], without=1)
    text = explained(capsys, str(tmp_path / "store"), image)
    assert "! layer 2: " in text
    assert "L2 cannot be looked into; of the others: 2B in 2 layers; 1B are seen, 1B hidden (50%)" in text
    store = str(tmp_path / "store")
    assert "L3: 1 added, 1 deleted" in explained(capsys, store, image, "3")
    assert "no files" not in explained(capsys, store, image, "2")
    for words in (["--waste"], ["--file", "a"], [image]):
        assert "! layer 2: " in explained(capsys, store, image, *words)
    assert as_json(capsys, store, image, "--waste")["unknown_layers"] == [2]
    assert "hint: L2 cannot be looked into" in explained(capsys, store, image, "--file", "gone", code=1)
    assert "so no limit holds for it" in explained(capsys, store, image, "--max-waste", "1GB", code=1)
    only = layout(tmp_path / "only", [layer_of(("gone", b"2"))], [RUN], without=0)
    assert "L1 cannot be looked into\n" in explained(capsys, store, only)
    assert "of this image" not in explained(capsys, store, only, "--waste")
