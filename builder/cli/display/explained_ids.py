"""The names of an image, with the arithmetic that a student can repeat; and how two images differ."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from builder.cli.display.diagnostics import paint
from builder.cli.display.explained import BOLD, DIM, GREEN, RED, YELLOW, text_of
from builder.cli.display.text import clean, clipped, size_text
from builder.engine.comparing import Comparison
from builder.errors import counted
from builder.explain.model import ExplainedStep, Explanation
from builder.oci.digest import short_digest

_MOST_FILES = 40
_LETTERS = {"added": ("A", GREEN), "changed": ("M", YELLOW), "removed": ("D", RED)}


def id_lines(explained: Explanation, blobs: str, *, colour: bool = False) -> Iterator[str]:
    """Yield each digest, what it is the digest of, and the command that computes it; `blobs` is the store's folder."""
    where = shlex.quote(blobs)
    chain = ""
    for layer in explained.own:
        step = explained.steps[layer.step]
        yield paint(f"L{layer.number}  {clipped(text_of(step), 90, 0)}", BOLD, colour)
        yield f"  diff ID   {layer.diff_id}   the tar, uncompressed"
        if layer.digest == layer.diff_id:
            yield f"  digest    {layer.digest}   the blob: here the tar itself, so both are the same"
            yield paint(f"            $ sha256sum {where}/{layer.diff_id.partition(':')[2]}", DIM, colour)
        else:
            yield f"  digest    {layer.digest}   the blob as it is carried, compressed"
            yield paint(f"            $ sha256sum {where}/{layer.digest.partition(':')[2]}", DIM, colour)
            unpack = "zstd -dc" if layer.media_type.endswith("zstd") else "zcat"
            yield paint(f"            $ {unpack} < {where}/{layer.digest.partition(':')[2]} | sha256sum", DIM, colour)
        if chain:
            yield f"  chain ID  {layer.chain_id}   the chain below, a space, and the diff ID"
            yield paint(f"            $ printf '%s %s' {chain} {layer.diff_id} | sha256sum", DIM, colour)
        else:
            yield f"  chain ID  {layer.chain_id}   of the lowest layer it is the diff ID"
        chain = layer.chain_id
        if layer.missing:
            yield paint(f"  {clean(layer.missing)}: nothing of it can be computed here", RED, colour)
        yield ""
    name = explained.image_id
    yield paint("image", BOLD, colour)
    yield f"  image ID  {explained.image_id}   the config, which lists the diff IDs"
    yield paint(f"            $ pybuild inspect --config {name} | sha256sum", DIM, colour)
    yield f"  digest    {explained.manifest}   the manifest, which names config and blobs"
    yield paint(f"            $ sha256sum {where}/{explained.manifest.partition(':')[2]}", DIM, colour)
    if any(layer.digest == layer.diff_id for layer in explained.own):
        yield (
            "The manifest of this store names uncompressed tars. A registry gets compressed ones, so it has another"
            " manifest with another digest; diff IDs, chain IDs and the image ID stay."
        )


def comparison_lines(
    first: Explanation, second: Explanation, found: Comparison, *, colour: bool = False
) -> Iterator[str]:
    """Yield where two images part, why, and what that comes to."""
    names = clean(first.name), clean(second.name)
    if first.image_id == second.image_id:
        yield f"{names[0]} and {names[1]} are the same image: {short_digest(first.image_id)}"
        return
    yield f"{counted(found.same_layers, 'layer')} in common, of {len(first.own)} and {len(second.own)}"
    if found.same_layers == len(first.own) == len(second.own):
        yield "the layers are the same; only the config differs"
    else:
        yield paint("they part at", BOLD, colour)
        for name, step in zip(names, found.parts_at):
            yield f"  {name}: {_step(step)}"
        for reason in found.reasons:
            yield paint(f"  ↳ {clean(reason)}", YELLOW, colour)
    if found.config:
        yield paint("config", BOLD, colour)
        for member, was, now in found.config:
            yield f"  {clean(member)}: {clipped(clean(was), 60, 0)} → {clipped(clean(now), 60, 0)}"
    if found.files:
        yield paint("files", BOLD, colour)
        for file in found.files[:_MOST_FILES]:
            letter, code = _LETTERS[file.kind]
            growth = f"  {'+' if file.growth > 0 else '-'}{size_text(abs(file.growth))}" if file.growth else ""
            yield paint(f"  {letter} /{clean(file.path)}{growth}", code, colour)
        if len(found.files) > _MOST_FILES:
            yield paint(f"  … and {len(found.files) - _MOST_FILES} more; --format json has all", DIM, colour)
        total = sum(file.growth for file in found.files)
        more = f"{size_text(abs(total))} {'larger' if total > 0 else 'smaller'}" if total else "as large"
        differ = "path differs" if len(found.files) == 1 else "paths differ"
        yield f"  {len(found.files)} {differ}; {names[1]} is {more}"


def _step(step: ExplainedStep | None) -> str:
    if step is None:
        return "no more layers"
    number = f"step {step.number}, " if step.number else ""
    return f"{number}{clipped(text_of(step), 90, 0)}"
