"""The model of a page, as JSON: all that its script knows, with nothing in it that must not be shown.

    {"version": 1, "image": {…}, "dockerfile": {"name", "text"} | null,
     "steps":  [{"number", "stage", "instruction", "text", "line", …, "lane"}, …],
     "crossings": [[source, target, is base], …],
     "layers": [{"name", "diff_id", "digest", …}, …],
     "chains": [{"layers": […], "shared": n, "missing": bool}, …],
     "facts":  {step: {"preimage", "was", "why", "files", "masked"}},
     "config": {"text", "masked"}, "manifest": "text",
     "quiz": [{…}, …],                          quiz.py
     "findings": [{"kind", "name", "step"}, …],  secrets' names outside of files
     "blobs":  {layer: base64}, "other": {"name", "layers", …} | null}

Paths are apart (paths.py): the page is drawn before they are read.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence

from builder.explain.model import ExplainedLayer, ExplainedStep, Explanation
from builder.explain.page.inputs import MAX_BLOB_BYTES, PageInputs, StepFacts
from builder.explain.page.lanes import crossings, lanes, own_parents
from builder.explain.page.paths import Paths, shared_layers
from builder.explain.page.quiz import quiz
from builder.explain.page.secrets import Masker, assignments, is_secret_name
from builder.oci.canonical import JsonObject

VERSION = 1
_MAX_FILES = 2_000
"""Paths of build contexts that are named, of each step."""


def page_document(inputs: PageInputs, paths: Paths) -> JsonObject:
    """Return the model of everything but the paths themselves."""
    explanation = inputs.explanation
    steps = own_parents(explanation.steps)
    masker = _masker(inputs)
    config, masked = _json_text(inputs.config, masker)
    return {
        "version": VERSION,
        "pybuild": inputs.version,
        "image": _image(explanation) | {"efficiency": inputs.efficiency, "first": inputs.first_build},
        "dockerfile": None if explanation.dockerfile is None else {
            "name": explanation.dockerfile[0], "text": masker.text(explanation.dockerfile[1]),
        },
        "steps": [
            _step(step, masker) | {"lane": lane} for step, lane in zip(steps, lanes(steps))
        ],
        "crossings": [list(crossing) for crossing in crossings(steps)],
        "layers": _layers(explanation),
        "chains": [
            {
                "layers": list(chain.layers),
                "shared": shared_layers(inputs.chains, number),
                "missing": number in paths.left_out,
            }
            for number, chain in enumerate(inputs.chains)
        ],
        "facts": {
            number: _facts(facts, masker) for number, facts in inputs.facts.items() if _is_object(facts.preimage)
        },
        "config": {"text": config, "masked": masked},
        "manifest": inputs.manifest.decode("utf-8", "replace"),
        "quiz": masker.json(quiz(explanation._replace(steps=steps), paths.lost)),
   "findings": list(_findings(inputs)),
        "blobs": {
            number: b64encode(blob).decode()
            for number, blob in inputs.blobs.items()
            if inputs.contents and len(blob) <= MAX_BLOB_BYTES and not _holds(blob, inputs.secrets)
        },
        "other": None if inputs.other is None else _other(inputs.other),
    }  # fmt: skip


def _masker(inputs: PageInputs) -> Masker:
    if inputs.contents:
        return Masker(inputs.secrets)
    explanation = inputs.explanation
    texts = [inputs.config.decode("utf-8", "replace"), *(step.text for step in explanation.steps), *_created_by(inputs)]
    texts += [f"{name}={value!r}" for name, value in _environment(inputs)]
    if explanation.dockerfile is not None:
        texts.append(explanation.dockerfile[1])
    return Masker(inputs.secrets, texts)


def _holds(blob: bytes, secrets: Sequence[str]) -> bool:
    return any(secret and secret.encode("utf-8", "surrogatepass") in blob for secret in secrets)


def _image(explanation: Explanation) -> JsonObject:
    own = explanation.own
    packed = [layer.packed_size for layer in own]
    return {
        "name": explanation.name,
        "names": list(explanation.names),
        "platform": explanation.platform,
        "id": explanation.image_id,
        "manifest": explanation.manifest,
        "created": explanation.created,
        "began": explanation.began // 1_000_000,
        "seconds": explanation.seconds,
        "target": explanation.target,
        "stored": explanation.stored,
        "hidden": explanation.hidden,
        "packed": None if None in packed else sum(size or 0 for size in packed),
        "problems": list(explanation.problems),
    }


def _step(step: ExplainedStep, masker: Masker) -> JsonObject:
    return step._asdict() | {
        "text": masker.text(step.text),
        "reason": masker.text(step.reason),
        "comment": masker.text(step.comment),
    }


def _layers(explanation: Explanation) -> list[JsonObject]:
    """Return the layers with the names they have in the page: L1, L2… in the image; a1, b1… in its other stages."""
    letters: dict[str, str] = {}
    numbers: dict[str, int] = {}
    named = []
    for layer in explanation.layers:
        if layer.in_image:
            name = f"L{layer.number}"
        else:
            letter = letters.setdefault(layer.stage, "abcdefghijkmnopqrstuvwxyz"[len(letters) % 25])
            numbers[layer.stage] = numbers.get(layer.stage, 0) + 1
            name = f"{letter}{numbers[layer.stage]}"
        named.append(_layer(layer) | {"name": name})
    return named


def _layer(layer: ExplainedLayer) -> JsonObject:
    return layer._asdict()


def _facts(facts: StepFacts, masker: Masker) -> JsonObject:
    now, masked = _json_text(facts.preimage, masker)
    was, was_masked = _json_text(facts.was, masker) if facts.was else ("", [])
    return {
        "preimage": now,
        "was": was if _is_object(facts.was) else "",
        "why": [masker.text(line) for line in facts.why],
        "files": list(facts.files[:_MAX_FILES]),
        "masked": sorted({*masked, *was_masked}),
    }


def _is_object(data: bytes) -> bool:
    """Say whether it is what a key is made of: a record of others may hold anything."""
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


def _json_text(data: bytes, masker: Masker) -> tuple[str, list[str]]:
    """Return a document as text, byte for byte unless something is left out of it; and the names of what is."""
    text = data.decode("utf-8", "surrogatepass")
    try:
        document = json.loads(text)
    except ValueError:
        return masker.text(text), ([] if masker.text(text) == text else [""])
    shown = masker.json(document)
    if shown == document:
        return text, []
    names = {name for name, _ in assignments("\n".join(_strings(document)))}
    names |= {
        name for each in _strings(document) if (name := each.partition("=")[0]).isidentifier() and is_secret_name(name)
    }
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False), sorted(names or {""})


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _config(inputs: PageInputs) -> JsonObject:
    try:
        document = json.loads(inputs.config)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _environment(inputs: PageInputs) -> list[tuple[str, str]]:
    runtime = _config(inputs).get("config")
    variables = runtime.get("Env") if isinstance(runtime, dict) else None
    split = [each.partition("=") for each in variables or () if isinstance(each, str)]
    return [(name, value) for name, _, value in split if is_secret_name(name) and value]


def _created_by(inputs: PageInputs) -> list[str]:
    history = _config(inputs).get("history")
    records = history if isinstance(history, list) else []
    return [str(record.get("created_by", "")) for record in records if isinstance(record, dict)]


def _findings(inputs: PageInputs) -> Iterator[JsonObject]:
    """Yield what looks like a secret in the steps, the environment and the history; each name once a kind."""
    known: set[tuple[str, str]] = set()
    for number, step in enumerate(inputs.explanation.steps):
        for name, _ in assignments(
            step.text if step.text.startswith(step.instruction) else f"{step.instruction} {step.text}"
        ):
            kind = {"ENV": "env", "ARG": "arg"}.get(step.instruction, "history") if name else "url"
            if (kind, name) not in known:
                known.add((kind, name))
                yield {"kind": kind, "name": name, "step": number}
    for name, _ in _environment(inputs):
        if ("env", name) not in known:
            known.add(("env", name))
            yield {"kind": "env", "name": name, "step": None}
    for text in _created_by(inputs):
        for name, _ in assignments(text):
            if not any(each == name for _, each in known):
                known.add(("history", name))
                yield {"kind": "history", "name": name, "step": None}


def _other(explanation: Explanation) -> JsonObject:
    steps = explanation.steps
    return {
        "name": explanation.name,
        "id": explanation.image_id,
        "manifest": explanation.manifest,
        "layers": [
            _layer(layer) | {"name": f"L{layer.number}", "text": steps[layer.step].text if steps else ""}
            for layer in explanation.own
        ],
    }
