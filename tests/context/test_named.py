"""What is refused of a --build-context before anything is built, used or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.context.load import load_context
from builder.errors import ContextError, UsageError
from builder.store.store import Store


def load(store: Store, folder: Path, name: str, value: str) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\n")
    load_context(str(folder), None, {name: value}, store).close()


@pytest.mark.parametrize(
    "name", ["Build", "alpinE", "library/Busybox:1", "Build::linux/arm64", "a b", "", "-a", "a:b:c", "a" * 64]
)
def test_a_name_that_no_stage_and_no_image_can_have_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="invalid context name"):
        load(store, tmp_path, name, str(tmp_path))


@pytest.mark.parametrize("name", ["build", "0", "my_ctx", "alpine:3.20", "localhost:5000/a/b:T", "a::linux/arm64"])
def test_a_name_that_a_stage_or_an_image_can_have_is_taken(store: Store, tmp_path: Path, name: str) -> None:
    load(store, tmp_path, name, str(tmp_path))


def test_the_hint_is_the_name_in_lower_case(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(store, tmp_path, "Build", str(tmp_path))
    assert caught.value.hint.startswith("Write 'build': ")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("gone", "gone does not exist"),
        ("./gone", "./gone does not exist"),
        ("/dev/null", "/dev/null is not a directory"),
        ("", "the empty path does not exist"),
        ("ftp://example.org/x", "ftp://example.org/x does not exist"),
        ("oci-layout:///gone:tag", "/gone does not exist"),
        ("oci-layout:///dev", "/dev is no image layout"),
        ("oci-layout://", "names no directory"),
    ],
)
def test_a_context_that_is_not_there_is_refused_unused(store: Store, tmp_path: Path, value: str, said: str) -> None:
    with pytest.raises((ContextError, UsageError), match=said):
        load(store, tmp_path, "n", value)


@pytest.mark.parametrize("value", ["docker-image://gone", "https://127.0.0.1:1/x.tar", "https://127.0.0.1:1/x.git"])
def test_what_is_far_away_is_asked_for_when_it_is_used(store: Store, tmp_path: Path, value: str) -> None:
    load(store, tmp_path, "n", value)
