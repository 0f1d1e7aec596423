"""Golden layers: fixtures/layers/CASE/ holds a stack of layers and what it comes to.

    layers.json    [[member, …], …], base first; a member gives those fields of archives.Member that are not the default
    view.txt       the merged tree, one line a path
    digest.txt     the digest of that tree written as one layer: our tar, byte for byte

`python -m tests.layer.golden --refresh` writes view.txt and digest.txt anew.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path

from builder.filesystem.entry import Entry
from builder.layer.content import Content
from builder.layer.tar_writer import write_layer
from builder.layer.view import MergedView, ViewEntry
from tests.layer.archives import Member, layer, pack

FIXTURES = Path(__file__).parents[2] / "fixtures" / "layers"


def cases() -> list[Path]:
    """Return every case, found by listing."""
    return sorted(path.parent for path in FIXTURES.glob("*/layers.json"))


def members(case: Path) -> list[list[Member]]:
    """Return the layers of a case."""
    document = json.loads((case / "layers.json").read_text())
    return [[_member(item) for item in items] for items in document]


def outcome(case: Path) -> tuple[str, str]:
    """Return what view.txt and digest.txt should hold."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as held:
        stack = [layer(Path(directory), pack(items)) for items in members(case)]
        for item in stack:
            held.callback(item.index.close)
        view = MergedView(stack)
        digest = sha256()
        write_layer(map(partial(_item, view), view.walk()), digest.update, f"{directory}/written")
        return describe(view), f"sha256:{digest.hexdigest()}\n"


def describe(view: MergedView) -> str:
    """Return a view as text: kind, mode, owner, time, size or target, digest, layer, path."""
    lines = []
    for entry, number, _ in view.walk():
        what = entry.link or (entry.digest[:12] if entry.kind == "file" else "-")
        owner = f"{entry.uid}:{entry.gid}"
        lines.append(
            f"{entry.kind:9} {entry.mode:04o} {owner} {entry.mtime} {entry.size} {what} {number} /{entry.path}"
        )
    return "\n".join(lines) + "\n"


def _item(view: MergedView, found: ViewEntry) -> tuple[Entry, Content | None]:
    """A hard link becomes a file of its own: what it is a name of may be hidden."""
    if found.entry.kind not in ("file", "hardlink"):
        return found.entry, None
    return found.entry._replace(kind="file", link=""), view.content(found)


def _member(item: dict[str, object]) -> Member:
    fields = dict(item)
    if "content" in fields:
        fields["content"] = str(fields["content"]).encode()
    if "mode" in fields:
        fields["mode"] = int(str(fields["mode"]), 8)
    elif fields.get("kind") == "directory":
        fields["mode"] = 0o755
    return Member(**fields)  # type: ignore[arg-type]


def _refresh() -> None:
    for case in cases():
        view, digest = outcome(case)
        (case / "view.txt").write_text(view)
        (case / "digest.txt").write_text(digest)


if __name__ == "__main__" and "--refresh" in sys.argv:
    _refresh()
