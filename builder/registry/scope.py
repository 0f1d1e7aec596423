"""What a token is for: texts like `repository:team/app:pull,push` (distribution: token scope specification)."""

from __future__ import annotations

from collections.abc import Iterable

Scopes = tuple[str, ...]
"""Texts of one resource each, in the order to ask for them."""

CATALOG: Scopes = ("registry:catalog:*",)


def repository_scopes(repository: str, actions: str) -> Scopes:
    """Return the scopes for `actions` ("pull,push") on one repository."""
    return (f"repository:{repository}:{actions}",)


def parse_scopes(text: str) -> Scopes:
    """Return what the `scope` of a challenge asks for: scopes with spaces between."""
    return tuple(text.split())


def merged(scopes: Iterable[str]) -> Scopes:
    """Return one scope a resource, with all the actions that were asked on it."""
    actions: dict[str, dict[str, None]] = {}
    for scope in scopes:
        resource, _, some = scope.rpartition(":")
        if resource:
            actions.setdefault(resource, {}).update(dict.fromkeys(some.split(",")))
    return tuple(f"{resource}:{','.join(some)}" for resource, some in actions.items())


def grants(scopes: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Return the pairs of resource and action."""
    return frozenset(
        (resource, action)
        for resource, _, actions in (scope.rpartition(":") for scope in scopes)
        for action in actions.split(",")
    )
