"""Containers beside each other, beside prune, and on images that somebody wants to remove."""

from __future__ import annotations

import json
import subprocess

from tests.containers.world import IMAGE, World
from tests.crash.watch import debris, gone_within, verified


def test_six_run_at_once(world: World) -> None:
    script = "echo $0 > /mine; cat /mine; sleep 0.2; cat /mine"
    processes = [
        subprocess.Popen(
            world.words("run", IMAGE, "sh", "-c", script, str(number)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=world.folder,
            env=world.program.environment(),
        )
        for number in range(6)
    ]  # fmt: skip
    for number, process in enumerate(processes):
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, f"{number}\n{number}\n".encode()), err
    names = world("ps", "-a", "--format", "{{.Names}}").out.split()
    assert len(set(names)) == 6
    for name in names:
        assert world("diff", name).succeeded().out == "A /mine\n"


def test_six_want_one_name_and_one_gets_it(world: World) -> None:
    processes = [
        subprocess.Popen(
            world.words("create", "--name", "wanted", IMAGE), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=world.folder, env=world.program.environment(),
        )
        for _ in range(6)
    ]  # fmt: skip
    codes = sorted(process.wait(60) for process in processes)
    assert codes == [0, 1, 1, 1, 1, 1]
    assert all(b"Conflict" in process.communicate()[1] for process in processes if process.returncode)
    assert world("ps", "-a", "--format", "{{.Names}}").out == "wanted\n"


def test_rm_force_ends_what_runs(world: World) -> None:
    process = world.start("run", "--name", "c1", IMAGE, "sh", "-c", "trap '' TERM; echo up; sleep 4321.5")
    world("rm", "-f", "c1").succeeded()
    assert process.wait(30) in (143, -9)
    assert gone_within(5, "sleep\x004321.5")
    assert world("ps", "-aq").out == ""
    process = world.start("run", "--rm", "--name", "c2", IMAGE, "sh", "-c", "echo up; sleep 4321.5")
    world("rm", "-f", "c2").succeeded()
    process.wait(30)
    assert world("ps", "-aq").out == ""


def test_what_runs_can_be_looked_at(world: World) -> None:
    process = world.start("run", "--name", "c1", IMAGE, "sh", "-c", "echo abc > /f; echo up; exec sleep 1000")
    try:
        assert world("diff", "c1").succeeded().out == "A /f\n"
        world("commit", "c1", "seen").succeeded()
        assert world("run", "--rm", "seen", "cat", "/f").succeeded().out == "abc\n"
        world("cp", "c1:/f", "./f").succeeded()
        assert (world.folder / "f").read_text() == "abc\n"
        world("rmi", IMAGE).failed(1, "must force")
        identifier = image_id(world)
        world("rmi", "-f", identifier).failed(1, "cannot be forced", "is being used by running container")
    finally:
        process.terminate()
        process.wait(30)


def test_rmi_is_refused_under_a_container_in_dockers_words(world: World) -> None:
    world.sh("echo x > /x", "--name", "c1").succeeded()
    container = world("ps", "-aq").out.strip()
    identifier = image_id(world)[:12]
    said = f"{container} is using its referenced image {identifier}"
    world("rmi", IMAGE).failed(
        1, f'conflict: unable to remove repository reference "{IMAGE}" (must force) - container {said}', "pybuild rm c1"
    )
    world("rmi", identifier).failed(
        1,
        f"conflict: unable to delete {identifier} (must be forced) - "
        f"image is being used by stopped container {container}",
    )
    world("tag", IMAGE, "other").succeeded()
    assert world("rmi", "other").succeeded().out == "Untagged: other:latest\n", "one of several names is free to go"
    assert world("rmi", "-f", IMAGE).succeeded().out.startswith(f"Untagged: {IMAGE}\nDeleted: sha256:")
    assert identifier not in world("images", "-q", "-a").out
    assert world("ps", "-a", "--format", "{{.Image}}").out == f"{identifier}\n"


