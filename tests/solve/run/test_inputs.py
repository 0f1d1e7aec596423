"""What of its mounts is in a RUN's cache key: every content that can be seen, no time, no value of a secret."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.context.directory import DirectoryTree
from builder.context.ignore import NOTHING_IGNORED, parse_ignore
from builder.errors import StepFailed
from builder.oci.digest import Digest
from builder.oci.platform import Platform
from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    Mount,
    RunOp,
    RunStep,
    SecretMount,
    SshMount,
    Step,
    StepID,
    StepSource,
    TmpfsMount,
)
from builder.snapshot.copying import CopyingSnapshotter
from builder.solve.run.cache_mounts import CacheMounts
from builder.solve.run.inputs import run_inputs
from builder.solve.run.mounts import MountSources
from tests.layer.archives import Member
from tests.snapshot.rig import Rig

STAGE = (
    Member("opt", "directory", mode=0o755),
    Member("opt/tool", content=b"tool", mode=0o755),
    Member("etc", "directory"),
)
MAIN = ContextSource()


class Memory:
    def __init__(self) -> None:
        self.kept: dict[Digest, bytes] = {}

    def find(self, key: Digest) -> bytes | None:
        return self.kept.get(key)

    def put(self, key: Digest, document: bytes) -> None:
        self.kept[key] = document


def step(*mounts: Mount) -> RunStep:
    platform = Platform(os="linux", architecture="amd64")
    op = RunOp(argv=("true",), env=(), platform=platform, mounts=mounts)
    return Step(id=StepID(1), op=op)


class Place:
    """A context directory and a stage, and the inputs of steps that mount them."""

    def __init__(self, root: Path) -> None:
        self.context = root / "context"
        (self.context / "src").mkdir(parents=True)
        (self.context / "src/a.c").write_text("a")
        (self.context / "src/link").symlink_to("a.c")
        (self.context / "other").write_text("o")
        self.ignore = ""
        self.stage: tuple[Member, ...] = STAGE
        self.rig = Rig(root / "bench")
        self.memory: Memory | None = None
        self.secrets: dict[str, bytes] = {}

    def inputs(self, *mounts: Mount) -> str:
        patterns = parse_ignore(self.ignore, ".dockerignore") if self.ignore else NOTHING_IGNORED
        with DirectoryTree(str(self.context), patterns) as tree:
            sources = MountSources(
                context=lambda name: tree,
                layers=lambda step: () if step is None else (self.rig.layer(self.stage),),
                snapshotter=CopyingSnapshotter(self.rig.place),
                caches=CacheMounts(str(self.rig.root / "mounts"), self.rig.place.trash),
                temporary=self.rig.temporary,
                trash=self.rig.place.trash,
                secrets=self.secrets,
            )
            return json.dumps(run_inputs(step(*mounts), sources, self.memory), sort_keys=True)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def bind(**fields: Any) -> BindMount:
    return BindMount(**{"source": MAIN, "subpath": "src", "target": "/src", **fields})


def test_no_mounts_are_no_inputs(place: Place) -> None:
    assert place.inputs() == "{}"


def retarget(src: Path) -> None:
    (src / "link").unlink()
    (src / "link").symlink_to("b.c")


def turn_into_file(src: Path) -> None:
    (src / "link").unlink()
    (src / "link").write_text("a.c")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda src: (src / "a.c").write_text("b"),
    "mode": lambda src: (src / "a.c").chmod(0o600),
    "a new file": lambda src: (src / "b.c").touch(),
    "a new directory": lambda src: (src / "d").mkdir(),
    "a removed file": lambda src: (src / "a.c").unlink(),
    "a name": lambda src: (src / "a.c").rename(src / "c.c"),
    "a link's target": retarget,
    "a file for a link": turn_into_file,
    "the directory's own mode": lambda src: src.chmod(0o700),
}


@pytest.mark.rule("Q-4", "M-3")
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_can_be_seen_through_a_bind_is_in_the_key(place: Place, change: str) -> None:
    before = place.inputs(bind())
    CHANGES[change](place.context / "src")
    assert place.inputs(bind()) != before


def test_times_and_what_lies_elsewhere_are_not_in_the_key(place: Place) -> None:
    before = place.inputs(bind())
    os.utime(place.context / "src/a.c", (1, 1))
    os.utime(place.context / "src", (1, 1))
    (place.context / "other").write_text("changed")
    assert place.inputs(bind()) == before


@pytest.mark.rule("I-6")
def test_ignored_files_are_not_in_the_key(place: Place) -> None:
    place.ignore = "src/*.tmp\n"
    before = place.inputs(bind())
    (place.context / "src/x.tmp").write_text("x")
    assert place.inputs(bind()) == before


def test_the_same_content_gives_the_same_key_wherever_it_lies(place: Place) -> None:
    import shutil

    shutil.copytree(place.context / "src", place.context / "copy", symlinks=True)
    assert place.inputs(bind(subpath="copy")) == place.inputs(bind())


@pytest.mark.parametrize("fields", [{"target": "/other"}, {"readonly": False}])
def test_where_and_how_a_bind_is_mounted_is_in_the_key(place: Place, fields: dict[str, Any]) -> None:
    assert place.inputs(bind(**fields)) != place.inputs(bind())


@pytest.mark.rule("Q-5")
def test_a_stage_counts_by_content_and_not_by_its_times_or_history(place: Place) -> None:
    mount = bind(source=StepSource(StepID(0)), subpath="opt")
    before = place.inputs(mount)
    place.stage = (*(member._replace(mtime=77) for member in STAGE), Member("more", content=b"elsewhere"))
    assert place.inputs(mount) == before
    place.stage = (STAGE[0], STAGE[1]._replace(uid=5), STAGE[2])
    assert place.inputs(mount) != before


def test_the_content_of_a_stage_is_looked_up_when_it_is_known(place: Place) -> None:
    place.memory = Memory()
    mount = bind(source=StepSource(StepID(0)), subpath="opt")
    before = place.inputs(mount)
    assert len(place.memory.kept) == 1
    for key in place.memory.kept:
        place.memory.kept[key] = b"remembered"
    assert "remembered" in place.inputs(mount) != before


@pytest.mark.parametrize("source", [MAIN, StepSource(StepID(0))])
def test_what_is_not_there_fails_before_anything_runs(place: Place, source: ContextSource | StepSource) -> None:
    with pytest.raises(StepFailed, match='"/nothing": not found'):
        place.inputs(bind(source=source, subpath="nothing"))


@pytest.mark.rule("Q-4", "Q-11")
def test_a_caches_id_and_sharing_count_only_where_they_say_nothing(place: Place) -> None:
    def cache(**fields: Any) -> str:
        return place.inputs(CacheMount(**{"identifier": "/c", "target": "/c", **fields}))

    assert cache(identifier="x") == cache(identifier="y") == cache(identifier="x", sharing="locked")
    assert cache() != cache(identifier="x")
    assert cache() != cache(target="/d", identifier="/d")
    assert cache(mode=0o700) != cache()


@pytest.mark.rule("Q-4", "Z-19")
def test_no_value_of_a_secret_is_in_the_key(place: Place) -> None:
    mount = SecretMount(identifier="token", target="/t", variable="TOKEN")
    place.secrets = {"token": b"one"}
    before = place.inputs(mount)
    place.secrets = {"token": b"two"}
    assert place.inputs(mount) == before
    assert "one" not in before
    assert place.inputs(SecretMount(identifier="token", target="/t", variable="OTHER")) != before
    assert place.inputs(SecretMount(identifier="other", target="/t", variable="TOKEN")) != before


def test_every_other_mount_is_in_the_key(place: Place) -> None:
    seen = {
        place.inputs(mount)
        for mount in (
            TmpfsMount("/t"),
            TmpfsMount("/t", 1024),
            TmpfsMount("/u"),
            SshMount(identifier="default", target="/a"),
            SshMount(identifier="other", target="/a"),
        )
    }
    assert len(seen) == 5
