"""Names for containers that were given none: an adjective and somebody who laid a stone of this house."""

from __future__ import annotations

import random
from collections.abc import Collection

_ADJECTIVES = (
    "able", "amber", "brave", "bright", "brisk", "calm", "candid", "cheerful", "clever", "curious", "daring", "eager",
    "earnest", "fond", "frank", "gentle", "glad", "golden", "happy", "honest", "humble", "jolly", "keen", "kind",
    "lively", "lucid", "merry", "mellow", "modest", "nimble", "patient", "placid", "quick", "quiet", "ready", "serene",
    "sharp", "silver", "sincere", "steady", "sunny", "swift", "tidy", "tender", "vivid", "warm", "wise", "witty",
)  # fmt: skip
_NAMES = (
    "allen", "backus", "bartik", "blum", "boole", "borg", "cerf", "church", "codd", "conway", "curry", "diffie",
    "dijkstra", "easley", "erdos", "estrin", "euler", "floyd", "gauss", "goldwasser", "hamilton", "hamming", "hoare",
    "holberton", "hopper", "iverson", "johnson", "kay", "keller", "kleene", "knuth", "lamport", "liskov", "lovelace",
    "mcnulty", "merkle", "micali", "naur", "noether", "perlman", "pike", "postel", "ritchie", "shannon", "sinclair",
    "thompson", "turing", "wilkes", "wirth", "zuse",
)  # fmt: skip


def random_name(taken: Collection[str]) -> str:
    """Return a name that is not `taken`; with a number, once the plain ones have become rare."""
    number = 0
    while True:
        name = f"{random.choice(_ADJECTIVES)}_{random.choice(_NAMES)}{number or ''}"
        if name not in taken:
            return name
        number += 1
