"""What a RUN sees besides its parent, for its cache key: contents of bind mounts, kinds of the others.

    {"mounts": [{"type": "bind", "target": "/src", "content": "<sha256>", "writable": false},
                {"type": "cache", "target": "/root/.cache", "id": "/root/.cache", …},
                {"type": "secret", "id": "token", "variable": "TOKEN", …}]}

A bind mount counts with all that can be seen through it: names, kinds, modes, owners, contents, link targets,
attributes; never times. Of a cache mount its id counts only where it says nothing (it is the target, and shared), so
that renaming a cache rebuilds nothing; what is in it never counts. Of secrets and agents everything but the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, assert_never

from builder.layer.view import MergedView
from builder.oci.canonical import JsonObject, encode
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
from builder.snapshot.snapshotter import StackLayer
from builder.solve.entry_line import shortened
from builder.solve.run.binds import Shown, seen_part
from builder.solve.run.mounts import MountSources, MountTrees
from builder.solve.run.sightings import content_of, visible_lines
from builder.solve.seen import Seen
from builder.solve.step_errors import failed
from builder.store import formats

Sources = MountTrees | MountSources
_NOTHING: Mapping[BindMount, Shown] = MappingProxyType({})


class Memory(Protocol):
    """Keeps digests of parts of file systems, which never change (store/documents.py)."""

    def find(self, key: Digest) -> bytes | None: ...

    def put(self, key: Digest, document: bytes) -> None: ...


def run_inputs(
    step: RunStep, sources: Sources, memory: Memory | None = None, shown: Mapping[BindMount, Shown] = _NOTHING
) -> JsonObject:
    """Return the part of the cache key that comes from mounts: JSON, the same for the same content.

    Once the command has run, `shown` says what its mounts of contexts showed it.
    Raises StepFailed for a bind mount whose source isn't there, ContextError.
    """
    if not step.op.mounts:
        return {}
    return {"mounts": [_mount(step, mount, sources, memory, shown) for mount in step.op.mounts]}


def run_seen(step: RunStep, sources: Sources, shown: Mapping[BindMount, Shown]) -> tuple[Seen, ...]:
    """Return what can be seen through the mounts of `step`, each under its target."""
    found = []
    for mount in step.op.mounts:
        source = mount.source if isinstance(mount, BindMount) else mount.base if isinstance(mount, CacheMount) else None
        if source is None or not isinstance(mount, BindMount | CacheMount):
            continue
        if isinstance(source, StepSource):
            # Of stages the layers alone are kept: their indexes tell the rest, when it is asked for
            # (docs/decisions/0013).
            layers = tuple(str(layer.diff_id) for layer in sources.layers(source.step))
            found.append(Seen(mount.target, mount.subpath, layers=layers))
            continue
        if isinstance(mount, BindMount) and mount in shown:
            sighting = shown[mount].sighting
        else:
            sighting = seen_part(step, sources.context(source.name), source.name, mount.subpath, sources)
        lines = b"".join(map(shortened, sighting.lines))
        found.append(Seen(mount.target, sighting.start, context=source.name, lines=lines))
    return tuple(found)


def _mount(
    step: RunStep, mount: Mount, sources: Sources, memory: Memory | None, shown: Mapping[BindMount, Shown]
) -> JsonObject:
    match mount:
        case BindMount():
            # What the command saw goes before what is there by now.
            known = shown[mount].sighting.content if mount in shown else None
            content = known or _content(step, mount.source, mount.subpath, sources, memory)
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


def _cache(step: RunStep, mount: CacheMount, sources: Sources, memory: Memory | None) -> JsonObject:
    document: JsonObject = {"type": "cache", "target": mount.target, "readonly": mount.readonly}
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
        return seen_part(step, sources.context(source.name), source.name, subpath, sources).content
    layers = sources.layers(source.step)
    chain = chain_id_of(layer.diff_id for layer in layers)
    key = digest_of(encode({"tree content": formats.MOUNTED_TREE, "chain": chain, "path": subpath}))
    # What lies at a path of a chain of layers is the same for ever: hashed once, by whichever build comes first.
    known = memory.find(key) if memory is not None else None
    if known is not None:
        return known.decode("ascii")
    digest = content_of(stage_lines(step, layers, subpath))
    if memory is not None:
        memory.put(key, digest.encode("ascii"))
    return digest


def stage_lines(step: RunStep, layers: Sequence[StackLayer], subpath: str) -> tuple[bytes, ...]:
    """Return the lines of what is seen at `subpath` of a stage. Raises StepFailed when nothing is there."""
    view = MergedView([layer.layer for layer in layers])
    start = _existing_in_view(step, view, subpath)
    return visible_lines(start, ((found.entry, found.entry.digest) for found in view.walk(start)))


def _existing_in_view(step: RunStep, view: MergedView, path: str) -> str:
    # Not by way of a ViewTree: that one asks for the contents' places, and layers would be uncompressed for it.
    resolved = view.resolve(path)
    if view.find(resolved) is None:
        raise failed(
            step, f'failed to calculate checksum: "/{resolved}": not found', "The source of a mount must exist."
        )
    return resolved
