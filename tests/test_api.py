"""docs/api.md does what it shows: its blocks are run in order, as one program, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
PAGE = CHECKOUT / "docs" / "api.md"


def program() -> str:
    """Return the page with everything but its blocks blanked out, so that errors name the page's lines."""
    lines, inside = [], False
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("```"):
            inside = line == "```python"
            lines.append("")
        else:
            lines.append(line if inside else "")
    return "\n".join(lines) + "\n"


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", f"exec(compile({text!r}, {str(PAGE)!r}, 'exec'))"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_examples_run(tmp_path: Path) -> None:
    done = run(tmp_path, program())
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\[1/1\] COPY greeting /greeting … greeting changed$", done.stdout, re.MULTILINE), done.stdout


def test_what_is_public_is_where_the_page_says(tmp_path: Path) -> None:
    rows = re.findall(r"^\| (`.*) \| `(builder\.[\w.]+)` \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == 7
    text = "".join(f"from {module} import {name}\n" for names, module in rows for name in re.findall(r"`(\w+)`", names))
    assert run(tmp_path, text).returncode == 0


def test_a_wrong_example_would_be_seen(tmp_path: Path) -> None:
    assert run(tmp_path, program() + "assert not result\n").returncode != 0
