"""The plan: steps in an order that can be executed, and the image that the target becomes.

History is given with the id of the step that makes the layer; assembling fills in `created`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from builder.errors import Location
from builder.oci.config import ImageConfig
from builder.oci.platform import Platform
from builder.plan.step import ContextSource, CopyOp, GitSource, HttpSource, Op, Step, StepID


@dataclass(frozen=True, slots=True)
class Warning:
    """Something that is not wrong but worth a line. `rule` is the build check's name, or empty."""

    rule: str
    message: str
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class PlannedHistory:
    """A history record to be. `step` makes its layer; None means the record is an `empty_layer` one."""

    created_by: str
    step: StepID | None = None
    comment: str = "pybuild.dockerfile.v0"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedImage:
    """What the target becomes: the base's config with this build's changes, and the history to add.

    `config.diff_ids` and `config.history` are those of the base image; the layers of `result` follow from the solver.
    """

    result: StepID | None
    """The last step of the stage; None when it is empty (FROM scratch alone)."""
    config: ImageConfig
    history: tuple[PlannedHistory, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    steps: tuple[Step[Op], ...]
    image: PlannedImage
    platform: Platform
    target: str = ""
    warnings: tuple[Warning, ...] = ()
    inputs: tuple[tuple[str, str, str], ...] = ()
    """(reference, platform, manifest digest) of every image resolved: the plan holds as long as these do."""
    short_names: tuple[tuple[str, str], ...] = ()
    """Names of images without a registry, each with what it was taken for: the plan holds as long as they mean that."""
    unused_build_args: tuple[str, ...] = ()
    contexts: tuple[str, ...] = field(default=())
    """Names of the build contexts that are read; "" is the main one."""
    epoch: str = ""
    """SOURCE_DATE_EPOCH, from a build arg or a global ARG: seconds since 1970, in digits; empty for none."""
    epoch_source: ContextSource | HttpSource | GitSource | None = None
    """What `epoch` is the time of: the plan holds as long as it is."""
    hostname: str = ""
    """What RUN sees as its host name; empty for the default."""
    stages: tuple[tuple[int, str, str], ...] = ()
    """(index, image reference or "", platform) of every stage that is built."""
    skipped: tuple[str, ...] = ()
    """Names of the stages that are not: nothing of the target needs them."""

    @property
    def holds_credentials(self) -> bool:
        """Say whether an address in it has a user or password: such a plan must not be kept anywhere."""
        remotes = [source for step in self.steps if isinstance(step.op, CopyOp) for source in step.op.sources]
        return any(
            # Rather too often: an "@" in a path spoils nothing but the plan's being kept.
            "@" in (source.url if isinstance(source, HttpSource) else source.remote).partition("://")[2]
            for source in [*remotes, self.epoch_source]
            if isinstance(source, HttpSource | GitSource)
        )
