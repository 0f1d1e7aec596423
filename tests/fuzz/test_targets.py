"""The targets of the fuzzer pass their seeds, and what was a finding once."""

from __future__ import annotations

import random

import pytest

from builder.context.ignore import State
from tests.fuzz.__main__ import NAMES
from tests.fuzz.seeds import DICTIONARIES, seeds_of
from tests.fuzz.targets import TARGETS, fuzz_ignore, fuzz_tar

CHANGES = 400


@pytest.mark.parametrize("target", NAMES)
def test_seeds_and_old_findings_pass(target: str) -> None:
    seeds = list(seeds_of(target))
    assert seeds
    for seed in seeds:
        TARGETS[target](seed)


@pytest.mark.parametrize("target", NAMES)
def test_seeds_with_random_changes_pass(target: str) -> None:
    chance = random.Random(target)
    seeds = list(seeds_of(target))
    words = [word.encode() for word in DICTIONARIES[target]]
    for _ in range(CHANGES):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            place = chance.randint(0, len(data))
            match chance.randint(0, 3):
                case 0:
                    data[place:place] = chance.choice(words)
                case 1:
                    del data[place : place + chance.randint(1, 8)]
                case 2:
                    data[place : place + 1] = bytes([chance.randint(0, 255)])
                case _:
                    data[place:place] = chance.choice(seeds)[:2000]
        TARGETS[target](bytes(data))


def test_every_target_has_a_name_and_a_dictionary() -> None:
    assert tuple(TARGETS) == NAMES
    assert tuple(DICTIONARIES) == NAMES


def test_a_target_fails_for_what_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.targets.build_index", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fuzz_tar(b"x")
    monkeypatch.setattr("tests.fuzz.targets.IgnorePatterns.state_of", lambda *_: State(excluded=True))
    with pytest.raises(AssertionError):
        fuzz_ignore(b"nothing\0else")
