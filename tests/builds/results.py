"""An image → plain JSON that can be compared, stored and read by people (`expected.json`).

Normalised is only what can't be equal: creation times, comments, the builder's own name in `created_by`, this
machine's architecture, the port of the loopback server, the version of busybox. Everything below the base image is
left out: the tree lists what differs from it.
"""

from __future__ import annotations

import re
from typing import Any

from tests.builds.base_image import BaseImage, architecture
from tests.builds.images import Image, as_stream
from tests.builds.tree import Inode, Tree

FRESH = 1_700_000_000
"""Seconds; every mtime of the fixtures is older, so anything newer was made by the build."""
OWN_NAME = re.compile(r" # (buildkit|pybuild)$")
LOOPBACK = re.compile(r"127\.0\.0\.1:\d+")
PEER_LABELS = ("io.buildah.version",)
LEFT_OUT = ("created", "history", "rootfs", "container", "container_config", "docker_version")
"""Compared elsewhere, or left over from a container that the peer made on the way."""

Result = dict[str, Any]


def result_of(image: Image, base: BaseImage) -> Result:
    """Describe an image; `faults` lists what makes it ill-formed."""
    on_base = bool(image.layers) and image.config["rootfs"]["diff_ids"][0] == base.diff_id
    tree, floor = Tree(), {}
    for number, layer in enumerate(image.layers):
        tree.apply(as_stream(layer))
        if on_base and number == 0:
            floor = dict(tree.entries)
            tree.faults.clear()
    described = describe_tree(tree, floor, base)
    return {
        "base": "busybox-base" if on_base else "scratch",
        "config": normal_config(image.config),
        "history": normal_history(image.config, skip=1 if on_base else 0),
        "layers": len(image.layers) - on_base,
        "removed": sorted(path for path in floor if path not in tree.entries),
        "tree": described,
        "faults": image.faults + tree.faults,
    }


def describe_tree(tree: Tree, floor: dict[str, Inode], base: BaseImage) -> dict[str, Any]:
    links = tree.link_groups()
    described = {}
    for path, inode in sorted(tree.entries.items()):
        entry = describe(inode, links.get(path, []), base)
        if path not in floor or entry != describe(floor[path], [], base):
            described[path] = entry
    return described


def describe(inode: Inode, links: list[str], base: BaseImage) -> dict[str, Any]:
    """Return the fields of one entry that its type has."""
    entry: dict[str, Any] = {"type": inode.kind, "owner": f"{inode.uid}:{inode.gid}"}
    if inode.kind != "symlink":
        entry["mode"] = f"{inode.mode:04o}"
    if inode.kind == "file":
        if inode.sha256 == base.busybox_sha256:
            entry["text"] = "(busybox)"
        elif inode.text is not None:
            entry["text"] = inode.text
        else:
            entry |= {"size": inode.size, "sha256": inode.sha256}
    if inode.kind == "symlink":
        entry["target"] = inode.target
    if inode.device:
        entry["device"] = inode.device
    if inode.xattrs:
        entry["xattrs"] = dict(sorted(inode.xattrs.items()))
    if links:
        entry["links"] = links
    if inode.kind != "directory":  # BuildKit's own answers differ from run to run, with the order it walks in
        entry["mtime"] = "now" if inode.mtime > FRESH else int(inode.mtime)
    return entry


def normal_config(config: dict[str, Any]) -> dict[str, Any]:
    """Drop the parts that are compared elsewhere or can't be equal, and empty values (peers write them or not)."""
    kept = {key: value for key, value in config.items() if key not in LEFT_OUT}
    if kept.get("architecture") == architecture():
        kept["architecture"] = "(this machine)"
    inner = {key: value for key, value in (kept.get("config") or {}).items() if value not in (None, "", [], {}, False)}
    inner.pop("Hostname", None)
    labels = {key: value for key, value in inner.pop("Labels", {}).items() if key not in PEER_LABELS}
    if labels:
        inner["Labels"] = labels
    kept["config"] = inner
    masked: dict[str, Any] = mask({key: value for key, value in kept.items() if value not in (None, "", [], {})})
    return masked


def normal_history(config: dict[str, Any], *, skip: int) -> list[dict[str, Any]]:
    entries = []
    for entry in (config.get("history") or [])[skip:]:
        text = OWN_NAME.sub(" # (builder)", LOOPBACK.sub("127.0.0.1:0", entry.get("created_by", "")))
        normal = {"created_by": text, "empty_layer": bool(entry.get("empty_layer"))}
        entries.append(normal | ({"author": entry["author"]} if entry.get("author") else {}))
    return entries


def mask(value: Any) -> Any:
    if isinstance(value, str):
        return LOOPBACK.sub("127.0.0.1:0", value)
    if isinstance(value, list):
        return [mask(item) for item in value]
    if isinstance(value, dict):
        return {mask(key): mask(item) for key, item in value.items()}
    return value
