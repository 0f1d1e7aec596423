"""The verbs that look at a store as a whole: prune it, delete it, say what it holds and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.engine.build import build
from builder.engine.info import describe_machine
from builder.engine.prune import delete_store, prune_store
from builder.engine.request import BuildRequest
from builder.errors import StoreError
from tests.support.alone import alone


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A store with one image without a name."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    path = str(tmp_path / "store")
    build(BuildRequest(root=path, context=str(context)))
    return path


@alone  # an ordinary user prunes in a namespace, which a process with one thread may enter
def test_a_dry_run_counts_what_goes_and_takes_nothing(root: str, notes: list[str]) -> None:
    tried = prune_store(root, everything=True, dry_run=True, notify=notes.append)
    assert (tried.images, tried.records, tried.blobs) == (1, 1, 3)
    done = prune_store(root, everything=True, notify=notes.append)
    assert done == tried
    again = prune_store(root, everything=True, notify=notes.append)
    assert (again.images, again.records, again.blobs, again.left.blobs) == (0, 0, 0, 0)


@alone
def test_the_cache_stays_unless_everything_is_to_go(root: str, notes: list[str]) -> None:
    pruned = prune_store(root, notify=notes.append)
    assert (pruned.images, pruned.records) == (1, 0)
    assert describe_machine(root, notify=notes.append).store.records == 1


@alone
def test_a_store_is_deleted_with_all_it_holds(root: str, notes: list[str]) -> None:
    assert delete_store(root, notify=notes.append) == root
    assert not Path(root).exists()
    with pytest.raises(StoreError, match="there is no store"):
        delete_store(root, notify=notes.append)


def test_info_counts_what_is_there_and_verifying_finds_what_is_wrong(root: str, notes: list[str]) -> None:
    info = describe_machine(root, verify=True, notify=notes.append)
    assert (info.store.root, info.store.images, info.store.blobs, info.store.records) == (root, 0, 3, 1)
    assert info.isolation.choices
    assert info.findings == ()
    blob = next(Path(root, "blobs", "sha256").iterdir())
    blob.chmod(0o600)
    blob.write_bytes(b"x" * blob.stat().st_size)
    found = describe_machine(root, verify=True, notify=notes.append).findings
    assert any(finding.is_error and blob.name in finding.subject for finding in found)


def test_an_isolation_that_cannot_be_had_is_said_and_not_raised(root: str, notes: list[str]) -> None:
    info = describe_machine(root, isolation="nothing", notify=notes.append)
    assert info.isolation.choices[0].startswith("none: ")
    assert (info.isolation.network, info.isolation.trees) == ("", "")
