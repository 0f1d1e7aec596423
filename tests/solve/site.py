"""Where RUN steps are tried: a child process that has entered its namespaces, with a busybox image and a context."""

from __future__ import annotations

import codecs
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from builder.context.directory import DirectoryTree
from builder.context.ignore import NOTHING_IGNORED, parse_ignore
from builder.errors import StepFailed
from builder.filesystem.entry import Entry
from builder.linux.cancel import Cancel
from builder.oci.platform import Platform
from builder.plan.step import RunOp, RunStep, Step, StepID, StepLabel
from builder.sandbox.namespace import BuildNamespace, SingleIdRoot
from builder.sandbox.runner import Sandbox
from builder.snapshot.copying import CopyingSnapshotter
from builder.snapshot.overlay import OverlaySnapshotter
from builder.snapshot.snapshotter import Snapshotter, StackLayer
from builder.solve.run.cache_mounts import CacheMounts
from builder.solve.run.execute import RunTools, run_step
from builder.solve.run.mounts import MountSources
from tests.layer.archives import Member
from tests.sandbox.host import Host
from tests.snapshot.rig import Rig
from tests.support.busybox import BUSYBOX

for _name in ("ascii", "latin-1", "idna", "utf-8"):
    codecs.lookup(_name)  # now: an ordinary user may not be able to read the interpreter's own files

_APPLETS = "sh cat echo ls mkdir rm touch chmod chown stat sleep env id test ln find sort sed mv cp kill printf wc head"
PASSWD = b"root:x:0:0::/root:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\n"
GROUP = b"root:x:0:\nalice:x:1001:\nwheel:x:10:alice\n"
STAGE = [
    Member("opt", "directory", mode=0o755),
    Member("opt/tool", content=b"#!/bin/sh\necho tool\n", mode=0o755),
    Member("opt/owned", content=b"x", uid=33, gid=33),
    Member("latest", "symlink", link="opt"),
]


def busybox_members() -> list[Member]:
    with open(BUSYBOX, "rb") as file:
        program = file.read()
    return [
        Member("bin", "directory", mode=0o755),
        Member("bin/busybox", content=program, mode=0o755),
        *(Member(f"bin/{name}", "symlink", link="busybox") for name in _APPLETS.split()),
        Member("etc", "directory", mode=0o755),
        Member("etc/group", content=GROUP),
        Member("etc/passwd", content=PASSWD),
        Member("home", "directory", mode=0o755),
        Member("home/alice", "directory", mode=0o755, uid=1000, gid=1001),
        Member("tmp", "directory", mode=0o1777),
    ]


@dataclass
class Site:
    """Everything one build would have, for RUN steps alone."""

    rig: Rig
    sandbox: Sandbox
    snapshotter: Snapshotter
    sources: MountSources
    tools: dict[str, Any] = field(default_factory=dict)
    layers: list[StackLayer] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    cancel: Cancel = field(default_factory=Cancel)

    def step(self, command: str, **fields: Any) -> RunStep:
        argv = fields.pop("argv", ("/bin/sh", "-c", command))
        env = fields.pop("env", ("PATH=/bin",))
        label = StepLabel(title=fields.pop("title", ""), location=fields.pop("location", None))
        no_cache = fields.pop("no_cache", False)
        op = RunOp(argv=argv, env=env, platform=Platform(os="linux", architecture="amd64"), **fields)
        return Step(id=StepID(9), op=op, label=label, no_cache=no_cache)

    def run(self, command: str, **fields: Any) -> list[Entry]:
        """Run a command on top of all that ran before; the entries of its layer."""
        tools = RunTools(snapshotter=self.snapshotter, sandbox=self.sandbox, sources=self.sources, **self.tools)
        step = self.step(command, **fields)
        self.lines.clear()
        with run_step(step, self.layers, tools, self.lines.append, self.cancel) as done:
            entries: list[Entry] = []
            changes = list(done.changes())
            entries = [entry for entry, _ in changes]
            made = self.rig.write(changes)
            done.keep(made.diff_id)
        self.layers.append(made)
        return entries

    @property
    def output(self) -> str:
        return b"\n".join(self.lines).decode()


def open_site(
    host: Host,
    sandbox: Sandbox,
    namespace: BuildNamespace,
    *,
    context: dict[str, str] | None = None,
    ignore: str = "",
    stages: Sequence[Sequence[Member]] = (),
) -> Site:
    """Make a site; `stages` are other images, by step id. To be called in the machine's child."""
    ids = "ignore" if isinstance(namespace, SingleIdRoot) else "exact"
    area = Path(tempfile.mkdtemp(prefix="site-", dir=host.folder))
    rig = Rig(area, ids=ids, user_namespace=namespace.user_namespace)  # type: ignore[arg-type]
    in_place = host.isolation != "chroot"
    snapshotter: Snapshotter = OverlaySnapshotter(rig.place) if in_place else CopyingSnapshotter(rig.place)
    folder = area / "context"
    folder.mkdir()
    for name, text in (context or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    patterns = parse_ignore(ignore, ".dockerignore") if ignore else NOTHING_IGNORED
    tree = DirectoryTree(str(folder), patterns)
    others = [(rig.layer(members),) for members in stages]
    sources = MountSources(
        context=lambda name: tree,
        layers=lambda step: () if step is None else others[step],
        snapshotter=snapshotter,
        caches=CacheMounts(str(area / "mounts"), rig.place.trash, owners=ids == "exact"),
        temporary=rig.temporary,
        trash=rig.place.trash,
        in_place=in_place,
        owners=ids == "exact",
    )
    return Site(rig, sandbox, snapshotter, sources, layers=[rig.layer(busybox_members())])


At = Callable[[Site], Any]


def at_site(host: Host, work: At, **options: Any) -> Any:
    """Call `work` with a site, in a child of `machine`'s user; what it returns or raises."""
    return host.do(lambda sandbox, namespace: work(open_site(host, sandbox, namespace, **options)))


def names(entries: Sequence[Entry]) -> list[str]:
    return [entry.path for entry in entries]


def failure(site: Site, command: str, **fields: object) -> tuple[str, str]:
    """Run a command that must fail; the message and the hint."""
    with pytest.raises(StepFailed) as caught:
        site.run(command, **fields)
    return caught.value.message, caught.value.hint


def owner(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_uid, status.st_gid
