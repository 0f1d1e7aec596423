"""One build, and what can be changed of it: each mutation with the reason that has to be given for it.

Steps are called by the letter of their stage and their number, as displays count: t4 is `[tools 4/4]`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from builder.engine.request import BuildRequest
from builder.oci.digest import Digest
from builder.oci.run_options import RunOptions
from builder.solve.difference import Kind
from builder.store.store import open_store

DOCKERFILE = """\
FROM base AS tools
WORKDIR /t
COPY tools/tool.sh tools/conf /t/
RUN --mount=type=bind,source=data,target=/data --mount=type=cache,target=/c cat /data/a > /t/out

FROM scratch AS pieces
ARG PIECE=one
COPY parts/$PIECE /p/
ADD --chown=1:1 docs /docs/

FROM base AS main
ARG VERSION=1.2
ENV PORT=80
WORKDIR /app
COPY app .
RUN echo $VERSION > /version
COPY --from=tools /t/out /app/
COPY --from=pieces /p /app/p
COPY --link run.sh /run.sh
COPY <<NOTE /note
one
NOTE
"""
FILES = (
    *("tools/tool.sh", "tools/conf", "tools/extra", "data/a", "data/b", "data2/a", "docs/page.md", "docs/index"),
    *("parts/one/x", "parts/two/x", "app/main.py", "app/old", "app/run", "app/x.log", "run.sh", "other.sh", "README"),
)
ALL = "t2 t3 t4 p1 p2 m2 m3 m4 m5 m6 m7 m8"
ON_APP = "m3 m4 m5 m6 m8"
"""What stands on `COPY app .`; m7 is --link, and sees nothing below it."""
ON_RUN = "m4 m5 m6 m8"
"""What stands on `RUN echo`, when it writes something else."""


class World(NamedTuple):
    """Where the build happens. The other places are there for what moves."""

    context: Path
    request: BuildRequest
    layouts: Path
    """Holds `moving`, which is the base, `moved`, which takes its place, and `other`."""
    keys: dict[str, str]
    """Step → key of the build before."""
    layers: dict[str, str]
    """Step → diff ID."""

    def file(self, path: str) -> Path:
        return self.context / path


Act = Callable[[World], BuildRequest | None]


class Mutation(NamedTuple):
    """`act` returns another request, where it does not change files."""

    name: str
    act: Act
    kind: Kind | None
    """None: nothing runs."""
    subject: str = ""
    at: str = ""
    """The step that the reason is of; the first of those that run, when it is empty."""
    ran: str = ""
    paths: tuple[str, ...] = ()
    """Files of the context: `--if-changed` is asked about them."""
    perhaps: str = ""
    """Steps of which it can only say that they may run."""


def lay_out(context: Path) -> None:
    """Write the context as it is before a mutation, from nothing."""
    shutil.rmtree(context, ignore_errors=True)
    for name in FILES:
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
        path.chmod(0o644)
        # The same times whenever it is written: COPY puts them into layers.
        os.utime(path, (1_600_000_000, 1_600_000_000))
    (context / "app/link").symlink_to("main.py")
    (context / "app/twin").write_text("app/main.py\n")
    (context / "app/twin").chmod(0o644)
    os.utime(context / "app/twin", (1_600_000_000, 1_600_000_000))
    os.utime(context / "app/link", (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    (context / ".dockerignore").write_text("app/*.log\n")
    (context / "Dockerfile").write_text(DOCKERFILE)
    for folder in (path for path in context.rglob("*") if path.is_dir()):
        folder.chmod(0o755)
        os.utime(folder, (1_600_000_000, 1_600_000_000))


def text(old: str, new: str) -> Act:
    """Change the Dockerfile."""
    assert DOCKERFILE.count(old) == 1, old
    return lambda world: _wrote(world.file("Dockerfile"), DOCKERFILE.replace(old, new))


def put(path: str, content: str = "new\n") -> Act:
    return lambda world: _wrote(world.file(path), content)


def ask(**changes: object) -> Act:
    """Build with other options."""
    return lambda world: world.request._replace(**changes)  # type: ignore[arg-type]


def arguments(**values: str) -> Act:
    return ask(build_args=values)


def _wrote(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _mode(world: World) -> None:
    world.file("app/run").chmod(0o755)


def _remove(world: World) -> None:
    world.file("app/old").unlink()


def _relink(world: World) -> None:
    world.file("app/link").unlink()
    world.file("app/link").symlink_to("old")


def _directory(world: World) -> None:
    world.file("app/old").unlink()
    world.file("app/old").mkdir(0o755)


def _hard_link(world: World) -> None:
    world.file("app/twin").unlink()
    os.link(world.file("app/main.py"), world.file("app/twin"))


def _touch(world: World) -> None:
    os.utime(world.file("app/main.py"), (1_700_000_000, 1_700_000_000))


def _move_base(world: World) -> BuildRequest:
    return world.request._replace(build_contexts={"base": f"oci-layout://{world.layouts}/moving:latest"})


def _other_base(world: World) -> BuildRequest:
    _wrote(world.file("Dockerfile"), DOCKERFILE.replace("FROM base AS main", "FROM other AS main"))
    contexts = dict(world.request.build_contexts) | {"other": f"oci-layout://{world.layouts}/other:latest"}
    return world.request._replace(build_contexts=contexts)


def _prune(world: World) -> None:
    with open_store(world.request.root) as store:
        store.records.delete([Digest(world.keys["m3"])])


def _lose(world: World) -> None:
    (Path(world.request.root) / "blobs/sha256" / world.layers["m3"].removeprefix("sha256:")).unlink()


_SWAPPED = text(
    "COPY --from=tools /t/out /app/\nCOPY --from=pieces /p /app/p\n",
    "COPY --from=pieces /p /app/p\nCOPY --from=tools /t/out /app/\n",
)
_RUN_MOUNTS = "--mount=type=bind,source=data,target=/data --mount=type=cache,target=/c"
_OPTIONS = RunOptions()

MUTATIONS = (
    Mutation("content", put("app/main.py"), "file-changed", "app/main.py", "m3", ON_APP, ("app/main.py",)),
    Mutation("mode", _mode, "file-mode", "app/run", "m3", ON_APP, ("app/run",)),
    Mutation("new file", put("app/new"), "file-added", "app/new", "m3", ON_APP, ("app/new",)),
    Mutation("new folder", put("app/deep/er/x"), "file-added", "app/deep", "m3", ON_APP, ("app/deep/er/x",)),
    Mutation("file gone", _remove, "file-removed", "app/old", "m3", ON_APP, ("app/old",)),
    Mutation("link", _relink, "file-link", "app/link", "m3", ON_APP, ("app/link",), "m4 m5 m6 m8"),
    Mutation("kind", _directory, "file-kind", "app/old", "m3", ON_APP, ("app/old",)),
    Mutation("hard link", _hard_link, "hard-link", "app/twin", "m3", ON_APP),
    Mutation("bind", put("data/a"), "file-changed", "data/a", "t4", "t4 m5 m6 m8", ("data/a",), "m5 m6 m8"),
    Mutation("bind, unused", put("data/b"), "file-changed", "data/b", "t4", "t4", ("data/*",), "m5 m6 m8"),
    Mutation(
        "below a RUN", put("tools/tool.sh"), "file-changed", "tools/tool.sh", "t3", "t3 t4", ("tools/tool.sh",),
        "m5 m6 m8",
    ),
    Mutation("ADD", put("docs/index"), "file-changed", "docs/index", "p2", "p2", ("docs",)),
    Mutation("COPY --from", put("parts/one/x"), "file-changed", "parts/one/x", "p1", "p1 p2 m6 m8", ("parts/**",)),
    Mutation("new in COPY --from", put("parts/one/y"), "file-added", "parts/one/y", "p1", "p1 p2 m6 m8",
             ("parts/one/y",)),
    Mutation("COPY --link", put("run.sh"), "file-changed", "run.sh", "m7", "m7 m8", ("run.sh",)),
    Mutation("hidden", put("app/x.log"), None, paths=("app/x.log",)),
    Mutation("unread", put("README"), None, paths=("README", "nowhere", "parts/two")),
    Mutation("times", _touch, None),
    Mutation("hides", put(".dockerignore", "app/*.log\napp/run\n"), "ignore-rule", "app/run", "m3", ON_APP),
    Mutation("hides no longer", put(".dockerignore", "x\n"), "ignore-rule", "app/x.log", "m3", ON_APP),
    Mutation("destination", text("COPY app .", "COPY app ./x/"), "destination", "destination", "m3", ON_APP),
    Mutation("--chown", text("1:1", "2:2"), "chown", "--chown", "p2", "p2"),
    Mutation("--chmod", text("--link", "--link --chmod=600"), "chmod", "--chmod", "m7", "m7 m8"),
    Mutation("--link", text("--link ", ""), "link", "--link", "m7", "m7"),
    Mutation("--exclude", text("COPY app", "COPY --exclude=twin app"), "exclude", "--exclude", "m3", ON_APP),
    Mutation("--parents", text("COPY app", "COPY --parents app"), "parents", "--parents", "m3", ON_APP),
    Mutation("source", text("run.sh /", "other.sh /"), "source-changed", "source", "m7", "m7 m8"),
    Mutation("argument of a source", arguments(PIECE="two"), "source-changed", "source", "p1", "p1 p2 m6 m8"),
    Mutation("source more", text("conf /t", "conf tools/extra /t"), "source-added", "tools/extra", "t3", "t3 t4"),
    Mutation("source less", text(" tools/conf", ""), "source-removed", "tools/conf", "t3", "t3 t4"),
    Mutation("order of sources", text("tools/tool.sh tools/conf", "tools/conf tools/tool.sh"), "source-order",
             "sources", "t3", "t3"),
    Mutation("heredoc", text("\none\n", "\ntwo\n"), "heredoc", "NOTE", "m8", "m8"),
    Mutation("instruction", text("ADD --chown=1:1", "COPY --chown=1:1"), "instruction", "instruction", "p2", "p2"),
    Mutation("unpack", text("ADD", "ADD --unpack=false"), "unpack", "--unpack", "p2", "p2"),
    Mutation("command", text("cat /data/a", "cat  /data/a"), "command", "command", "t4", "t4"),
    Mutation("shell", text("RUN echo", 'SHELL ["/bin/ash", "-c"]\nRUN echo'), "shell", "shell", "m4", "m4"),
    Mutation("user", text("COPY app .", "COPY app .\nUSER 0"), "user", "user", "m4", "m4"),
    Mutation("workdir", text("WORKDIR /t", "WORKDIR /tt"), "workdir", "workdir", "t2", "t2 t3 t4"),
    Mutation("ENV", text("PORT=80", "PORT=81"), "variable-changed", "ENV PORT", "m4", "m4"),
    Mutation("ENV more", text("PORT=80", "PORT=80 HOST=x"), "variable-added", "ENV HOST", "m4", "m4"),
    Mutation("ENV less", text("ENV PORT=80\n", ""), "variable-removed", "ENV PORT", "m4", "m4"),
    Mutation("ARG", text("VERSION=1.2", "VERSION=1.3"), "argument-changed", "ARG VERSION", "m4", ON_RUN),
    Mutation("--build-arg", arguments(VERSION="2"), "argument-changed", "ARG VERSION", "m4", ON_RUN),
    Mutation("ARG more", text("VERSION=1.2", "VERSION=1.2 X=y"), "argument-added", "ARG X", "m4", "m4"),
    Mutation("ARG less", text("VERSION=1.2", "VERSION"), "argument-removed", "ARG VERSION", "m4", ON_RUN),
    Mutation("order of variables", text("ENV PORT=80", "ENV PORT=80 VERSION=1.2"), "variable-order", "variables", "m4",
             "m4"),
    Mutation("mount more", text("--mount=type=cache", "--mount=type=tmpfs,target=/x --mount=type=cache"), "mount-added",
             "tmpfs mount /x", "t4", "t4"),
    Mutation("mount less", text(" --mount=type=cache,target=/c", ""), "mount-removed", "cache mount /c", "t4", "t4"),
    Mutation("mount", text("target=/data", "target=/data,rw"), "mount-changed", "bind mount /data", "t4", "t4"),
    Mutation("mount's source", text("source=data", "source=data2"), "mount-source", "/data", "t4", "t4 m5 m6 m8"),
    Mutation("order of mounts", text(_RUN_MOUNTS, " ".join(reversed(_RUN_MOUNTS.split()))), "mount-order", "mounts",
             "t4", "t4"),
    Mutation("network", text("RUN echo", "RUN --network=none echo"), "network", "network", "m4", "m4"),
    Mutation("host name", arguments(BUILDKIT_SANDBOX_HOSTNAME="h"), "hostname", "hostname", "m4", "m4 t4"),
    Mutation("--add-host", ask(run=_OPTIONS._replace(add_hosts=(("h", "1.2.3.4"),))), "hosts", "--add-host", "m4",
             "m4 t4"),
    Mutation("--shm-size", ask(run=_OPTIONS._replace(shm_size=1 << 20)), "shm-size", "--shm-size", "m4",
             "m4 t4"),
    Mutation("--ulimit", ask(run=_OPTIONS._replace(ulimits=(("nofile", 99, 99),))), "ulimit", "--ulimit nofile", "m4",
             "m4 t4"),
    Mutation("--timestamp", ask(timestamp="1"), "timestamp", "timestamp", "p1", ALL),
    Mutation("--no-cache", ask(no_cache_filter=("pieces",)), "no-cache", "", "p1", "p1 p2"),
    Mutation("step more", text("COPY app", "COPY other.sh /other\nCOPY app"), "step-added",
             "step 3 (COPY other.sh /other)", "m3", "m3 m4 m5 m6 m7 m9"),
    Mutation("step less", text("COPY --from=pieces /p /app/p\n", ""), "step-removed",
             "COPY --from=pieces /p /app/p", "m7", "m7"),
    Mutation("order of steps", _SWAPPED, "step-order", "COPY --from=tools /t/out /app/", "m5", "m5 m6 m8"),
    Mutation("base moved", _move_base, "base-moved", "", "m2", ALL.replace("p1 p2 ", "").replace("m7 ", "")),
    Mutation("another base", _other_base, "base-changed", "base image", "m2", "m2 m3 m4 m5 m6 m8"),
    Mutation("pruned", _prune, "pruned", "", "m3", "m3"),
    Mutation("layer gone", _lose, "layer-gone", "", "m3", "m3"),
)  # fmt: skip
