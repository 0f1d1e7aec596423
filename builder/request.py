"""What is asked of the engine: the command line with its words parsed. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.plan.step import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Everything a user can ask of a build, as they said it."""

    root: str
    context: str
    dockerfile: str | None = None
    tags: tuple[str, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    build_contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    timestamp: str | None = None
    """Seconds since 1970, `git` for the commit time of the context, None for real times."""
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    jobs: int = 0
    network: Network = "default"
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int | None = None
    ulimits: tuple[tuple[str, int, int], ...] = ()
    allow: frozenset[str] = frozenset()
    isolation: str | None = None
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequest:
    """What `pybuild run` asks for. `entrypoint` and `user` None leave the image's own; an empty entrypoint clears it."""

    root: str
    image: str
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    user: str | None = None
    network: Network = "default"
    hostname: str = ""
    hosts: tuple[tuple[str, str], ...] = ()
    isolation: str | None = None
    platform: str = ""
