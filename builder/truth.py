"""Go's words for true and false (strconv.ParseBool): by them docker and BuildKit read switches, keys and arguments."""

from __future__ import annotations

TRUE_WORDS, FALSE_WORDS = ("true", "1", "t"), ("false", "0", "f")
"""In lower case, the commonest first. Go takes each also in capitals, or with one in front."""

_TRUE, _FALSE = (
    frozenset(form for word in words for form in (word, word.upper(), word.title()))
    for words in (TRUE_WORDS, FALSE_WORDS)
)


def truth_of(text: str) -> bool | None:
    """Return what Go reads as true and false; None for anything else."""
    return True if text in _TRUE else False if text in _FALSE else None
