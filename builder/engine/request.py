"""What is asked of the engine: the command line with its words parsed. Values only.

NamedTuples, as everything that a build without changes needs: dataclasses would be a third of its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from builder.oci.canonical import Document, JsonObject
from builder.oci.run_options import NO_OPTIONS, RunOptions

if TYPE_CHECKING:
    from builder.oci.annotations import Annotation
    from builder.plan.step import Network


_NONE: Document = MappingProxyType({})


class BuildRequest(NamedTuple):
    """Everything a user can ask of a build, as they said it."""

    root: str
    context: str
    dockerfile: str | None = None
    tags: tuple[str, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = _NONE
    build_contexts: Mapping[str, str] = _NONE
    labels: Mapping[str, str] = _NONE
    platforms: tuple[str, ...] = ()
    timestamp: str | None = None
    """Seconds since 1970, `git` for the commit time of the context, None for real times."""
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    jobs: int = 0
    network: Network = "default"
    secrets: Mapping[str, bytes] = _NONE
    ssh: Mapping[str, str] = _NONE
    run: RunOptions = NO_OPTIONS
    allow: frozenset[str] = frozenset()
    isolation: str | None = None
    outputs: tuple[str, ...] = ()
    large_layers: bool = False
    annotations: tuple[Annotation, ...] = ()

    def plan_inputs(self) -> JsonObject:
        """Return, as JSON, all of the request that a plan can depend on."""
        return {
            "target": self.target,
            "build_args": dict(self.build_args),
            "build_contexts": dict(self.build_contexts),
            "labels": dict(self.labels),
            "platforms": list(self.platforms),
            "no_cache": self.no_cache,
            "no_cache_filter": list(self.no_cache_filter),
            "network": self.network,
        }

    def __repr__(self) -> str:
        """Leave out the secrets."""
        # Whoever prints a request, a debugger or a log, must not print these.
        shown = (f"{name}={value!r}" for name, value in self._asdict().items() if name != "secrets")
        return f"BuildRequest({', '.join(shown)})"
