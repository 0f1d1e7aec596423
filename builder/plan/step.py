"""The nodes of the plan: what makes file systems, and from what.

    Step = op (what it does) on top of a parent, with a label (what people are shown of it)

    ImageOp     an image's layers           (FROM image, COPY --from=image, a named context that is an image)
    RunOp       a command                   → one layer
    CopyOp      sources + where             → one layer       (COPY, ADD)
    WorkdirOp   a directory                 → one layer

`parent` None is the empty file system (scratch). Ids are positions in `Plan.steps`, so a plan is a list in an order
that can be executed. Every value here goes through `to_json`/`from_json` unchanged: plans are kept beside the cache.
Labels are presentation and reach no cache key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, NewType, TypeGuard, TypeVar

from builder.errors import Location
from builder.oci.platform import Platform

StepID = NewType("StepID", int)
Network = Literal["default", "host", "none"]


Variables = tuple[tuple[str, str, str], ...]
"""(field of the step, name, value) of the variables that its words use: presentation, as titles are."""


@dataclass(frozen=True, slots=True)
class ContextSource:
    """A build context: the main one ("") or a named one (--build-context name=directory)."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class StepSource:
    """The file system after another step; None is the empty one (`COPY --from=` a scratch stage)."""

    step: StepID | None


Read = tuple[ContextSource | StepSource, str]
"""What an op reads beside its parent: a tree, and the path or pattern in it."""


