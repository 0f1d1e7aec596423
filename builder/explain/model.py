"""An image explained, as values: its steps, its layers, and what each of these is to the other.

Made by builder.engine.explaining from a build record where there is one, else from the image's history; read by the
tables of `pybuild explain`, by its page, and by whoever wants JSON. Everything here is known without reading a layer
again. What the layers have path by path is `builder.explain.union`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from builder.oci.canonical import JsonObject

Cache = Literal["", "base", "hit", "ran"]
"""What a build did about a step: its image was there, the cache had it, it ran; "" where nobody recorded it."""


class ExplainedLayer(NamedTuple):
    """A layer. What is not known is None."""

    number: int
    """From 1, base first; layers of other stages have theirs in their own stage."""
    diff_id: str
    chain_id: str
    digest: str
    """Of the blob that the manifest names, as this store or registry has it; "" for a layer of another stage."""
    media_type: str
    size: int | None
    """Bytes of the regular files in it."""
    tar_size: int | None
    """Bytes of the uncompressed tar."""
    packed_size: int | None
    """Bytes of its compressed form, once there was one."""
    step: int
    """The step that made it: a position in `Explanation.steps`."""
    stage: str = ""
    in_image: bool = True
    missing: str = ""
    """Why nothing is known of its contents: it is not here, or cannot be read."""
    added: int = 0
    """Paths, folders left out, that it adds to the union below."""
    modified: int = 0
    deleted: int = 0
    """Paths of the union below, folders left out, that are gone after it."""
    hidden: int = 0
    """Of `size`: bytes that layers above hide."""
    hides: int = 0
    """Bytes of layers below that it hides."""


class ExplainedStep(NamedTuple):
    """An instruction: of the Dockerfile where there is a record, else one of the image's history."""

    number: int
    """As displays count: from 1 within its stage, its FROM included; 0 for what only edits the config."""
    stage: str
    instruction: str
    """FROM, RUN, COPY, ENV…; "" where the history does not say."""
    text: str
    """The instruction on one line, as far as it is known with variables filled in."""
    line: int = 0
    """In the Dockerfile, from 1; 0 where it is not known, or stands in no Dockerfile of ours."""
    last_line: int = 0
    layers: tuple[int, ...] = ()
    """Positions in `Explanation.layers` of what it brings: those of a base image, or its own one."""
    parent: int | None = None
    """The step whose file system it stands on, as a position in `Explanation.steps`."""
    reads: tuple[int, ...] = ()
    """Steps whose file systems it copies from or mounts."""
    in_image: bool = True
    """Whether it is part of the image, and not only of a stage that something was copied from."""
    cache: Cache = ""
    reason: str = ""
    """Why the cache did not help."""
    key: str = ""
    """The cache key; its preimage may be in the store."""
    seconds: float | None = None
    """How long it took in this build, or when it was last made."""
    comment: str = ""
    created: str = ""
    """RFC 3339, of the history."""


class Explanation(NamedTuple):
    """One image of one platform."""

    name: str
    """What it was asked for by, or its first name."""
    names: tuple[str, ...]
    platform: str
    image_id: str
    manifest: str
    """Digest of the manifest in this store."""
    created: str
    steps: tuple[ExplainedStep, ...]
    """In the order of the Dockerfile, stage by stage; of history, oldest first."""
    layers: tuple[ExplainedLayer, ...]
    """The image's, base first; then those of other stages."""
    dockerfile: tuple[str, str] | None = None
    """Name and text of the Dockerfile; None without a record."""
    target: str = ""
    began: int = 0
    """When the build began, in nanoseconds since 1970; 0 without a record."""
    seconds: float = 0.0
    """How long it took."""
    problems: tuple[str, ...] = ()
    """What is wrong with the image: history that does not fit its layers, layers that are missing…"""

    @property
    def has_record(self) -> bool:
        return self.dockerfile is not None

    @property
    def own(self) -> tuple[ExplainedLayer, ...]:
        """The layers of the image itself, base first."""
        return tuple(layer for layer in self.layers if layer.in_image)

    @property
    def unknown(self) -> tuple[ExplainedLayer, ...]:
        """Those of them that nobody can look into: all sums are without these."""
        return tuple(layer for layer in self.own if layer.missing)

    @property
    def stored(self) -> int:
        """Bytes of the files in all of the image's layers."""
        return sum(layer.size or 0 for layer in self.own)

    @property
    def hidden(self) -> int:
        """Of these, bytes that nobody sees."""
        return sum(layer.hidden for layer in self.own)

    def to_json(self) -> JsonObject:
        """Return what `explain --format json` prints."""
        document = self._asdict()
        document["steps"] = [step._asdict() for step in self.steps]
        document["layers"] = [layer._asdict() for layer in self.layers]
        document["dockerfile"] = None if self.dockerfile is None else dict(zip(("name", "text"), self.dockerfile))
        return document | {"stored": self.stored, "hidden": self.hidden}
