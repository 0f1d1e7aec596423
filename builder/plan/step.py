"""The nodes of the plan: what makes file systems, and from what.

    ImageStep   an image's layers           (FROM image, COPY --from=image, a named context that is an image)
    RunStep     parent + command            → one layer
    CopyStep    parent + sources + where    → one layer       (COPY, ADD)
    WorkdirStep parent + a directory        → one layer

`parent` None is the empty file system (scratch). Ids are positions in `Plan.steps`, so a plan is a list in an order
that can be executed. Every value here goes through `to_json`/`from_json` unchanged: plans are kept beside the cache.
Display text and locations are presentation and reach no cache key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NewType

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
    submodules: bool = True
    mtime: Literal["checkout", "commit"] = "checkout"
    fetch_by_commit: bool = False


@dataclass(frozen=True, slots=True)
class Paths:
    """What to take from a tree: paths or patterns, expanded, relative to its root; a leading slash means nothing."""

    source: ContextSource | StepSource
    paths: tuple[str, ...]
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
class _Step:
    id: StepID
    parent: StepID | None = None
    stage: str = field(default="", compare=False)
    """Name of the stage, or `stage-N`."""
    title: str = field(default="", compare=False)
    """What displays show: `[stage 2/5] RUN make`."""
    location: Location | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStep(_Step):
    """The layers of an image. `manifest_digest` pins what the resolver found for `reference`."""

    reference: str
    manifest_digest: str
    platform: Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep(_Step):
    argv: tuple[str, ...]
    env: tuple[str, ...]
    """K=V, ENV and ARG values of the stage, in order."""
    proxy_env: tuple[str, ...] = field(default=(), compare=False)
    """Proxy variables: the command sees them, the cache key doesn't (A-7)."""
    user: str = ""
    cwd: str = "/"
    mounts: tuple[Mount, ...] = ()
    network: Network = "default"
    security: Literal["sandbox", "insecure"] = "sandbox"
    script: str = ""
    """Body of a `#!` heredoc; `script_path` is where the command finds it."""
    script_path: str = ""
    platform: Platform
    no_cache: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyStep(_Step):
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
    no_cache: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkdirStep(_Step):
    path: str
    user: str = ""
    variables: Variables = field(default=(), compare=False)
    no_cache: bool = field(default=False, compare=False)


Step = ImageStep | RunStep | CopyStep | WorkdirStep


def dependencies(step: Step) -> tuple[StepID, ...]:
    """Return the ids of the steps whose results `step` reads: its parent, copied trees, mounted trees."""
    found = () if step.parent is None else (step.parent,)
    return tuple(dict.fromkeys((*found, *steps_read(step))))


def steps_read(step: Step) -> Iterator[StepID]:
    """Yield the ids of the steps whose trees `step` copies from or mounts; its parent may be one of them."""
    for source, _ in reads(step):
        if isinstance(source, StepSource) and source.step is not None:
            yield source.step


def reads(step: Step) -> Iterator[tuple[ContextSource | StepSource, str]]:
    """Yield what `step` reads beside its parent: a tree, and the path or pattern in it."""
    match step:
        case CopyStep():
            for source in step.sources:
                if isinstance(source, Paths):
                    yield from ((source.source, path) for path in source.paths)
        case RunStep():
            for mount in step.mounts:
                if isinstance(mount, BindMount):
                    yield mount.source, mount.subpath
                elif isinstance(mount, CacheMount) and mount.base is not None:
                    yield mount.base, mount.subpath
