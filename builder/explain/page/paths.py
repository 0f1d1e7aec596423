"""What layers make of each path, as columns: small when it is packed, quick when a browser reads it.

    depth  names                   one each a path, in tree order: how many folders it lies in, and its own name
    count                          how many versions it has; the columns below have one item a version
    chain layer by                 which chain, which layer of it, which layer hides it (-1: none)
    change how                     positions in CHANGES and HIDDEN
    attributes times size          position in `table` ([kind, mode, uid, gid]); in `moments`; bytes
    same                           a number that versions of the same content share; 0: there is no other
    links xattrs devices           by version, as few have them
    secret                         paths whose names look like those of secrets
    order                          by "chain/layer", where the order in the tar is not that of the tree: versions in it

A version of a chain other than the first is only given for paths that layers of its own have or hide; all other paths
are as the layers say that it shares with the first chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby, islice
from typing import Any, NamedTuple

from builder.explain.page.inputs import Chain
from builder.explain.page.quiz import Lost
from builder.explain.page.secrets import is_secret_file
from builder.explain.union import PathStory, Version
from builder.filesystem.entry import FILE, HARDLINK, tree_key
from builder.oci.canonical import JsonObject

CHANGES = ("added", "modified", "touched", "same", "whiteout", "opaque", "implied")
HIDDEN = ("", "deleted", "overwritten", "same content", "merged")
KINDS = ("file", "directory", "symlink", "hardlink", "character", "block", "fifo")

MAX_STAGE_PATHS = 40_000
"""Paths of stages that are thrown away, all together: the page is of the image."""


def shared_layers(chains: Sequence[Chain], number: int) -> int:
    """Return how many layers a chain has in common with the first."""
    return next(
        (at for at, (mine, first) in enumerate(zip(chains[number].layers, chains[0].layers)) if mine != first),
        min(len(chains[number].layers), len(chains[0].layers)),
    )


class Paths(NamedTuple):
    columns: JsonObject
    left_out: set[int]
    """Chains that are not in them, being too large."""
    lost: list[Lost]
    """Files of the image whose bytes are stored and not seen, largest first."""


def gather_paths(chains: Sequence[Chain]) -> Paths:
    """Go through the stories of all chains once."""
    left_out: set[int] = set()
    streams: list[Iterable[tuple[PathStory, int]]] = [((story, 0) for story in chains[0].stories)] if chains else []
    room = MAX_STAGE_PATHS
    for number in range(1, len(chains)):
        own = list(islice(_own(chains, number), room + 1))
        if len(own) > room:
            left_out.add(number)
        else:
            room -= len(own)
            streams.append(own)
    columns = _Columns(chains[0].layers if chains else ())
    if len(streams) == 1:
        for story, number in streams[0]:
            columns.add(story.path, ((number, story.versions),))
    else:
        in_order = merge(*streams, key=lambda item: tree_key(item[0].path))
        for path, group in groupby(in_order, key=lambda item: item[0].path):
            columns.add(path, [(number, story.versions) for story, number in group])
    columns.lost.sort(key=lambda file: -file.size)
    return Paths(columns.to_json(), left_out, columns.lost)


def _own(chains: Sequence[Chain], number: int) -> Iterator[tuple[PathStory, int]]:
    shared = shared_layers(chains, number)
    for story in chains[number].stories:
        if any(version.layer >= shared or version.hidden_by >= shared for version in story.versions):
            yield story, number


class _Columns:
    def __init__(self, layers: Sequence[int]) -> None:
        self._layers = layers
        self.lost: list[Lost] = []
        self._secret: list[int] = []
        self._stack: list[str] = []
        self._names: list[str] = []
        self._lists: dict[str, list[int]] = {
            name: []
            for name in (
                "depth",
                "count",
                "chain",
                "layer",
                "by",
                "change",
                "how",
                "attributes",
                "times",
                "size",
                "same",
            )
        }
        self._table: dict[tuple[int, int, int, int], int] = {}
        self._moments: dict[int, int] = {}
        self._contents: dict[str, int] = {}
        self._shared = 0
        self._links: dict[int, str] = {}
        self._xattrs: dict[int, list[str]] = {}
        self._devices: dict[int, tuple[int, int]] = {}
        self._offsets: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self._kinds = {kind: code for code, kind in enumerate(KINDS)}
        self._changes = {change: code for code, change in enumerate(CHANGES)}
        self._hidden = {hidden: code for code, hidden in enumerate(HIDDEN)}

    def add(self, path: str, histories: Sequence[tuple[int, Sequence[Version]]]) -> None:
        parts = path.split("/") if path else []
        if parts and not self._names:
            self._open(0, "", 0)  # the root, which layers need not name
        # A whiteout may stand in a folder that no layer has.
        common = next((at for at, (a, b) in enumerate(zip(self._stack, parts)) if a != b), len(self._stack))
        for missing in range(min(common, len(parts)), len(parts) - 1):
            self._open(missing + 1, parts[missing], 0)
        self._open(len(parts), parts[-1] if parts else "", sum(len(versions) for _, versions in histories))
        self._stack = parts
        is_secret = is_secret_file(path)
        if is_secret:
            self._secret.append(len(self._names) - 1)
        for chain, versions in histories:
            for at, version in enumerate(versions):
                self._version(chain, version)
                if (
                    version.hidden
                    and not chain
                    and version.is_lost
                    and version.entry.size
                    and version.entry.kind == FILE
                ):
                    self._lose(path, version, versions[at + 1 :], is_secret)

    def _lose(self, path: str, version: Version, later: Sequence[Version], is_secret: bool) -> None:
        entry, above = version.entry, next((one.entry for one in later if one.layer == version.hidden_by), None)
        same = above is not None and version.hidden == "same content" and above._replace(mode=entry.mode, mtime=0)
        self.lost.append(
            Lost(
                path, self._layers[version.layer], self._layers[version.hidden_by], entry.size, version.hidden,
                is_secret, same == entry._replace(mtime=0) and above is not None and above.mode != entry.mode,
            )
        )  # fmt: skip

    def _open(self, depth: int, name: str, count: int) -> None:
        self._lists["depth"].append(depth)
        self._lists["count"].append(count)
        self._names.append(name)

    def _version(self, chain: int, version: Version) -> None:
        lists = self._lists
        entry = version.entry
        number = len(lists["layer"])
        key = (self._kinds[entry.kind], entry.mode, entry.uid, entry.gid)
        lists["chain"].append(chain)
        lists["layer"].append(version.layer)
        lists["by"].append(version.hidden_by)
        lists["change"].append(self._changes[version.change])
        lists["how"].append(self._hidden[version.hidden])
        lists["attributes"].append(self._table.setdefault(key, len(self._table)))
        lists["times"].append(self._moments.setdefault(entry.mtime, len(self._moments)))
        lists["size"].append(entry.size if entry.kind == FILE else 0)
        lists["same"].append(self._content(number, entry.digest) if entry.size and entry.kind == FILE else 0)
        if entry.link:
            self._links[number] = entry.link
        elif entry.kind == HARDLINK:
            self._links[number] = ""
        if entry.xattrs:
            self._xattrs[number] = [name for name, _ in entry.xattrs]
        if entry.device != (0, 0):
            self._devices[number] = entry.device
        if version.offset > 0:
            self._offsets.setdefault((chain, version.layer), []).append((version.offset, number))

    def _content(self, number: int, digest: str) -> int:
        """Return the number of a content. One that is met a second time gets one, and the first place with it."""
        if not digest:
            return 0
        known = self._contents.setdefault(digest, ~number)
        if known < 0 and known != ~number:
            self._shared += 1
            self._lists["same"][~known] = self._contents[digest] = known = self._shared
        return max(known, 0)

    def to_json(self) -> JsonObject:
        order: dict[str, list[int]] = {}
        for (chain, layer), offsets in self._offsets.items():
            ordered = sorted(offsets)
            if ordered != offsets:
                order[f"{chain}/{layer}"] = [number for _, number in ordered]
        columns: dict[str, Any] = dict(self._lists)
        return columns | {
            "names": "\0".join(self._names),
            "table": [list(key) for key in self._table],
            "moments": list(self._moments),
            "links": self._links,
            "xattrs": self._xattrs,
            "devices": self._devices,
            "order": order,
            "secret": self._secret,
        }
