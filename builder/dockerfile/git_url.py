"""Git references in URLs: which repository, which commit, which folder of it.

    https://host/path.git  git://host/path  ssh://[user@]host/path  user@host:path       the repository
        #REF[:SUBDIR]                                                                    fragment form
        ?ref= tag= branch= subdir= checksum=|commit= keep-git-dir[=] submodules[=]
         mtime=checkout|commit fetch-by-commit[=]                                        query form

An HTTP(S) URL is a repository only when its path ends in `.git`. The rules are those of BuildKit's Dockerfile frontend;
`github.com/owner/repository` without a scheme counts for build contexts only, where it can't be a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import unquote, unquote_plus

from builder.truth import truth_of
from builder.web.address import AddressError, parse_address

SCHEMES = ("http", "https", "ssh", "git")
_SCHEME = re.compile(r"([A-Za-z0-9]+)://")
_SCP = re.compile(
    r"(?P<remote>[A-Za-z0-9_-]+@[A-Za-z0-9.-]+:[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?", re.S
)
_URL = re.compile(r"(?P<remote>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?", re.S)
_NO_ARGUMENT = re.compile("[\x00-\x1f\x7f\ud800-\udbff]")
_MTIMES: dict[str, Literal["checkout", "commit"]] = {"checkout": "checkout", "commit": "commit"}
_FLAGS = frozenset({"submodules", "keep-git-dir", "fetch-by-commit"})


class GitReferenceError(ValueError):
    """A URL that names a repository, but in a way that contradicts itself or that nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitReference:
    """What a git URL says. None means that it says nothing."""

    remote: str
    reference: str = ""
    subdirectory: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool | None = None
    mtime: Literal["checkout", "commit"] = "checkout"
    fetch_by_commit: bool = False


def parse_git_ref(text: str, *, context: bool = False) -> GitReference | None:
    """Read a git URL; None when `text` is none. Raises GitReferenceError for a query that makes no sense."""
    if text.startswith(("./", "../", "/")):
        return None
    match = _parts(text, context)
    if match is None:
        return None
    found = _with_fragment(GitReference(remote=match["remote"]), match["fragment"] or "")
    found = _with_query(found, match["query"] or "")
    _check(found)
    return found


def _check(found: GitReference) -> None:
    """Refuse what git could not be asked for: addresses without a meaning, and characters no argument can hold."""
    for text in (found.remote, found.reference, found.subdirectory, found.checksum):
        if _NO_ARGUMENT.search(text):
            raise GitReferenceError("a control character, or half of a surrogate pair, stands in it")
    try:
        if "://" in found.remote:
            parse_address(found.remote, SCHEMES)
    except AddressError as error:
        raise GitReferenceError(str(error)) from error


def _parts(text: str, context: bool) -> re.Match[str] | None:
    if scheme := _SCHEME.match(text):
        match = _URL.fullmatch(text)
        name = scheme.group(1).lower()
        if match is None or name not in SCHEMES:
            return None
        return match if name in ("ssh", "git") or match["remote"].endswith(".git") else None
    if context and text.startswith("github.com/"):
        return _URL.fullmatch(text)
    return _SCP.fullmatch(text)


def _with_fragment(found: GitReference, fragment: str) -> GitReference:
    reference, _, subdirectory = unquote(fragment).partition(":")
    return replace(found, reference=reference, subdirectory=subdirectory)


def _with_query(found: GitReference, query: str) -> GitReference:
    values: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name in values:
            raise GitReferenceError(f'query "{name}" has multiple values')
        values[name] = unquote_plus(value)
        if not values[name] and name not in _FLAGS:
            raise GitReferenceError(f'query "{name}" has no value')
    for name, value in values.items():
        found = _with_option(found, name, value)
    found = _with_tag_or_branch(found, values.get("tag", ""), values.get("branch", ""))
    return replace(found, reference=found.reference or found.checksum)


def _with_option(found: GitReference, name: str, value: str) -> GitReference:
    match name:
        case "ref":
            return replace(found, reference=_same("ref", found.reference, value))
        case "subdir":
            return replace(found, subdirectory=_same("subdir", found.subdirectory, value))
        case "checksum" | "commit":
            return replace(found, checksum=_same("checksum", found.checksum, value))
        case "keep-git-dir":
            return replace(found, keep_git_dir=_boolean(name, value))
        case "submodules":
            return replace(found, submodules=_boolean(name, value))
        case "fetch-by-commit":
            return replace(found, fetch_by_commit=_boolean(name, value))
        case "mtime":
            if value not in _MTIMES:
                raise GitReferenceError(f'invalid mtime value: "{value}"')
            return replace(found, mtime=_MTIMES[value])
        case "tag" | "branch":
            return found
    raise GitReferenceError(f'unexpected query "{name}"')


def _with_tag_or_branch(found: GitReference, tag: str, branch: str) -> GitReference:
    if tag and branch:
        raise GitReferenceError("branch conflicts with tag")
    for prefix, name in (("refs/tags/", tag), ("refs/heads/", branch)):
        if name:
            full = name if name.startswith(prefix) else prefix + name
            found = replace(found, reference=_same("ref", found.reference, full))
    return found


def _same(what: str, old: str, new: str) -> str:
    if old and old != new:
        raise GitReferenceError(f'{what} conflicts: "{old}" vs "{new}"')
    return new


def _boolean(name: str, value: str) -> bool:
    found = truth_of(value or "true")
    if found is None:
        raise GitReferenceError(f'invalid {name} value: "{value}"')
    return found
