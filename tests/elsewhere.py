"""The last part of docs/coming-from-docker.md: the commands of others that are none here, and what to use instead.

python -m tests.rules --refresh     writes it with the other pages
"""

from __future__ import annotations

from pathlib import Path

from builder.cli.elsewhere import ELSEWHERE

HABITS_FILE = Path(__file__).resolve().parents[1] / "docs" / "coming-from-docker.md"
_MARK = "<!-- the rest is written by python -m tests.rules --refresh -->\n"


def render_habits() -> str:
    """Return the page as it is, with its last part as the table has it. Raises ValueError when it has no such part."""
    start, mark, _ = HABITS_FILE.read_text("utf-8").partition(_MARK)
    if not mark:
        raise ValueError(f"{HABITS_FILE} has no line {_MARK!r}")
    by_hint: dict[str, list[str]] = {}
    for command, hint in ELSEWHERE.items():
        by_hint.setdefault(hint, []).append(command)
    rows = [f"| {', '.join(f'`{word}`' for word in words)} | {_cell(hint)} |" for hint, words in by_hint.items()]
    return f"{start}{mark}\n" + "\n".join(["| command | what to use |", "|---|---|", *rows]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "&#124;").replace("<", "&lt;")
