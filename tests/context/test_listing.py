"""What `context ls` is told."""

from __future__ import annotations

from pathlib import Path

from builder.context.ignore import parse_ignore
from builder.context.listing import list_context


def test_every_file_is_listed_with_the_rule_that_decided(tmp_path: Path) -> None:
    for name, size in (("a.log", 3), ("keep.log", 4), ("d/x", 5), ("d/sub/y", 6), ("z", 7)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"." * size)
    ignore = parse_ignore("*.log\n!keep.log\nd\n!d/sub/y\n", ".dockerignore")
    listed = [
        (f.path, f.size, f.included, f.rule.line if f.rule else None)
        for f in list_context(str(tmp_path), ignore, "/nowhere")
    ]
    assert listed == [
        ("a.log", 3, False, 1), ("d/sub/y", 6, True, 4), ("d/x", 5, False, 3), ("keep.log", 4, True, 2),
        ("z", 7, True, None),
    ]  # fmt: skip
    seen = [file.path for file in list_context(str(tmp_path), ignore, "/nowhere", ignored=False)]
    assert seen == ["d/sub/y", "keep.log", "z"]
