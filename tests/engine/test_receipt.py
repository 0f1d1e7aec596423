"""A receipt answers for a build only while nothing that the build read has changed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.context.signature import context_signature
from builder.engine import build as engine
from builder.engine.request import BuildRequest
from builder.engine.result import BuildResult
from builder.engine.session import BuildSession
from builder.image import assemble as assembling
from builder.oci.descriptor import Descriptor
from builder.oci.platform import Platform
from builder.oci.reference import parse_reference
from builder.plan.plan import Plan
from builder.solve import events
from builder.store import stat_cache
from builder.store.store import open_store
from tests.support.settle import wait_until_settled


class Project:
    """A context and a store; `build` says whether the planner was needed."""

    def __init__(self, folder: Path) -> None:
        self.context, self.root = folder / "context", folder / "store"
        (self.context / "sub").mkdir(parents=True)
        (self.context / "a").write_text("a")
        (self.context / "sub" / "b").write_text("b")
        (self.context / "other").write_text("not copied")
        self.write("FROM scratch\nCOPY a sub /x/\nENV A=1\n")

    def write(self, text: str) -> None:
        (self.context / "Dockerfile").write_text(text)

    def build(self, monkeypatch: pytest.MonkeyPatch, **options: object) -> tuple[BuildResult, bool]:
        asked: list[str] = []
        plan = BuildSession.plan
        with monkeypatch.context() as patch:

            def counted(self: BuildSession, platform: Platform) -> Plan:
                asked.append("plan")
                return plan(self, platform)

            patch.setattr(BuildSession, "plan", counted)
            request = BuildRequest(root=str(self.root), context=str(self.context), tags=("x:1",), **options)  # type: ignore[arg-type]
            return engine.build(request), bool(asked)


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that has been built, with files old enough for the build to have left a receipt."""
    project = Project(tmp_path)
    wait_until_settled(project.context)
    project.build(monkeypatch)
    return project


def test_an_unchanged_build_is_not_planned(settled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = settled.build(monkeypatch)
    again, planned = settled.build(monkeypatch)
    assert not planned
    assert again.image_id == first.image_id
    assert all(step.cached for step in again.images[0].steps)


def test_what_the_displays_show_is_the_same(settled: Project) -> None:
    request = BuildRequest(root=str(settled.root), context=str(settled.context))
    seen: list[events.Event] = []
    engine.build(request, seen.append)
    assert [type(event) for event in seen] == [events.BuildStarted, events.StepCached, events.ImageWritten]


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda context: (context / "a").write_text("A"),
    "mode": lambda context: (context / "a").chmod(0o600),
    "a new file in a folder": lambda context: (context / "sub" / "c").write_text("c"),
    "a file that went": lambda context: (context / "sub" / "b").unlink(),
    "a file replaced by one of the same size and time": lambda context: replace(context / "a"),
    "the Dockerfile": lambda context: (context / "Dockerfile").write_text("FROM scratch\nCOPY a /y\n"),
    "an ignore file": lambda context: (context / ".dockerignore").write_text("sub/b\n"),
}


def replace(path: Path) -> None:
    status = path.stat()
    beside = path.with_name("beside")
    beside.write_text("z")
    os.utime(beside, ns=(status.st_atime_ns, status.st_mtime_ns))
    beside.rename(path)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_voids_it(settled: Project, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    CHANGES[what](settled.context)
    _, planned = settled.build(monkeypatch)
    assert planned


@pytest.mark.parametrize(
    ("root", "folder"),
    [("one/two/b", "one"), ("one/two/b", "one/two"), ("one/two", "one/two"), ("one", "one/two"), ("", ".")],
)
def test_the_mode_of_a_folder_that_is_read_or_on_the_way_counts(tmp_path: Path, root: str, folder: str) -> None:
    (tmp_path / "one" / "two").mkdir(parents=True)
    (tmp_path / "one" / "two" / "b").write_text("b")
    before = context_signature(str(tmp_path), [root], None, "/nowhere")
    (tmp_path / folder).chmod(0o711)
    assert before != context_signature(str(tmp_path), [root], None, "/nowhere")


def test_a_folder_on_the_way_that_changed_meanwhile_gets_no_signature(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    begun = time.time_ns()
    (tmp_path / "one" / "b").write_text("b")
    os.utime(tmp_path / "one" / "b", ns=(0, 0))
    assert context_signature(str(tmp_path), ["one/b"], None, "/nowhere", begun) is None


def test_a_parent_that_is_copied_with_its_mode_voids_it(settled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    settled.write("FROM scratch\nCOPY --parents sub/b /x/\n")
    first, _ = settled.build(monkeypatch)
    assert not settled.build(monkeypatch)[1]
    (settled.context / "sub").chmod(0o711)
    again, planned = settled.build(monkeypatch)
    assert planned
    assert again.image_id != first.image_id


def test_a_file_that_is_not_read_does_not_matter(settled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (settled.context / "other").write_text("changed")
    assert not settled.build(monkeypatch)[1]


@pytest.mark.parametrize(
    "options",
    [
        {"no_cache": True},
        {"pull": True},
        {"build_args": {"A": "1"}},
        {"target": "0"},
        {"labels": {"a": "b"}},
        {"timestamp": "1"},
    ],
)
def test_another_request_has_another_receipt(
    settled: Project, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    assert settled.build(monkeypatch, **options)[1]


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 100), lambda path: os.truncate(path, 0)])
def test_a_blob_that_is_missing_or_cut_short_voids_it(
    settled: Project, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    result, _ = settled.build(monkeypatch)
    layer = result.images[0].steps[-1].layer
    damage(settled.root / "blobs" / "sha256" / layer.removeprefix("sha256:"))
    again, planned = settled.build(monkeypatch)
    assert planned
    assert again.images[0].steps[-1].layer == layer


def test_another_platform_of_this_machine_has_another_receipt(
    settled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*here[:4], "riscv64")))  # as man 8 setarch does
    assert settled.build(monkeypatch)[1]


def test_a_base_that_moved_voids_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path)
    project.write("FROM scratch\nLABEL v=1\n")
    base = BuildRequest(root=str(project.root), context=str(project.context), tags=("base:1",))
    engine.build(base)
    project.write("FROM base:1\nENV A=1\n")
    wait_until_settled(project.context)
    project.build(monkeypatch)
    assert not project.build(monkeypatch)[1]
    project.write("FROM scratch\nLABEL v=2\n")
    engine.build(base)
    project.write("FROM base:1\nENV A=1\n")
    assert project.build(monkeypatch)[1]


