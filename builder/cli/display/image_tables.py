"""How images and their histories look: a line each, a tree of layers; and the fields that --format knows, docker's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from builder.cli.display.text import age_text, known_size, table_lines
from builder.engine.images import HistoryStep, ListedImage
from builder.image.tree import LayerNode
from builder.oci.digest import short_digest
from builder.oci.reference import reference_or_none

_STEP_COLUMNS = 56
_CREATED_BY_COLUMNS = 45
"""As docker shortens it."""
_TREE_COLUMNS = 44
_MISSING = "<missing>"
"""Docker's ID of all but the newest step: images of steps are not kept."""

IMAGE_HEADS = {
    "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID", "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT", "Size": "SIZE", "CompressedSize": "COMPRESSED", "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE", "Containers": "CONTAINERS", "Platform": "PLATFORM",
}  # fmt: skip
"""Fields of a line of `images`."""

HISTORY_HEADS = {
    "ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "Size": "SIZE",
    "Comment": "COMMENT", "DiffID": "DIFF ID", "ChainID": "CHAIN ID", "CompressedSize": "COMPRESSED",
}  # fmt: skip
"""Fields of a line of docker's `history`, and three of ours."""
HISTORY_COLUMNS = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")


def image_row(image: ListedImage, *, whole: bool) -> dict[str, str]:
    """Return the fields of an image."""
    name, tag = "<none>", "<none>"
    if reference := reference_or_none(image.name):
        tag = reference.tag or "<none>"
        name = reference.familiar.removesuffix(f":{reference.tag}").partition("@")[0]
    elif image.name:
        name = image.name  # somebody else's tool wrote it
    return {
        "Repository": name,
        "Tag": tag,
        "Digest": image.repo_digest or "<none>",
        "ID": image.id if whole else short_digest(image.id),
        "CreatedSince": _since(image.created_ns),
        "CreatedAt": _at(image.created_ns),
        "Size": known_size(image.size),
        "CompressedSize": known_size(image.compressed_size),
        "SharedSize": known_size(image.shared_size),
        "UniqueSize": known_size(image.own_size),
        "Containers": str(image.containers),
        "Platform": image.platform,
    }


def image_columns(*, digests: bool, sizes: bool) -> list[str]:
    """Return the fields that the table of `images` shows."""
    names = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
    return names + (["CompressedSize", "SharedSize", "UniqueSize"] if sizes else [])


def tree_lines(roots: Sequence[LayerNode], *, whole: bool) -> Iterator[str]:
    """Yield the layers, each under the one that it stands on; only where ways part is anything indented."""
    rows: list[list[str]] = []
    for root in roots:
        rows += [[""] * 5] if rows else []
        rows += _branch(root, "", "", whole)
    yield from table_lines(["LAYER", "SIZE", "IMAGES", "MADE BY", "IMAGE ENDS HERE"], rows, right=frozenset({1, 2}))


def _branch(node: LayerNode, lead: str, below: str, whole: bool) -> Iterator[list[str]]:
    while True:
        name = (node.diff_id if whole else short_digest(node.diff_id)) or "-"
        made_by = _clipped(node.created_by.replace("\n", " ") or _remark(""), _TREE_COLUMNS, whole)
        yield [lead + name, known_size(node.size), str(node.through), made_by, ", ".join(node.ends)]
        if len(node.children) != 1:
            break
        node, lead = node.children[0], below
    for child in node.children[:-1]:
        yield from _branch(child, f"{below}├─ ", f"{below}│  ", whole)
    for child in node.children[-1:]:
        yield from _branch(child, f"{below}└─ ", f"{below}   ", whole)


def history_lines(steps: Sequence[HistoryStep], *, whole: bool, human: bool, chain_ids: bool) -> Iterator[str]:
    """Yield the steps of an image in the order of its Dockerfile."""
    head = ["STEP", "LAYER", "FILES", "SIZE", "DIFF ID", *(["CHAIN ID"] if chain_ids else [])]
    rows = [_history_row(step, whole=whole, human=human)[: len(head)] for step in steps]
    yield from table_lines(head, rows, right=frozenset({1, 2, 3}))


def _history_row(step: HistoryStep, *, whole: bool, human: bool) -> list[str]:
    words = _clipped(step.created_by.replace("\n", " ") or _remark(step.comment), _STEP_COLUMNS, whole)
    if not step.layer:
        return [words, "-", "", "", "", ""]
    ids = (text if whole else short_digest(text) for text in (step.diff_id, step.chain_id))
    return [words, str(step.layer), str(step.files), _size(step.size, human=human), *ids]


def docker_history(
    image_id: str, steps: Sequence[HistoryStep], *, whole: bool, human: bool
) -> Sequence[dict[str, str]]:
    """Return the fields of each step, the newest first, as docker lists them."""
    rows = []
    for number, step in enumerate(reversed(steps)):
        identifier = image_id if whole else short_digest(image_id)
        created = "N/A" if step.created_ns is None else step.created
        rows.append(
            {
                "ID": _MISSING if number else identifier,
                "CreatedSince": _since(step.created_ns) if human else created,
                "CreatedAt": created,
                "CreatedBy": _clipped(step.created_by.replace("\n", " "), _CREATED_BY_COLUMNS, whole),
                "Size": _size(step.size, human=human),
                "Comment": step.comment,
                "DiffID": step.diff_id if whole else short_digest(step.diff_id),
                "ChainID": step.chain_id if whole else short_digest(step.chain_id),
                "CompressedSize": _size(step.compressed_size, human=human),
            }
        )
    return rows


def _remark(comment: str) -> str:
    """Return the words for a record without a command; the comment of an imported image often says where it is from."""
    told = comment and not comment.endswith(".exporter.image.v0")  # of builders, for layers that nothing tells of
    return f"({comment if told else 'no command recorded'})"


def _clipped(words: str, columns: int, whole: bool) -> str:
    return words if whole or len(words) <= columns else words[: columns - 1] + "…"


def _size(size: int | None, *, human: bool) -> str:
    return known_size(size) if human or size is None else str(size)


def _since(nanoseconds: int | None) -> str:
    return "N/A" if nanoseconds is None else age_text(time.time() - nanoseconds / 1e9)


def _at(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return "N/A"
    return time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(nanoseconds // 1_000_000_000))
