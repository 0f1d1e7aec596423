"""What the engine tells of a context and of a Dockerfile's syntax, without building."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.engine.contexts import ContextFile, open_listing
from builder.engine.syntax import parse_syntax
from builder.errors import ContextError


def test_a_listing_names_the_rule_and_leaves_the_store_out(tmp_path: Path) -> None:
    for name in ("a.log", "b", "store/blob"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".dockerignore").write_text("*.log\n")
    listing = open_listing(str(tmp_path), root=str(tmp_path / "store"))
    files = {file.path: file for file in listing.files}
    assert set(files) == {".dockerignore", "a.log", "b"}
    assert not files["a.log"].included
    assert "*.log" in files["a.log"].rule
    assert files["b"] == ContextFile("b", 1, True, "")
    assert files["b"].to_json() == {"path": "b", "size": 1, "included": True, "rule": "no rule"}
    assert listing.warnings == ()


def test_an_ignore_file_of_the_dockerfile_goes_first_and_one_that_is_none_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("FROM scratch\n")
    (tmp_path / "x.dockerignore").write_text("x\n")
    (tmp_path / ".dockerignore").mkdir()
    assert [f.path for f in open_listing(str(tmp_path), str(tmp_path / "x"), root="/no").files if not f.included] == [
        "x"
    ]
    assert len(open_listing(str(tmp_path), root="/no").warnings) == 1


def test_a_dockerfile_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ContextError):
        open_listing(str(tmp_path), "nothing", root="/no")


def test_syntax_is_a_document_or_an_error_with_its_place() -> None:
    tree = parse_syntax(b"FROM a\n", "f")
    assert tree.error is None
    assert tree.document["instructions"][0]["keyword"] == "FROM"
    broken = parse_syntax(b"FROM a\nRUNN x\n", "f")
    assert broken.document == {}
    assert broken.error is not None
    assert broken.error.location is not None
    assert broken.error.location.line == 2