def test_prune_keeps_what_a_container_stands_on(world: World) -> None:
    world.sh("printf 12345 > /x; cat /data/one", "--name", "c1").succeeded()
    world("rmi", "-f", IMAGE).succeeded()
    world("prune", "-a").succeeded()
    verified(world.program)
    assert world("start", "c1").succeeded().out == "one\n"
    assert "5B (virtual" in world("ps", "-a", "-s").succeeded().out
    world("commit", "c1", "again").succeeded()
    verified(world.program)
    world("rmi", "again").succeeded()
    world("rm", "c1").succeeded()
    world("prune", "-a").succeeded()
    assert list((world.program.store / "blobs" / "sha256").iterdir()) == []


def test_prune_keeps_a_dangling_image_under_a_container(world: World) -> None:
    world("create", "--name", "c1", IMAGE).succeeded()
    (world.folder / "Dockerfile").write_text("FROM base\nRUN echo other > /other\n")
    world("--progress=plain", *world.program.base_words(), "-t", IMAGE, ".").succeeded()
    world("prune").succeeded()  # takes the base, which has no name either
    assert "removed 0 dangling images" in world("prune").succeeded().out
    assert world("start", "c1").succeeded().code == 0
    world("rm", "c1").succeeded()
    assert "removed 1 dangling image," in world("prune").succeeded().out


def test_container_prune_takes_what_does_not_run(world: World) -> None:
    world.sh("head -c 100000 /dev/urandom > /big", "--name", "c1").succeeded()
    world("create", "--name", "c2", IMAGE).succeeded()
    process = world.start("run", "--name", "c3", IMAGE, "sh", "-c", "echo up; exec sleep 1000")
    try:
        tried = world("container", "prune", "-n").succeeded().out
        assert "Space that would be reclaimed: 1" in tried
        assert len(world("ps", "-aq").out.split()) == 3
        pruned = world("container", "prune", "-f").succeeded().out
        assert pruned.splitlines()[-1].replace("Total reclaimed space", "") == tried.splitlines()[-1].replace(
            "Space that would be reclaimed", ""
        )
        assert world("ps", "-a", "--format", "{{.Names}}").out == "c3\n"
    finally:
        process.terminate()
        process.wait(30)


def test_a_killed_run_leaves_no_debris(world: World) -> None:
    process = world.start("run", "--name", "c1", IMAGE, "sh", "-c", "echo up; exec sleep 4321.25")
    process.kill()
    process.wait(30)
    assert gone_within(5, "sleep\x004321.25")
    assert debris(world.program) == []
    assert world("diff", "c1").succeeded().out == ""


def test_an_unfinished_container_is_pruned_and_a_damaged_one_named(world: World) -> None:
    containers = world.program.store / "containers"
    world("create", "--name", "c1", IMAGE).succeeded()
    (containers / ("ab" * 32)).mkdir()
    damaged = containers / ("cd" * 32)
    damaged.mkdir()
    (damaged / "container.json").write_text("{")
    outcome = world("ps", "-a", "--format", "{{.Names}}").succeeded()
    assert outcome.out == "c1\n"
    assert "the record of container cdcdcdcdcdcd is damaged" in outcome.err
    assert "cdcdcdcdcdcd" in world("info", "--verify").out
    world("prune").succeeded()
    assert not (containers / ("ab" * 32)).exists()
    assert damaged.exists()


def test_a_commit_is_refused_what_needs_a_layer_and_has_one_of_its_own(world: World) -> None:
    world.sh("printf 12345 > /five", "--name", "c1").succeeded()
    world("commit", "-c", "RUN x", "c1").failed(2, "--change 'RUN x'", "CMD, ENTRYPOINT")
    world("commit", "-c", "NONSENSE", "c1").failed(2, "--change 'NONSENSE'")
    world("commit", "c1", "Wrong:x").failed(1, "Wrong")
    world("commit", "c1", "small").succeeded()
    last = world("history", "--json", "small").succeeded().out
    assert json.loads(last)[-1]["entries"] == 1


def image_id(world: World) -> str:
    return world("images", "-q", "--no-trunc", IMAGE).out.strip().removeprefix("sha256:")
