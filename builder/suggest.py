"""What somebody may have meant: "did you mean ENTRYPOINT?".

Two measures. `nearest` is for the words of the language, as BuildKit suggests them: near means a Levenshtein distance
of at most 2, the first of the best wins, and an exact match suggests nothing: then the word was not the mistake.
`most_alike` is for names that people make, of files, tags and images, and for flags: near means that most letters are
the same in the same order, so that `Dockerfile.prod` is near `Dockerfile`, and `2` is not near `1`.
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_DISTANCE = 2
_LONGEST_WORD = 256


def nearest(word: str, known: Iterable[str], *, case_sensitive: bool = True) -> str:
    """Return the known word nearest to `word`, in the casing of `word` unless case matters; "" when none is near."""
    wanted = word if case_sensitive else word.lower()
    best, best_distance = "", MAX_DISTANCE + 1
    for candidate in known:
        other = candidate if case_sensitive else candidate.lower()
        if other == wanted:
            return ""
        distance = levenshtein(wanted, other, best_distance)
        if distance < best_distance:
            best, best_distance = candidate, distance
    return best if case_sensitive or not best else mimic_case(best, word)


def did_you_mean(word: str, known: Iterable[str], *, case_sensitive: bool = True) -> str:
    """Return " (did you mean X?)" or "", to be put after a message."""
    found = nearest(word, known, case_sensitive=case_sensitive)
    return f" (did you mean {found}?)" if found else ""


def most_alike(name: str, names: Iterable[str], *, case_sensitive: bool = True, cutoff: float = 0.6) -> str:
    """Return the name most like `name`, or "" when none has `cutoff` (0 to 1, difflib's ratio) in common with it."""
    from difflib import get_close_matches  # gate: error

    fold = str if case_sensitive else str.lower
    by_fold = {fold(candidate): candidate for candidate in names}
    close = get_close_matches(fold(name), by_fold, n=1, cutoff=cutoff)
    return by_fold[close[0]] if close else ""


def mimic_case(word: str, model: str) -> str:
    """Return `word` in upper case when `model` is, else in lower case."""
    return word.upper() if model == model.upper() else word.lower()


def levenshtein(a: str, b: str, limit: int) -> int:
    """Return the edit distance of two words, or `limit` when it is at least that."""
    if abs(len(a) - len(b)) >= limit or max(len(a), len(b)) > _LONGEST_WORD:
        return limit
    previous = list(range(len(b) + 1))
    for row, left in enumerate(a, 1):
        current = [row]
        for column, right in enumerate(b, 1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (left != right)))
        previous = current
    return min(previous[-1], limit)
