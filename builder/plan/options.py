"""What the user asks of a plan besides the Dockerfile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from builder.oci.platform import Platform, host_platform
from builder.plan.step import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The options of one plan; several platforms are several plans."""

    platform: Platform = field(default_factory=host_platform)
    """What to build for (TARGETPLATFORM)."""
    build_platform: Platform = field(default_factory=host_platform)
    """The machine that builds (BUILDPLATFORM)."""
    explicit_platform: bool = False
    """`platform` was asked for: the image says so even when its base says something else."""
    multi_platform: bool = False
    """This plan is one of several, or the result is an index all the same: titles name the platform."""
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    """Name (or index) of the stage to build; empty for the last."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that override those of the Dockerfile."""
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    """Names (or indexes) of stages whose steps run again."""
    network: Network = "default"
    """Where RUN goes that says nothing about its network."""
    named_contexts: Mapping[str, str] = field(default_factory=dict)
    """`--build-context name=value`, values as given."""
    meant: Callable[[str], str] = str
    """What whole name somebody means who writes a short one: a machine may have aliases."""
    hostname: str = ""
    """BUILDKIT_SANDBOX_HOSTNAME of the build args takes its place when empty."""
