"""Two steps of one build with the same key: the second takes what the first has made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from builder.linux.cancel import Cancel
from builder.oci.digest import Digest, digest_of
from builder.solve.events import ignore_events
from builder.solve.keyed_step import KeyedStep
from builder.solve.solver import _Solver

KEY = digest_of(b"the key of both")


class LandsInBetween(_Solver):
    """A solver whose other thread puts its record, and lets go of the key, right after this one has looked."""

    looks: list[bool]

    def _hit(self, keyed_step: KeyedStep) -> bool:
        self.looks.append(KEY in self._flight)
        return len(self.looks) > 1


def key_of_step() -> Digest:
    return KEY


def test_a_step_that_takes_a_key_looks_for_it_once_more() -> None:
    solver = LandsInBetween(cast(Any, None), cast(Any, None), ignore_events, 1, Cancel())
    solver.looks = []
    step = cast(KeyedStep, SimpleNamespace(key=key_of_step, step=SimpleNamespace(no_cache=False)))
    assert solver._found_or_mine(step), "what landed after the first look was made a second time"
    assert solver.looks == [False, True], "the second look is one that nobody else can land behind"
    assert not solver._flight, "a key that is not made must be let go of"
