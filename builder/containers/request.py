"""What is asked of a container: the command line of `pybuild run` with its words parsed. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from builder.oci.run_options import NO_OPTIONS, RunOptions
from builder.plan.step import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequest:
    """An image, the process to run from it, and what surrounds that process."""

    root: str
    """Path of the store."""
    image: str
    """A name, which is pulled when it isn't here, or an image ID."""
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    """None leaves the image's, an empty one clears it."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of the image, and instead of them."""
    workdir: str = ""
    user: str | None = None
    """None leaves the image's."""
    network: Network = "default"
    hostname: str = ""
    options: RunOptions = NO_OPTIONS
    isolation: str | None = None
    platform: str = ""
    """Empty for this machine's."""
    init: bool = False
    """Whether the command gets a process 1 above it that reaps and passes signals on."""
    large_layers: bool = False
