"""A first course on containers, word for word: write, leave, look at the sizes, go on, want the image gone."""

from __future__ import annotations

from tests.containers.world import IMAGE, World
from tests.support.terminal import Terminal


def test_a_first_course(world: World) -> None:
    _at_terminal(world, "run", "-it", "--name", "c1", IMAGE, typed=b"echo hola > /root/f; exit\n")
    assert _size(world) == "5B"
    _at_terminal(world, "start", "-ai", "c1", typed=b"cat /root/f; head -c 74 /dev/zero >> /root/f; exit\n")
    assert _size(world) == "79B"
    world("rmi", IMAGE).failed(1, "conflict: unable to remove repository reference", "(must force)")
    world("rm", "c1").succeeded()
    assert f"Untagged: {IMAGE}\n" in world("rmi", IMAGE).succeeded().out


def _at_terminal(world: World, *words: str, typed: bytes) -> None:
    terminal = Terminal(world.words(*words), world.program.environment({"HISTFILE": None}), str(world.folder))
    terminal.wait_for(b"# ")
    terminal.type(b"unset HISTFILE; " + typed)
    assert terminal.end(30) == 0


def _size(world: World) -> str:
    """Return the container's own bytes as `ps` prints them, without what the shell keeps of itself."""
    head, line = world("ps", "-a", "-s").succeeded().out.splitlines()
    assert head.split()[-1] == "SIZE"
    assert "(virtual " in line
    paths = world("diff", "c1").succeeded().out.splitlines()
    assert paths == ["C /root", "A /root/f"], paths
    return line.split("(virtual")[0].split()[-1]