@dataclass(frozen=True, slots=True)
class InlineSource:
    """A heredoc of COPY or ADD: a file `name` with `content`, already expanded."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class HttpSource:
    """ADD of a URL; `checksum` is a digest or empty."""

    url: str
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """ADD of a repository. `reference` is a branch, tag or commit, empty for HEAD."""

    remote: str
    reference: str = ""
    subdirectory: str = ""
    checksum: str = ""
    keep_git_dir: bool = False
    # As BuildKit: a repository comes with its submodules, unless its URL says otherwise (C-24).
    submodules: bool = True
    mtime: Literal["checkout", "commit"] = "checkout"
    fetch_by_commit: bool = False


@dataclass(frozen=True, slots=True)
class Paths:
    """What to take from a tree: paths or patterns, expanded, relative to its root; a leading slash means nothing."""

    source: ContextSource | StepSource
    paths: tuple[str, ...]
    # Not compared: two stages with the same COPY have one step, though it stands in two places.
    places: tuple[Location, ...] = field(default=(), compare=False)
    """Where in the Dockerfile each path stands."""
    origins: tuple[str, ...] = field(default=(), compare=False)
    """What the variables in each path hold, and who set them, in words; "" for a path without any."""


CopySource = Paths | InlineSource | HttpSource | GitSource


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    source: ContextSource | StepSource
    subpath: str
    target: str
    readonly: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMount:
    """`identifier` names the directory; `base` seeds a new one. `mode` None keeps 0755."""

    identifier: str
    target: str
    sharing: Literal["shared", "private", "locked"] = "shared"
    base: ContextSource | StepSource | None = None
    subpath: str = ""
    readonly: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    target: str
    size: int | None = None
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretMount:
    """A secret as a file (`target` set), as a variable (`variable` set), or both."""

    identifier: str
    target: str = ""
    variable: str = ""
    required: bool = False
    # The Dockerfile reference's default, as is that of an agent's socket below.
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SshMount:
    identifier: str
    target: str
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Mount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOp:
    """The layers of an image. `manifest_digest` pins what the resolver found for `reference`."""

    reference: str
    manifest_digest: str
    platform: Platform

    def reads(self) -> Iterator[Read]:
        """Yield nothing: an image stands on nothing of the build."""
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOp:
    argv: tuple[str, ...]
    env: tuple[str, ...]
    """K=V, ENV and ARG values of the stage, in order."""
    proxy_env: tuple[str, ...] = field(default=(), compare=False)
    """Proxy variables: the command sees them, the cache key doesn't (A-7)."""
    arguments: tuple[str, ...] = field(default=(), compare=False)
    """Names of those in `env` that an ARG declares and no ENV sets: presentation, as titles are."""
    user: str = ""
    cwd: str = "/"
    mounts: tuple[Mount, ...] = ()
    network: Network = "default"
    security: Literal["sandbox", "insecure"] = "sandbox"
    script: str = ""
    """Body of a `#!` heredoc; `script_path` is where the command finds it."""
    script_path: str = ""
    platform: Platform

    def reads(self) -> Iterator[Read]:
        """Yield what its mounts show."""
        for mount in self.mounts:
            if isinstance(mount, BindMount):
                yield mount.source, mount.subpath
            elif isinstance(mount, CacheMount) and mount.base is not None:
                yield mount.base, mount.subpath


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOp:
    """COPY and ADD. `destination` is absolute; a trailing slash says it is a directory."""

    sources: tuple[CopySource, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    is_add: bool = False
    variables: Variables = field(default=(), compare=False)
    """Those that the words of its destination, sources, owner and mode use."""
    unpack: bool | None = None
    """ADD only: None unpacks local archives, True also remote ones, False none."""

    @property
    def is_remote(self) -> bool:
        """Whether ADD fetches something from another machine."""
        return any(isinstance(source, HttpSource | GitSource) for source in self.sources)

    def reads(self) -> Iterator[Read]:
        """Yield what its sources name in contexts and file systems of steps."""
        for source in self.sources:
            if isinstance(source, Paths):
                yield from ((source.source, path) for path in source.paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkdirOp:
    path: str
    user: str = ""
    variables: Variables = field(default=(), compare=False)

    def reads(self) -> Iterator[Read]:
        """Yield nothing: only the parent counts."""
        yield from ()


LayerOp = RunOp | CopyOp | WorkdirOp
"""What makes a layer of its own."""
Op = ImageOp | LayerOp

OpT = TypeVar("OpT", bound=Op)
OpT_co = TypeVar("OpT_co", bound=Op, covariant=True)


class StepLabel(NamedTuple):
    """What people are shown of a step."""

    stage: str = ""
    """Name of the stage, or `stage-N`."""
    title: str = ""
    """What displays show: `[stage 2/5] RUN make`."""
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[OpT_co]):
    """An op in its place. Parent and op say what is made: no two steps of a plan share both, but for `no_cache`."""

    id: StepID
    parent: StepID | None = None
    op: OpT_co
    label: StepLabel = field(default=StepLabel(), compare=False)
    # Not compared, as no key has it; step_table.py asks for it apart.
    no_cache: bool = field(default=False, compare=False)
    """Executed whatever the cache has."""

    @property
    def title(self) -> str:
        """The title of its label: a public name (docs/api.md)."""
        return self.label.title


RunStep = Step[RunOp]
CopyStep = Step[CopyOp]
WorkdirStep = Step[WorkdirOp]
ImageStep = Step[ImageOp]
LayerStep = Step[LayerOp]
"""For signatures: whether a step is one of them, `does` and `makes_layer` say."""


def does(step: Step[Op], kind: type[OpT]) -> TypeGuard[Step[OpT]]:
    """Say whether the op of `step` is of that kind."""
    return isinstance(step.op, kind)


def makes_layer(step: Step[Op]) -> TypeGuard[LayerStep]:
    """Say whether `step` makes a layer of its own, and does not load those of an image."""
    return not isinstance(step.op, ImageOp)


def dependencies(step: Step[Op]) -> tuple[StepID, ...]:
    """Return the ids of the steps whose results `step` reads: its parent, copied trees, mounted trees."""
    found = () if step.parent is None else (step.parent,)
    return tuple(dict.fromkeys((*found, *steps_read(step))))


def steps_read(step: Step[Op]) -> Iterator[StepID]:
    """Yield the ids of the steps whose trees `step` copies from or mounts; its parent may be one of them."""
    for source, _ in step.op.reads():
        if isinstance(source, StepSource) and source.step is not None:
            yield source.step
