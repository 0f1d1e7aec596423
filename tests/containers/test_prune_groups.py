"""Docker's `prune` of images, of the cache and of everything, where containers are, for root and for others."""

from __future__ import annotations

import pytest

from tests.containers.world import IMAGE, World


@pytest.mark.parametrize("any_world", ["root", "ranges", "single"], indirect=True)
def test_what_containers_stand_on_stays_until_they_go(any_world: World) -> None:
    world = any_world
    world("tag", IMAGE, "other:1").succeeded()
    world("run", "--name", "kept", *world.isolation, IMAGE, "sh", "-c", "echo more >/data/more").succeeded()

    pruned = world("image", "prune", "-a", "-f").succeeded().out
    assert "untagged" not in pruned, "only the base, which has no name here, may go"
    assert world("builder", "prune", "-f").succeeded().out.startswith("Deleted build cache records: ")
    assert len(world("ls", "-q").succeeded().out.split()) == 1, "under both names"
    assert world("diff", "kept").succeeded().out == "C /data\nA /data/more\n"
    world("start", "-a", "kept").succeeded()

    lines = world("system", "prune", "-a").succeeded().out.splitlines()
    assert lines[0] == "Deleted Containers:"
    assert {"untagged: img:1", "untagged: other:1"} <= set(lines)
    store = world.program.store
    for place in ("blobs/sha256", "snapshots", "containers"):
        left = [path.name for path in (store / place).iterdir() if not path.name.endswith(("lock", "locks"))]
        assert left == [], place
    assert "everything is as it should be" in world("info", "--verify").succeeded().out