def test_young_files_get_no_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat_cache, "devices_by_our_clock", frozenset)  # two seconds, as on any file system
    project = Project(tmp_path)
    project.build(monkeypatch)
    assert project.build(monkeypatch)[1]


def test_a_base_from_an_image_layout_counts_by_its_index(
    settled: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("one", "1"), ("two", "2")):
        (settled.context / "a").write_text(text)
        request = BuildRequest(
            root=str(settled.root), context=str(settled.context), outputs=(oci_layout(tmp_path / name),)
        )
        engine.build(request)
    settled.write("FROM base\nENV B=1\n")
    options = {"build_contexts": {"base": f"oci-layout://{tmp_path}/one"}}
    first, planned = settled.build(monkeypatch, **options)
    assert planned
    again, planned = settled.build(monkeypatch, **options)
    assert not planned
    assert again.image_id == first.image_id
    shutil.rmtree(tmp_path / "one")
    (tmp_path / "two").rename(tmp_path / "one")
    other, planned = settled.build(monkeypatch, **options)
    assert planned
    assert other.image_id != first.image_id


def oci_layout(folder: Path) -> str:
    return f"type=oci,tar=false,dest={folder}"


def test_what_changed_while_it_was_built_gets_no_receipt(settled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    settled.write("FROM scratch\nCOPY a /first\n")
    assemble = assembling.assemble

    def edit_and_assemble(*arguments: Any, **options: Any) -> Descriptor:
        settled.write("FROM scratch\nCOPY a /second\n")
        return assemble(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("builder.engine.solving.assemble", edit_and_assemble)
        settled.build(monkeypatch)
    settled.write("FROM scratch\nCOPY a /first\n")
    assert settled.build(monkeypatch)[1]


def test_a_dockerfile_that_went_meanwhile_does_not_undo_a_build_that_is_done(
    settled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled.write("FROM scratch\nCOPY a /first\n")
    seen: list[events.Event] = []

    def show(event: events.Event) -> None:
        seen.append(event)
        if isinstance(event, events.StepFinished):
            (settled.context / "Dockerfile").unlink()

    result = engine.build(BuildRequest(root=str(settled.root), context=str(settled.context), tags=("x:1",)), show)
    assert isinstance(seen[-1], events.ImageWritten)
    with open_store(str(settled.root)) as store:
        named = store.names.find(parse_reference("x:1"))
        assert named is not None
        assert named.digest == result.descriptor.digest
    settled.write("FROM scratch\nCOPY a /first\n")
    assert settled.build(monkeypatch)[1], "it left no receipt"


def test_a_folder_as_a_named_context_gets_no_receipt(
    settled: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more").mkdir()
    options = {"build_contexts": {"more": str(tmp_path / "more")}}
    settled.build(monkeypatch, **options)
    assert settled.build(monkeypatch, **options)[1]


def test_a_link_as_a_source_gets_no_signature(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert context_signature(str(tmp_path), ["link"], None, "/nowhere") is None
    assert context_signature(str(tmp_path), ["link/below"], None, "/nowhere") is None
    assert context_signature(str(tmp_path), ["real"], None, "/nowhere") is not None
