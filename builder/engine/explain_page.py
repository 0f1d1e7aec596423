"""What a page of an explained image is made of, taken from the store: documents, cache keys, small layers.

In: an image that is open (builder.engine.explaining). Out: `PageInputs`, with the stories of paths as streams, so the
page is made while it is open.
"""

from __future__ import annotations

from collections.abc import Iterator

from builder import __version__
from builder.engine.explaining import Explained
from builder.engine.why import why
from builder.errors import PybuildError
from builder.explain.dive import dive_score
from builder.explain.model import ExplainedStep
from builder.explain.page.inputs import MAX_BLOB_BYTES, Chain, PageInputs, StepFacts
from builder.explain.page.write import page_bytes
from builder.oci.digest import Digest
from builder.solve.difference import FIRST_BUILD
from builder.solve.entry_line import described
from builder.solve.reason.facts import Facts

_MAX_FILES = 2_000


def explain_page(
    explained: Explained, *, other: Explained | None = None, contents: bool = False, language: str = "en"
) -> bytes:
    """Return the page of an image, in UTF-8, beside `other` when there is one. Raises StoreError."""
    return page_bytes(page_inputs(explained, other=other, contents=contents, language=language))


def page_inputs(
    explained: Explained, *, other: Explained | None = None, contents: bool = False, language: str = "en"
) -> PageInputs:
    """Return what `explain_page` makes the page of."""
    explanation = explained.explanation
    image = explained.image
    return PageInputs(
        explanation=explanation,
        config=explained.document(image.manifest.config.digest),
        manifest=explained.document(image.descriptor.digest),
        chains=tuple(_chains(explained)),
        facts=dict(_facts(explained)),
        blobs=dict(_blobs(explained)) if contents else {},
        contents=contents,
        other=None if other is None else other.explanation,
        efficiency=dive_score(explained.stories()).efficiency,
        first_build=FIRST_BUILD,
        language=language,
        version=__version__,
    )


def _chains(explained: Explained) -> Iterator[Chain]:
    explanation = explained.explanation
    own = tuple(range(len(explanation.own)))
    yield Chain(own, explained.stories(own))
    last: dict[str, ExplainedStep] = {}
    for step in explanation.steps:
        if any(not explanation.layers[at].in_image for at in step.layers):
            last[step.stage] = step
    for step in last.values():
        stack = explained.stack_of(step)
        yield Chain(stack, explained.stories(stack))


def _facts(explained: Explained) -> Iterator[tuple[int, StepFacts]]:
    earlier = _Earlier(explained)
    reasons = _reasons(explained)
    for number, step in enumerate(explained.explanation.steps):
        preimage = explained.preimage(step)
        if preimage is None:
            continue
        was = earlier.key(step) if step.cache == "ran" and step.reason != FIRST_BUILD else None
        before = None if was is None else explained.store.records.preimage(was)
        said = reasons.get((step.stage, step.number), ())
        yield number, StepFacts(preimage, before or b"", said, tuple(_files(explained.facts(step))))


def _reasons(explained: Explained) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return for each step, by stage and number, all that was different."""
    if explained.record is None:
        return {}
    steps = (each for each in why(explained.record) if each.node.platform == explained.explanation.platform)
    return {(each.node.stage, each.node.number): tuple(one.words for one in each.differences) for each in steps}


class _Earlier:
    """Finds the record that a step was compared with: the newest older one of the same place."""

    def __init__(self, explained: Explained) -> None:
        self._records = explained.store.records
        self._places: dict[str, list[Digest]] | None = None
        self._of: dict[Digest, str] = {}

    def key(self, step: ExplainedStep) -> Digest | None:
        if self._places is None:
            self._places = {}
            for key, _, _, place in self._records.walk():
                self._places.setdefault(place, []).append(key)
                self._of[key] = place
        own = Digest(step.key)
        record = self._records.find(own)
        if record is None:
            return None
        others = [self._records.find(key) for key in self._places.get(self._of.get(own, ""), ()) if key != own]
        older = [other for other in others if other is not None and other.created < record.created]
        return max(older, key=lambda other: other.created).key if older else None


def _files(facts: Facts) -> Iterator[str]:
    left = _MAX_FILES
    for seen in facts.seen:
        if seen.context is None or not seen.lines:
            continue
        for entry in described(seen.lines)[:left]:
            if entry.kind != "directory":
                left -= 1
                yield seen.path_of(entry.path)


def _blobs(explained: Explained) -> Iterator[tuple[int, bytes]]:
    for at, descriptor in enumerate(explained.image.manifest.layers):
        if descriptor.size <= MAX_BLOB_BYTES:
            try:
                yield at, explained.store.blobs.read(descriptor.digest, MAX_BLOB_BYTES)
            except PybuildError:
                continue  # it is not here, which the explanation says
