"""`pybuild pin`: a Dockerfile rewritten in place or on the way, and checked without a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.program import Program
from tests.support.registry import FakeRegistry, make_image


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def test_a_file_is_pinned_to_what_its_tags_stand_for_today(pybuild: Program, registry: FakeRegistry) -> None:
    image = make_image()
    name = registry.add_image("team/x", "1", image)
    file = pybuild.folder / "Dockerfile"
    file.write_text(f"# why\nFROM {name} AS a\nFROM a\n")
    told = pybuild("pin", "Dockerfile").succeeded()
    assert file.read_text() == f"# why\nFROM {name}@{image.digest} AS a\nFROM a\n"
    assert told.err == f"Dockerfile:2: {name} pinned\n"
    assert pybuild("pin", "--check").succeeded().err == ""


def test_what_a_named_context_gives_is_left_alone(pybuild: Program) -> None:
    (pybuild.folder / "Dockerfile").write_text("FROM base\nFROM base:latest AS other\n")
    assert pybuild("pin", "--check", "--build-context", "base=dir:/x").succeeded().err == ""
    pybuild("pin", "--check", "--build-context", "bas=dir:/x").failed(1, "base has no digest")


def test_the_result_may_be_printed_instead(pybuild: Program, registry: FakeRegistry) -> None:
    image = make_image()
    name = registry.add_image("team/x", "1", image)
    file = pybuild.folder / "Dockerfile"
    file.write_text(f"FROM {name}\n")
    assert pybuild("pin", "--stdout").succeeded().out == f"FROM {name}@{image.digest}\n"
    assert file.read_text() == f"FROM {name}\n"


def test_a_check_changes_nothing_and_asks_nobody(pybuild: Program, registry: FakeRegistry) -> None:
    name = registry.add_image("team/x", "1", make_image())
    file = pybuild.folder / "Dockerfile"
    file.write_text(f"FROM {name}\nFROM $base\n")
    outcome = pybuild("pin", "--check")
    assert outcome.code == 1
    assert outcome.err.splitlines() == [
        f"Dockerfile:1: {name} has no digest",
        "Dockerfile:2: $base has no digest (it has variables or quotes: pin the ARG's default by hand)",
    ]
    assert file.read_text() == f"FROM {name}\nFROM $base\n"
    assert registry.requests == []
    assert not pybuild.store.exists()


def test_a_file_keeps_its_mode_and_a_link_to_it_stays_one(pybuild: Program, registry: FakeRegistry) -> None:
    name = registry.add_image("team/x", "1", make_image())
    file, link = pybuild.folder / "Dockerfile", pybuild.folder / "link"
    file.write_text(f"FROM {name}\n")
    file.chmod(0o640)
    link.symlink_to("Dockerfile")
    pybuild("pin", "link").succeeded()
    assert link.is_symlink()
    assert file.read_text().startswith(f"FROM {name}@sha256:")
    assert file.stat().st_mode & 0o777 == 0o640


def test_an_image_without_a_digest_is_shown_where_it_stands(pybuild: Program, registry: FakeRegistry) -> None:
    name = registry.add_image("team/x", "1", make_image())
    text = f"FROM {name}\nFROM {name}2\n"
    (pybuild.folder / "Dockerfile").write_text(text)
    pybuild("pin").failed(1, "Dockerfile:2:6: error:", "not found", f">   2 | FROM {name}2")
    assert (pybuild.folder / "Dockerfile").read_text() == text


def test_a_file_in_error_is_shown(pybuild: Program) -> None:
    (pybuild.folder / "Dockerfile").write_text("FROM x\nRUNN y\n")
    for check in ([], ["--check"]):
        pybuild("pin", *check).failed(1, "Dockerfile:2:1: error: unknown instruction: RUNN", ">   2 | RUNN y")
