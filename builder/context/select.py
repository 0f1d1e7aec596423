"""Words of a COPY → what they name in a tree: literal paths, wildcards, and the filters of --exclude and --parents.

    COPY a b/*.txt d/      a: itself, or an error; b/*.txt: each match; a directory stands for its contents
    --parents x/./y/*      below x: what matches y/*, under the name it has there
    --exclude=*.o          not what matches, relative to each directory that is copied

The last name of a path may be a symbolic link, which is followed inside the tree; so may those before a wildcard. What
lies below a directory is taken as it is (C-9 … C-12, C-20, C-21 of BuildKit's copying).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

from builder.context.glob import PatternError, has_wildcards, match_glob, parse_glob
from builder.context.ignore import IgnorePatterns, State, exclude_patterns
from builder.context.paths import inside_root, join, leads_out, name_of, parent_of
from builder.context.tree import Node, Prune, Tree
from builder.context.walk import Found, seen, walk_ignored
from builder.errors import ContextError
from builder.filesystem.entry import DIRECTORY, SYMLINK, Entry
from builder.suggest import most_alike

_LOOKED_AT = 20_000
"""The most entries that are searched for a name: all of a project, and a moment's worth of an image."""
PIVOT = "/./"
"""What --parents keeps begins after the first of these."""


class Match(NamedTuple):
    """What one word, or one match of a wildcard, names. `path` is canonical; `name` is what it was called."""

    path: str
    name: str
    entry: Entry
    node: Node | None = None
    """The file, when it has been listed already."""


def find_matches(tree: Tree, word: str) -> Iterator[Match]:
    """Yield what `word` names in `tree`, in tree order; a wildcard may match nothing.

    Raises ContextError when a literal path, or what stands before the first wildcard, is missing.
    """
    path = inside_root(word)
    if not has_wildcards(path):
        yield _follow(tree, path, word)
        return
    names = path.split("/")
    first = next(position for position, name in enumerate(names) if has_wildcards(name))
    # What stands before the first wildcard is a path like others: links in it are followed, and it must be there.
    base = _follow(tree, "/".join(names[:first]), word).path
    for node in _expand(tree, base, names[first:]):
        found = node.entry.path
        if node.entry.kind == SYMLINK:
            # A match may be a link, and is followed as a literal path is (C-12); one that dangles is an error.
            yield _follow(tree, found, found)
        else:
            yield Match(found, name_of(found), node.entry, None if node.entry.kind == DIRECTORY else node)


def split_pivot(word: str) -> tuple[str, str]:
    """Return the directory a word of --parents starts from, and the pattern below it, both cleaned."""
    base, pivot, pattern = word.partition(PIVOT)
    return (inside_root(base), inside_root(pattern)) if pivot else ("", inside_root(word))


def find_below(tree: Tree, base: Match, pattern: str, exclude: IgnorePatterns) -> Iterator[Node]:
    """Yield what --parents takes for `pattern` below the directory `base`: matches, all below them, all above them.

    Raises ContextError when a literal path is missing.
    """
    # Only without wildcards, as BuildKit has it (dispatchCopy, requiredPaths).
    if pattern and not has_wildcards(pattern) and tree.find(join(base.path, pattern)) is None:
        raise missing(tree, join(base.path, pattern))
    include = exclude_patterns([pattern], "COPY --parents") if pattern else None
    return filtered(tree, base.path, exclude, include)


def filtered(tree: Tree, root: str, exclude: IgnorePatterns, include: IgnorePatterns | None = None) -> Iterator[Node]:
    """Yield what is below the directory `root` and not excluded, and of that, given `include`, only what it matches.

    Directories that are not taken themselves appear when something below them is.
    """
    # Nothing to decide, for nearly every COPY: the walk is passed on as it is.
    if not exclude and include is None:
        nodes = tree.walk(root)
        next(nodes, None)
        yield from nodes
        return
    rules = _Selection(len(root) + 1 if root else 0, exclude, include)
    shown = seen(walk_ignored(partial(_found, tree, root), rules, _Selected(False)))
    next(shown, None)  # the directory itself
    for _, _, node in shown:
        yield node


def _found(tree: Tree, root: str, prune: Prune) -> Iterator[Found[Node]]:
    return ((node.entry.path, node.entry.kind == DIRECTORY, node) for node in tree.walk(root, prune=prune))


class _Selected(NamedTuple):
    """The state of a path under both sets of patterns."""

    excluded: bool
    by_exclude: State = IgnorePatterns.ROOT
    by_include: State = IgnorePatterns.ROOT


