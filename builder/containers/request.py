"""What is asked of a container: the command line of `pybuild run` with its words parsed. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from builder.oci.run_options import NO_OPTIONS, RunOptions
from builder.plan.step import Network
from builder.store.container_record import ContainerMount


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequest:
    """An image, the process to run from it, and what surrounds that process."""

    root: str
    """Path of the store."""
    image: str
    """A name, which is pulled when it isn't here, or an image ID."""
    name: str = ""
    """Empty for one of our own choice."""
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    """None leaves the image's, an empty one clears it."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of the image, and instead of them."""
    labels: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    user: str | None = None
    """None leaves the image's."""
    network: Network = "default"
    hostname: str = ""
    """Empty for the beginning of the container's ID, as docker has it."""
    options: RunOptions = NO_OPTIONS
    mounts: tuple[ContainerMount, ...] = ()
    isolation: str | None = None
    platform: str = ""
    """Empty for this machine's."""
    init: bool = False
    """Whether the command gets a process 1 above it that reaps and passes signals on."""
    remove: bool = False
    """Whether the container goes when its command has ended (--rm)."""
    large_layers: bool = False
