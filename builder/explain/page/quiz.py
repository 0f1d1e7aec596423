"""Questions about one build, made of what is known of it. What a build does not offer is not asked.

A question is {"ask", "options", "right", "why"}; each text is [name of a message, values]. A value [kind, n] is written
by the page in its own words: bytes, or the name of a step or layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from builder.explain.model import ExplainedStep, Explanation
from builder.oci.canonical import JsonObject

MOST = 6
_FEWEST_BYTES = 1_000
_Text = list[Any]


class Lost(NamedTuple):
    """A file whose bytes are stored and not seen."""

    path: str
    layer: int
    """Position in `Explanation.layers`."""
    by: int
    size: int
    how: str
    is_secret: bool
    only_mode: bool = False


def quiz(explanation: Explanation, lost: Sequence[Lost]) -> list[JsonObject]:
    """Return up to MOST questions."""
    made = (_largest, _deleted, _secret, _copied, _cause, _stage, _config_only, _packed)
    found = [question for make in made for question in make(explanation, lost)]
    return found[:MOST]


def _question(ask: _Text, options: list[_Text], right: int, why: _Text, turn: int) -> JsonObject:
    """Return a question whose right answer is not always at the same place."""
    turn %= len(options)
    turned = options[turn:] + options[:turn]
    return {"ask": ask, "options": turned, "right": (right - turn) % len(options), "why": why}


def _largest(explanation: Explanation, lost: Sequence[Lost]) -> Iterator[JsonObject]:
    steps = explanation.steps
    own = [
        at for at, step in enumerate(steps) if step.in_image and step.instruction != "FROM" and len(step.layers) == 1
    ]
    own.sort(key=lambda at: explanation.layers[steps[at].layers[0]].size or 0, reverse=True)
    sizes = [explanation.layers[steps[at].layers[0]].size or 0 for at in own[:3]]
    if len(sizes) > 2 and sizes[0] > sizes[1]:
        layer = steps[own[0]].layers[0]
        yield _question(
            ["q_largest", {}],
            [["text", {"text": _short(steps[at])}] for at in own[:3]],
            0,
            ["q_largest_why", {"layer": ["layer", layer], "size": ["bytes", sizes[0]]}],
            len(own),
        )


def _deleted(explanation: Explanation, lost: Sequence[Lost]) -> Iterator[JsonObject]:
    pairs: dict[tuple[int, int], int] = {}
    for file in lost:
        if file.how == "deleted":
            pairs[file.layer, file.by] = pairs.get((file.layer, file.by), 0) + file.size
    if pairs:
        (layer, by), size = max(pairs.items(), key=lambda pair: pair[1])
        if size >= _FEWEST_BYTES:
            told = {"later": ["step", explanation.layers[by].step], "size": ["bytes", size], "layer": ["layer", layer]}
            options: list[_Text] = [["q_none", {}], ["q_all", {"size": ["bytes", size]}], ["q_half", {}]]
            yield _question(["q_delete", told], options, 0, ["q_delete_why", told], 1)


def _secret(explanation: Explanation, lost: Sequence[Lost]) -> Iterator[JsonObject]:
    found = next((file for file in lost if file.is_secret and file.how == "deleted"), None)
    if found is not None:
        options: list[_Text] = [["q_nobody", {}], ["q_root", {}], ["q_everyone", {}]]
        yield _question(["q_secret", {"path": f"/{found.path}"}], options, 2, ["q_secret_why", {}], 0)


def _copied(explanation: Explanation, lost: Sequence[Lost]) -> Iterator[JsonObject]:
    found = next((file for file in lost if file.only_mode), None)
    if found is not None:
        told = {"path": f"/{found.path}", "size": ["bytes", found.size]}
        options: list[_Text] = [["q_few", {}], ["q_none", {}], ["q_all", told]]
        yield _question(["q_chmod", told], options, 2, ["q_chmod_why", {}], 2)


def _cause(explanation: Explanation, lost: Sequence[Lost]) -> Iterator[JsonObject]:
    steps = explanation.steps
    ran = [at for at, step in enumerate(steps) if step.cache == "ran"]
    for at in reversed(ran):
        cause = at
        while _follows(steps[cause]) and steps[cause].parent is not None:
            cause = steps[cause].parent or 0
        others = [one for one, step in enumerate(steps) if step.number and step.layers and one not in (cause, at)]
        if cause != at and steps[cause].cache == "ran" and len(others) > 1:
            told = {"step": ["step", at], "cause": ["step", cause]}
            options: list[_Text] = [["text", {"text": _short(steps[one])}] for one in (cause, *others[-2:])]
            yield _question(["q_cause", told], options, 0, ["q_cause_why", told], 2)
            return


def _stage(explanation: Explanation, lost: Sequence[Lost]) -> Iterator[JsonObject]:
    steps = explanation.steps
    found = next(
        (source for step in steps if step.in_image for source in step.reads if not steps[source].in_image), None
    )
    if found is not None:
        told = {"step": ["step", found], "stage": steps[found].stage}
        yield _question(
            ["q_stage", told], [["q_below", {}], ["q_nowhere", {}], ["q_hidden", {}]], 1, ["q_stage_why", {}], 0
        )


def _config_only(explanation: Explanation, lost: Sequence[Lost]) -> Iterator[JsonObject]:
    steps = [step for step in explanation.steps if step.in_image and step.instruction != "FROM"]
    empty = [step for step in steps if not step.layers and step.instruction not in ("ARG", "")]
    made = [step for step in steps if step.layers]
    if empty and len(made) > 1:
        three = (made[0], empty[-1], made[-1])
        options: list[_Text] = [["text", {"text": _short(step)}] for step in three]
        yield _question(["q_config", {}], options, 1, ["q_config_why", {}], 2)


def _packed(explanation: Explanation, lost: Sequence[Lost]) -> Iterator[JsonObject]:
    if explanation.own:
        options: list[_Text] = [["q_pack_a", {}], ["q_pack_b", {}], ["q_pack_c", {}]]
        yield _question(["q_pack", {}], options, 1, ["q_pack_why", {}], 1)


def _follows(step: ExplainedStep) -> bool:
    return step.reason.startswith("follows ")


def _short(step: ExplainedStep) -> str:
    text = step.text if step.text.startswith(step.instruction) else f"{step.instruction} {step.text}"
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:59]}…"