class _Selection(NamedTuple):
    """The rules of a copy, for a walk: left out is what `exclude` names, and what `include` doesn't.

    Patterns are of paths below the directory that is copied: the first `cut` characters are its own.
    """

    cut: int
    exclude: IgnorePatterns
    include: IgnorePatterns | None

    def enter(self, path: str, above: _Selected) -> _Selected:
        path = path[self.cut :]
        excluded = self.exclude.enter(path, above.by_exclude)
        # `enter` gives the same value back where nothing changes, and so does this: few files have one made.
        if self.include is None:
            return above if excluded is above.by_exclude else _Selected(excluded.excluded, excluded)
        # Patterns to include are written like those to exclude, so what they name is what they "exclude".
        included = self.include.enter(path, above.by_include)
        return _Selected(excluded.excluded or not included.excluded, excluded, included)

    def may_reinclude_below(self, path: str, state: _Selected) -> bool:
        path = path[self.cut :]
        if state.by_exclude.excluded and not self.exclude.may_reinclude_below(path, state.by_exclude):
            return False
        return self.include is None or state.by_include.excluded or self.include.may_match_below(path)


def _expand(tree: Tree, base: str, names: list[str]) -> Iterator[Node]:
    """Yield what the patterns `names` match below `base`; links on the way are not followed."""
    try:
        tokens = parse_glob(names[0])
    except PatternError as error:
        raise ContextError(
            f"{names[0]!r} is not a pattern: {error}", hint="Write [[] for a bracket that is part of a name."
        ) from error
    for node in tree.walk(base, deep=False):
        if not match_glob(tokens, name_of(node.entry.path)):
            continue
        if len(names) == 1:
            yield node
        elif node.entry.kind == DIRECTORY:
            yield from _expand(tree, node.entry.path, names[1:])


def _follow(tree: Tree, path: str, word: str) -> Match:
    resolved = tree.resolve(path)
    entry = tree.find(resolved)
    if entry is None and leads_out(word):
        hint = f"{word} leads out of what is copied from: it ends at its root."
        raise ContextError(f'"/{path}": not found', hint=hint)
    if entry is None:
        raise missing(tree, path)
    return Match(resolved, name_of(path), entry)


def missing(tree: Tree, path: str) -> ContextError:
    """Return the error for a source that is not there, with what the user may have meant (C-11)."""
    message = f'"/{path}": not found'
    if rule := tree.hidden_by(path):
        return ContextError(message, hint=f"It exists, but is excluded by {rule}")
    return ContextError(message, hint=_advise(tree, path))


def _advise(tree: Tree, path: str) -> str:
    """Return a hint: what is there in place of the first missing name, or another directory with the last one."""
    names = path.split("/")
    for depth in range(len(names)):
        if tree.find(tree.resolve("/".join(names[: depth + 1]))) is not None:
            continue
        above = tree.resolve("/".join(names[:depth]))
        entry = tree.find(above)
        if entry is not None and entry.kind != DIRECTORY:
            return f'"{"/".join(names[:depth])}" is a {entry.kind}, not a directory.'
        link = tree.find(join(above, names[depth]))
        if link is not None and link.kind == SYMLINK:
            return _advise_of_link(tree, names[: depth + 1], whole=depth + 1 == len(names), link=link)
        there = [name_of(node.entry.path) for node in tree.walk(above, deep=False)]
        near = most_alike(names[depth], there, case_sensitive=False)
        found = "/".join([*names[:depth], near, *names[depth + 1 :]]) if near else _elsewhere(tree, names[-1])
        return f'Did you mean "{found}"?' if found else ""
    return _advise_of_way(tree, names)


def _advise_of_link(tree: Tree, names: list[str], *, whole: bool, link: Entry) -> str:
    """Return a hint for a dangling link: it leads out of the source, to something hidden, or nowhere."""
    shown = "It" if whole else f'"{"/".join(names)}"'
    end = tree.resolve("/".join(names))
    if rule := tree.hidden_by(end):
        return f'{shown} is a symbolic link to {link.link!r}; "{end}" exists, but is excluded by {rule}'
    if link.link.startswith("/") or leads_out(join(parent_of(link.path), link.link)):
        return f"{shown} is a symbolic link to {link.link!r}, which is not inside the source."
    return f'{shown} is a symbolic link to {link.link!r} that dangles: there is no "{end}" inside the source.'


def _advise_of_way(tree: Tree, names: list[str]) -> str:
    """Return a hint for a path that exists once links are followed: the link in its way."""
    for depth in range(1, len(names)):
        entry = tree.find("/".join(names[:depth]))
        if entry is not None and entry.kind == SYMLINK:
            real = tree.resolve("/".join(names))
            return f'"{"/".join(names[:depth])}" is a symbolic link, which is not followed here: name "{real}".'
    return ""


def _elsewhere(tree: Tree, name: str) -> str:
    """Return the first path of that name; only so much of the tree is looked at."""
    for node in islice(tree.walk(""), _LOOKED_AT):
        if name_of(node.entry.path) == name:
            return node.entry.path
    return ""
