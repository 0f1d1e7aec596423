"""The worked example of docs/images.md is what the program says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from builder.cli.main import main
from builder.engine.build import build
from builder.engine.request import BuildRequest

PAGE = (Path(__file__).parent.parent / "docs" / "images.md").read_text("utf-8")


def test_the_example_is_what_the_program_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "store")
    sizes = {name: int(size) for size, name in re.findall(r"(\d+)(?: bytes)? in `(\w+)`", PAGE)}
    assert sizes == {"big": 100_000, "small": 3000}
    context = tmp_path / "context"
    context.mkdir()
    for name, size in sizes.items():
        (context / name).write_bytes(b"x" * size)
    for name, text in zip(("base", "app"), re.findall(r"```dockerfile\n(.*?)```", PAGE, re.DOTALL), strict=True):
        (context / "Dockerfile").write_text(text)
        build(BuildRequest(root=store, context=str(context), tags=(name,)))
    (block,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    commands = re.findall(r"^\$ pybuild (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    assert len(commands) == 3
    for command, shown in commands:
        capsys.readouterr()
        assert main(["--root", store, *shlex.split(command)]) == 0
        assert capsys.readouterr().out == shown, command
