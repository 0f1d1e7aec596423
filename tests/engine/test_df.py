"""What takes room in a store, what keeps it, and what would free it: in numbers that removing then proves."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from builder.cli.main import main
from builder.engine.build import build
from builder.engine.df import disk_usage_of, how_to_free, why
from builder.engine.images import remove_images
from builder.engine.prune import prune_store
from builder.engine.request import BuildRequest
from builder.errors import StoreError
from builder.store.prune_plan import disk_usage
from tests.support.alone import alone

BIG = 300_000
_TEMPORARY_BYTES = 256 << 10
"""What SQLite has beside a database as long as it is open."""


def quiet(sentence: str) -> None:
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base ◀ app; `old` stands in the cache alone; `packed` was taken in compressed, and its tar lies there, too."""
    folder = tmp_path_factory.mktemp("df")
    (folder / "big").write_bytes(os.urandom(BIG))
    (folder / "small").write_bytes(b"abc")
    store = str(folder / "store")
    for text, tags in (
        ("FROM scratch\nCOPY big /\n", ("base",)),
        ("FROM base\nCOPY small /a\n", ("app",)),
        ("FROM scratch\nCOPY big /old\n", ("old",)),
    ):
        (folder / "Dockerfile").write_text(text)
        build(BuildRequest(root=store, context=str(folder), tags=tags))
    assert next(iter(remove_images(store, ["old"], notify=quiet))).error is None
    assert main(["--root", store, "save", "-o", str(folder / "app.tar"), "app"]) == 0  # leaves compressed layers
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> str:
    shutil.copytree(made / "store", tmp_path / "store", symlinks=True)
    return str(tmp_path / "store")


def rows(root: str) -> dict[str, tuple[int, int, int, int]]:
    return {row.kind: tuple(row)[1:] for row in disk_usage_of(root, notify=quiet).rows}  # type: ignore[misc]


@alone
def test_rows_add_up_to_what_the_store_takes_and_no_byte_is_in_two(root: str) -> None:
    found = rows(root)
    total = sum(row[2] for row in found.values())
    assert abs(total - disk_usage(root)) <= _TEMPORARY_BYTES
    assert found["Images"][0] == 2
    assert found["Build Cache"][0] == 3
    for kind in ("Images", "Build Cache", "Working Copies"):  # base's layer; old's; the compressed form of base's
        assert BIG < found[kind][2] < 2 * BIG, kind
        assert found[kind][3] == found[kind][2]


@alone
def test_sparse_files_are_small_and_a_file_under_two_names_counts_once(root: str) -> None:
    mount = Path(root, "mounts", "0" * 64, "0")
    mount.mkdir(parents=True)
    (mount / "one").write_bytes(os.urandom(BIG))
    os.link(mount / "one", mount / "two")
    with (mount / "sparse").open("wb") as file:
        file.truncate(100 * BIG)
    total, active, size, reclaimable = rows(root)["Cache Mounts"]
    assert (total, active, reclaimable) == (1, 0, size)
    assert BIG <= size < 2 * BIG


@alone
def test_what_rmi_is_said_to_free_it_frees(root: str) -> None:
    for name in ("app:latest", "base:latest"):
        prune_store(root, notify=quiet)  # what is free anyway is no merit of rmi
        said = {one.names[0]: one.freed for one in disk_usage_of(root, notify=quiet).images if one.names}
        before = disk_usage(root + "/blobs")
        assert next(iter(remove_images(root, [name], notify=quiet))).error is None
        prune_store(root, notify=quiet)
        assert before - disk_usage(root + "/blobs") == said[name]


@alone
def test_a_blob_is_kept_by_names_and_by_the_step_that_made_it(root: str) -> None:
    manifest, config, base, own = why(root, "app", notify=quiet)
    assert [blob.what for blob in (manifest, config, own)] == ["manifest", "config", "layer 2 of 2"]
    assert next((one.kind, one.name) for one in own.keepers) == ("image", "app:latest")
    assert own.keepers[-1].kind == "cache"
    assert own.keepers[-1].detail == "COPY small /a"
    assert {one.name for one in base.keepers if one.kind == "image"} == {"app:latest", "base:latest"}
    assert [form for form, _ in base.copies] == ["compressed"]
    (again,) = why(root, base.digest[7:19], notify=quiet)
    assert again == base
    with pytest.raises(StoreError, match="no image and no blob is called"):
        why(root, "nothing", notify=quiet)


@alone
def test_a_blob_that_nothing_keeps_is_said_to_be_so(root: str) -> None:
    found = disk_usage_of(root, notify=quiet)
    names = os.listdir(f"{root}/blobs/sha256")
    kept = {name: why(root, name, notify=quiet)[0] for name in names}
    loose = [blob for blob in kept.values() if not blob.keepers]
    assert len(loose) == len(found.copies) + found.rows[5].total
    prune_store(root, notify=quiet)
    assert {blob.digest.partition(":")[2] for blob in loose} == set(names) - set(os.listdir(f"{root}/blobs/sha256"))


@alone
def test_the_cheapest_goes_first_and_frees_what_is_said(root: str) -> None:
    commands = [step.command for step in how_to_free(root, 1 << 40, notify=quiet)]
    assert commands[:2] == ["pybuild prune", "pybuild prune -a"]
    assert sorted(command.split()[2] for command in commands[2:]) == ["app:latest", "base:latest"]
    (one,) = how_to_free(root, 1000, notify=quiet)
    assert one.command == "pybuild prune"
    first, second = how_to_free(root, one.bytes + BIG // 2, notify=quiet)
    limit = int(second.command.removeprefix("pybuild prune --keep-storage "))
    before = disk_usage(root + "/blobs") + disk_usage(root + "/indexes")
    prune_store(root, keep_bytes=limit, notify=quiet)
    assert before - disk_usage(root + "/blobs") - disk_usage(root + "/indexes") == first.bytes + second.bytes


def test_the_program_shows_all_of_it(root: str, capfd: pytest.CaptureFixture[str]) -> None:
    @alone
    def show(*words: str, code: int = 0) -> None:
        assert main(["--root", root, *words]) == code
        sys.stdout.flush()

    def shown(*words: str, code: int = 0) -> list[str]:
        capfd.readouterr()
        show(*words, code=code)
        captured = capfd.readouterr()
        return (captured.out or captured.err).splitlines()

    assert shown("df")[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert shown("df", "--format", "table") == shown("df")
    kinds = [json.loads(line)["Type"] for line in shown("df", "--format", "json")]
    assert kinds[:3] == ["Images", "Containers", "Build Cache"]
    assert any(line.startswith("app:latest") for line in shown("df", "-v"))
    assert json.loads("\n".join(shown("df", "--json")))["cache"][0]["words"].startswith("COPY ")
    assert " manifest, " in shown("df", "--why", "app")[0]
    assert "cannot be had" in shown("df", "--free", "5GB", code=1)[-1]
    assert "one at a time" in shown("df", "--free", "5GB", "--why", "app", code=2)[0]
    assert "is not a size" in shown("df", "--free", "much", code=2)[0]
