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


@pytest.mark.parametrize("any_world", ["root"], indirect=True)
def test_a_filter_lets_go_what_is_old_enough_and_labelled(any_world: World) -> None:
    world = any_world
    world("image", "prune").succeeded()  # the base, which is old
    for name, label in (("one", "keep=yes"), ("two", "team=a")):
        world("create", "--name", name, "--label", label, IMAGE, "true").succeeded()
    for group in (("container",), ("image",), ("builder",), ("system",), ()):
        option = "-f" if group == ("container",) else "-a"
        said = world(*group, "prune", "--filter", "until=24h", option).succeeded().out
        assert "eleted: sha" not in said, group
    assert len(world("ps", "-aq").succeeded().out.split()) == 2
    gone = world("container", "prune", "-f", "--filter", "label!=keep", "--filter", "until=0s").succeeded().out
    assert gone.startswith("Deleted Containers:")
    assert world("ps", "-a", "--format", "{{.Names}}").succeeded().out == "one\n"
    world("rm", "one").succeeded()
    base = "FROM base\nRUN --mount=type=cache,target=/c true\nLABEL team=a\n"
    assert world.program.build(base, "-t", "labelled:1").code == 0
    gone = world("system", "prune", "-af", "--filter", "label=team=a").succeeded().out
    assert "untagged: labelled:1" in gone
    assert "Deleted build cache records: 0" in gone, "they have no labels"
    assert set(world("ls", "--format", "{{.Repository}}").succeeded().out.split()) == {"img", "<none>"}, (
        "the base again"
    )
    assert list((world.program.store / "mounts").iterdir())
    gone = world("builder", "prune", "--filter", "until=2000-01-01").succeeded().out
    assert gone.startswith("Deleted build cache records: 0\n")
    world("builder", "prune", "--filter", "label=x").failed(2, "--filter 'label=x' is not known")
    world("prune", "--whole-store", "--filter", "until=1h").failed(2, "keeps nothing")
    gone = world("builder", "prune", "--filter", "until=-1h").succeeded().out
    assert not gone.startswith("Deleted build cache records: 0\n")
    assert not list((world.program.store / "mounts").iterdir())
