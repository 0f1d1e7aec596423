"""One walk through a tree with ignore rules, and the filter that leaves what a build sees of it.

    walk_ignored ──▶ (a, state) (a/x, state) …     everything that is reached, with what is decided of it
    seen         ──▶ a/x                            without what is excluded; a directory above what is seen is seen

Excluded directories are entered only where an exception may bring something back. Rules are anything that decides from
the root down: IgnorePatterns, or several of them together (select.py). Of the users, context/signature.py has a loop of
its own for speed; tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from builder.context.tree import Prune


class Decided(Protocol):
    """The state of a path."""

    @property
    def excluded(self) -> bool: ...


T = TypeVar("T")
S = TypeVar("S", bound=Decided)

Found = tuple[str, bool, T]
"""A path, whether it is a directory, and what the tree has there. Plain: one is made for each file of a context."""


class Rules(Protocol[S]):
    """What decides of the paths of a tree."""

    def enter(self, path: str, above: S) -> S:
        """Return the state of `path`, given that of its directory."""

    def may_reinclude_below(self, path: str, state: S) -> bool:
        """Say whether something in the excluded directory `path` could be seen."""


def walk_ignored(
    walk: Callable[[Prune], Iterable[Found[T]]], rules: Rules[S], top: S, *, prune: Prune | None = None
) -> Iterator[tuple[Found[T], S]]:
    """Yield what `walk` reaches in tree order, each with its state; the first is where it starts, in the state `top`.

    `walk` yields directories before it asks whether to pass over what they hold. `prune` is asked of those that are not
    excluded.
    """
    # Paths come in tree order, so the directories above one are those entered last whose names it begins with.
    above: list[tuple[str, S]] = []
    closed = False

    def passed_over(path: str) -> bool:
        # Asked right after its directory was yielded, and so decided below: `state` and `closed` are of that one.
        return closed or (not state.excluded and prune is not None and prune(path))

    for found in walk(passed_over):
        path, is_directory, _ = found
        while above and not path.startswith(above[-1][0]):
            above.pop()
        state = rules.enter(path, above[-1][1]) if above else top
        if is_directory:
            above.append((path + "/" if path else "", state))
            closed = state.excluded and not rules.may_reinclude_below(path, state)
        yield found, state


def seen(decided: Iterable[tuple[Found[T], S]]) -> Iterator[Found[T]]:
    """Yield what is not excluded, and excluded directories as soon as something below them is not."""
    held: list[Found[T]] = []  # excluded directories that the walk is in, and that have shown nothing so far
    for found, state in decided:
        path, is_directory, _ = found
        # An excluded file neither shows a directory nor ends one: most of what an ignore file hides costs no more here.
        if held and (is_directory or not state.excluded):
            while held and held[-1][0] and not path.startswith(held[-1][0] + "/"):
                held.pop()
        if not state.excluded:
            if held:
                yield from held
                held.clear()
            yield found
        elif is_directory:
            held.append(found)
