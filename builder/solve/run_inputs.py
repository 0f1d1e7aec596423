"""What a RUN sees besides its parent, for its cache key: contents of bind mounts, kinds of the others.

    {"mounts": [{"type": "bind", "target": "/src", "content": "<sha256>", "writable": false},
                {"type": "cache", "target": "/root/.cache", "id": "/root/.cache", …},
                {"type": "secret", "id": "token", "variable": "TOKEN", …}]}

A bind mount counts with all that can be seen through it: names, kinds, modes, owners, contents, link targets,
attributes; never times. Of a cache mount its id counts only where it says nothing (it is the target, and shared), so
that renaming a cache rebuilds nothing; what is in it never counts. Of secrets and agents everything but the value.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any, Protocol, assert_never

from builder.context.reading import hash_node
from builder.context.source import Tree
from builder.filesystem.entry import FILE, HARDLINK, Entry
from builder.layer.view import MergedView
from builder.oci.canonical import encode
from builder.oci.digest import Digest, chain_id_of, digest_of
from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    Mount,
    RunStep,
    SecretMount,
    SshMount,
    StepSource,
    TmpfsMount,
)
from builder.snapshot.metadata import belongs_into_image
from builder.solve.run_mounts import MountSources, MountTrees, existing_path

Sources = MountTrees | MountSources


class Memory(Protocol):
    """Keeps digests of parts of file systems, which never change (store/plans.py)."""

    def find(self, key: Digest) -> bytes | None: ...

    def put(self, key: Digest, document: bytes) -> None: ...


def run_inputs(step: RunStep, sources: Sources, memory: Memory | None = None) -> dict[str, Any]:
    """Return the part of the cache key that comes from mounts: JSON, the same for the same content.

    Raises StepFailed for a bind mount whose source isn't there, ContextError.
    """
    if not step.mounts:
        return {}
    return {"mounts": [_mount(step, mount, sources, memory) for mount in step.mounts]}


def _mount(step: RunStep, mount: Mount, sources: Sources, memory: Memory | None) -> dict[str, Any]:
    match mount:
        case BindMount():
            content = _content(step, mount.source, mount.subpath, sources, memory)
            return {"type": "bind", "target": mount.target, "content": content, "writable": not mount.readonly}
        case CacheMount():
            return _cache(step, mount, sources, memory)
        case TmpfsMount(target, size):
            return {"type": "tmpfs", "target": target, "size": size}
        case SecretMount() | SshMount():
            document = (
                {"type": "secret", "variable": mount.variable} if isinstance(mount, SecretMount) else {"type": "ssh"}
            )
            owner = {"mode": mount.mode, "uid": mount.uid, "gid": mount.gid}
            return document | {"id": mount.identifier, "target": mount.target, "required": mount.required} | owner
        case _:
            assert_never(mount)


def _cache(step: RunStep, mount: CacheMount, sources: Sources, memory: Memory | None) -> dict[str, Any]:
    document: dict[str, Any] = {"type": "cache", "target": mount.target, "readonly": mount.readonly}
    if mount.sharing == "shared" and mount.identifier == mount.target:
        document["id"] = mount.identifier
    if (mount.mode, mount.uid, mount.gid) != (None, None, None):
        document |= {"mode": mount.mode, "uid": mount.uid, "gid": mount.gid}
    if mount.subpath:
        document["subpath"] = mount.subpath
    if mount.base is not None:
        document["base"] = _content(step, mount.base, mount.subpath, sources, memory)
    return document


def _content(
    step: RunStep, source: ContextSource | StepSource, subpath: str, sources: Sources, memory: Memory | None
) -> str:
    if isinstance(source, ContextSource):
        tree = sources.context(source.name)
        return content_digest(_tree_items(tree, existing_path(step, tree, subpath)))
    layers = sources.layers(source.step)
    chain = chain_id_of(layer.diff_id for layer in layers)
    key = digest_of(encode({"tree content": 1, "chain": chain, "path": subpath}))
    known = memory.find(key) if memory is not None else None
    if known is not None:
        return known.decode("ascii")
    view = MergedView([layer.layer for layer in layers])
    digest = content_digest(_view_items(view, _existing_in_view(step, view, subpath)))
    if memory is not None:
        memory.put(key, digest.encode("ascii"))
    return digest


def content_digest(items: Iterator[tuple[str, Entry, str]]) -> str:
    """Return the sha256 in hex of (path below the mount, entry, content digest) of everything that can be seen."""
    digest = hashlib.sha256()
    for path, entry, content in items:
        kind = FILE if entry.kind == HARDLINK else entry.kind
        attributes = [(name, value.hex()) for name, value in entry.xattrs if belongs_into_image(name)]
        mode = 0 if kind == "symlink" else entry.mode
        link = entry.link if kind == "symlink" else ""
        fields = (path, kind, mode, entry.uid, entry.gid, link, entry.device, attributes, content)
        digest.update(repr(fields).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _tree_items(tree: Tree, start: str) -> Iterator[tuple[str, Entry, str]]:
    scanned_ns = time.time_ns()
    for node in tree.walk(start):
        digest = node.entry.digest
        if node.entry.kind == FILE and not digest:
            digest = hash_node(node)
            tree.remember(node, digest, scanned_ns)
        yield node.entry.path[len(start) :], node.entry, digest


def _view_items(view: MergedView, start: str) -> Iterator[tuple[str, Entry, str]]:
    for found in view.walk(start):
        yield found.entry.path[len(start) :], found.entry, found.entry.digest


def _existing_in_view(step: RunStep, view: MergedView, path: str) -> str:
    # Not by way of a ViewTree: that one asks for the contents' places, and layers would be uncompressed for it.
    from builder.solve.run_mounts import failed

    resolved = view.resolve(path)
    if view.find(resolved) is None:
        raise failed(
            step, f'failed to calculate checksum: "/{resolved}": not found', "The source of a mount must exist."
        )
    return resolved
