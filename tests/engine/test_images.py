"""The verbs of the images of a store: what they find by a name, and what is left when something is removed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from builder.engine.build import build
from builder.engine.images import (
    HistoryStep,
    describe_images,
    image_history,
    list_images,
    read_documents,
    remove_images,
    tag_image,
)
from builder.engine.request import BuildRequest
from builder.errors import StoreError


def no_notes(sentence: str) -> None:
    raise AssertionError(f"nothing of this store is damaged: {sentence}")


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A store with one image under two names."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\nENV A=1\n")
    path = str(tmp_path / "store")
    build(BuildRequest(root=path, context=str(context), tags=("team/app:1", "app")))
    return path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("", ["docker.io/library/app:latest", "docker.io/team/app:1"]),
        ("app", ["docker.io/library/app:latest"]),
        ("team/app", ["docker.io/team/app:1"]),
        ("team/app:1", ["docker.io/team/app:1"]),
        ("team/app:2", []),
    ],
)
def test_a_name_without_a_tag_means_all_its_tags(root: str, name: str, found: list[str]) -> None:
    assert sorted(image.name for image in list_images(root, name, notify=no_notes)) == found


def test_dangling_images_are_listed_last_or_not_at_all(root: str) -> None:
    (tmp := Path(root).parent / "context" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /other\n")
    build(BuildRequest(root=root, context=str(tmp.parent)))
    assert [bool(image.name) for image in list_images(root, notify=no_notes)] == [True, True, False]
    assert [bool(image.name) for image in list_images(root, dangling=False, notify=no_notes)] == [True, True]


def test_documents_are_the_bytes_that_the_digests_are_of(root: str) -> None:
    image = list_images(root, "app", notify=no_notes)[0]
    for config, digest in ((False, image.digest), (True, image.id)):
        (data,) = read_documents(root, ["app"], config=config, notify=no_notes)
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    (described,) = describe_images(root, ["app"], notify=no_notes)
    assert described["Id"] == image.id


def test_only_a_step_that_made_a_layer_has_a_digest_in_its_history(root: str) -> None:
    steps = image_history(root, "app", notify=no_notes).steps
    assert [step.layer for step in steps] == [1, 0]
    assert [("digest" in step.to_json(), bool(step.diff_id), step.files) for step in steps] == [
        (True, True, 1),
        (False, False, 0),
    ]
    assert HistoryStep("RUN x", "", "").to_json()["layer"] == 0


def test_a_further_name_stands_for_the_same_image(root: str) -> None:
    tag_image(root, "app", ["b:1", "b:2"], notify=no_notes)
    assert len({image.digest for image in list_images(root, notify=no_notes)}) == 1
    assert len(list_images(root, "b", notify=no_notes)) == 2


def test_removing_goes_on_after_a_failure(root: str) -> None:
    missing, gone, last = remove_images(root, ["nothing", "app", "team/app:1"], notify=no_notes)
    assert isinstance(missing.error, StoreError)
    assert missing.lines == ()
    assert gone.lines == ("Untagged: app:latest",)
    assert last.lines[0] == "Untagged: team/app:1"
    assert len(last.lines) == 2, "the image goes with its last name; its layer is in the cache"
    assert list_images(root, notify=no_notes) == ()


def test_by_force_what_is_missing_is_no_failure_and_an_id_may_have_names(root: str) -> None:
    identifier = list_images(root, notify=no_notes)[0].id
    (refused,) = remove_images(root, [identifier], notify=no_notes)
    assert refused.error is not None
    missing, removed = remove_images(root, ["nothing", identifier], force=True, notify=no_notes)
    assert (missing.error, missing.lines) == (None, ())
    assert sum(line.startswith("Untagged") for line in removed.lines) == 2
