"""What `prune` is told to keep: the images that were built last, with the cache that built them; what fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.engine.build import build
from builder.engine.prune import Pruned, prune_store
from builder.engine.request import BuildRequest
from builder.store.store import open_store
from tests.support.alone import alone

DOCKERFILE = "FROM scratch AS tools\nCOPY made /\nFROM scratch\nCOPY --from=tools /made /kept\n"


class Site:
    """A folder that is built again and again, under one name."""

    def __init__(self, folder: Path) -> None:
        self.root = str(folder / "store")
        self.context = folder / "context"
        self.context.mkdir()
        (self.context / "Dockerfile").write_text(DOCKERFILE)

    def build(self, number: int) -> int:
        """Build with what only this number makes; return how many steps came from the cache."""
        (self.context / "made").write_bytes(bytes([number]) * 100_000)
        result = build(BuildRequest(root=self.root, context=str(self.context), tags=("app",)))
        return sum(step.cached for step in result.images[0].steps)

    def prune(self, *, everything: bool = False, max_bytes: int | None = None, last: int = 0) -> Pruned:
        options = {"everything": everything, "keep_bytes": max_bytes, "keep_last": last}
        tried = prune_store(self.root, dry_run=True, notify=print, **options)  # type: ignore[arg-type]
        done = prune_store(self.root, notify=print, **options)  # type: ignore[arg-type]
        assert done == tried, "a dry run said something else"
        return done

    def images(self) -> int:
        with open_store(self.root) as store:
            return len(store.names.entries())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Four builds, of which the last one has the name."""
    made = Site(tmp_path)
    for number in range(4):
        made.build(number)
    return made


@alone  # an ordinary user prunes in a namespace, which a process with one thread may enter
def test_the_images_built_last_stay_the_named_one_among_them(site: Site) -> None:
    pruned = site.prune(last=3)
    assert (pruned.images, pruned.records, site.images()) == (1, 0, 3)
    assert [line.split()[0] for line in pruned.listed] == ["image"]
    assert site.prune(last=1).images == 2
    assert site.images() == 1


@alone
def test_a_build_again_of_an_old_state_is_the_last_one(site: Site) -> None:
    site.build(0)
    site.prune(everything=True, last=1)
    assert site.build(0) == 2
    assert site.build(3) == 0


@alone
def test_the_cache_of_the_last_builds_stays_when_everything_is_to_go(site: Site) -> None:
    pruned = site.prune(everything=True, last=2)
    assert (pruned.images, pruned.records) == (2, 4)
    assert site.build(2) == 2, "of a stage that no image has a layer of as well"
    assert site.build(3) == 2
    assert site.build(1) == 0


@alone
def test_what_is_to_fit_takes_the_cache_of_older_builds_only(site: Site) -> None:
    site.prune(max_bytes=1, last=1)
    assert site.build(3) == 2
    assert site.build(2) == 0
    site.prune(max_bytes=1)
    assert site.build(3) == 0


@alone
def test_what_was_pulled_is_no_build(site: Site) -> None:
    with open_store(site.root) as store:
        (last,) = [entry.digest for entry in store.names.entries() if entry.annotations]
        store.origins.put(last, "docker.io/library/app")
    assert site.prune(last=1).images == 2
    assert site.images() == 2
