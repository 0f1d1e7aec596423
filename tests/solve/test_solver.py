"""Two steps of one build with the same key: the second takes what the first has made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from builder.oci.digest import Digest, digest_of
from builder.solve.cached_steps import CachedSteps
from builder.solve.keyed_step import KeyedStep
from builder.solve.making import Making

KEY = digest_of(b"the key of both")


class LandsInBetween(CachedSteps):
    """A cache in which another thread puts its record, and lets go of the key, right after this one has looked."""

    looks: list[bool]
    making: Making

    def hit(self, keyed_step: KeyedStep) -> bool:
        self.looks.append(KEY in self.making._flight)
        return len(self.looks) > 1


def key_of_step() -> Digest:
    return KEY


def test_a_step_that_takes_a_key_looks_for_it_once_more() -> None:
    cached = LandsInBetween(cast(Any, None))
    cached.looks = []
    cached.making = making = Making(cast(Any, None), cast(Any, None), cached)
    step = cast(KeyedStep, SimpleNamespace(key=key_of_step, step=SimpleNamespace(no_cache=False)))
    assert making._found_or_mine(step), "what landed after the first look was made a second time"
    assert cached.looks == [False, True], "the second look is one that nobody else can land behind"
    assert not making._flight, "a key that is not made must be let go of"
