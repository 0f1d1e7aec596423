"""Images to and from a registry: who pulls and pushes, and what is raced.

One image of ten layers and 500 MB, half of it as good as incompressible, is new in each round, so that no store has a
part of it. It is pulled into each one's own store, pushed from there to an empty registry, and pushed once more. The
registry is Debian's docker-registry on loopback, started for the race; what it is asked is counted in its log. It takes
part in the race for two cores: why the aims of pushing can't be met there is docs/decisions/0023-what-a-push-costs.md.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from benchmarks.contestants import Measure, measured
from tests.builds.builders import must, pybuild_command
from tests.support.docker_registry import running
from tests.support.peers import why_peer_is_absent
from tests.support.remove import remove_tree

LAYERS = 10
LAYER_BYTES = 50_000_000
_PIECE_BYTES = 1_000_000
_REPOSITORY = "benchmark/image:latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What is measured of one way between a store and a registry."""

    name: str
    title: str
    rivals: tuple[str, ...]
    target_ratio: float
    """What pybuild aims at, as a ratio to the fastest of `rivals`."""


PULL = Transfer(name="pull", title="pull of 10 layers, 500 MB", rivals=("docker", "skopeo"), target_ratio=0.5)
PUSH = Transfer(name="push", title="push of the same", rivals=("docker", "skopeo"), target_ratio=0.5)
AGAIN = Transfer(name="push-again", title="push of what is there", rivals=("docker",), target_ratio=0.2)
TRANSFERS = (PULL, PUSH, AGAIN)


class Carrier(Protocol):
    """Who carries images between its own store and registries."""

    name: str

    def pull(self, name: str) -> Measure: ...

    def tag(self, name: str, other: str) -> None: ...

    def push(self, name: str) -> Measure: ...

    def forget(self, *names: str) -> None:
        """Have the store as it was before."""


@dataclass(slots=True)
class PybuildCarrier:
    """pybuild, with a store of its own."""

    store: Path
    name: str = "pybuild"

    def build(self, context: Path, name: str) -> None:
        must([*self._command(), "-t", name, str(context)])

    def pull(self, name: str) -> Measure:
        return measured([*self._command("pull"), name])

    def tag(self, name: str, other: str) -> None:
        must([*self._command("tag"), name, other])

    def push(self, name: str) -> Measure:
        return measured([*self._command("push"), name])

    def forget(self, *names: str) -> None:
        remove_tree(self.store)

    def _command(self, *verb: str) -> list[str]:
        return [*pybuild_command(), *verb, "--root", str(self.store)]


@dataclass(slots=True)
class DockerCarrier:
    """docker, by way of its daemon."""

    name: str = "docker"

    def pull(self, name: str) -> Measure:
        return measured(["docker", "pull", name])

    def tag(self, name: str, other: str) -> None:
        must(["docker", "tag", name, other])

    def push(self, name: str) -> Measure:
        return measured(["docker", "push", name])

    def forget(self, *names: str) -> None:
        subprocess.run(["docker", "rmi", "-f", *names], capture_output=True, check=False)


@dataclass(slots=True)
class SkopeoCarrier:
    """skopeo, with the store that podman and buildah have."""

    name: str = "skopeo"

    def pull(self, name: str) -> Measure:
        return measured(["skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"containers-storage:{name}"])

    def tag(self, name: str, other: str) -> None:
        must(["buildah", "tag", name, other])

    def push(self, name: str) -> Measure:
        return measured(["skopeo", "copy", "--dest-tls-verify=false", f"containers-storage:{name}", f"docker://{name}"])

    def forget(self, *names: str) -> None:
        subprocess.run(["buildah", "rmi", "-f", *names], capture_output=True, check=False)


def carriers(folder: Path, names: list[str]) -> list[Carrier]:
    """Return those who can take part, and say of the others why not."""
    found: list[Carrier] = []
    for name in names:
        match name:
            case "pybuild":
                found.append(PybuildCarrier(folder / "store"))
            case "docker" | "skopeo":
                needed = ("docker",) if name == "docker" else ("skopeo", "buildah")
                reasons = [reason for peer in needed if (reason := why_peer_is_absent(peer))]
                if reasons:
                    print(f"without {name}: {'; '.join(reasons)}", file=sys.stderr)
                else:
                    found.append(DockerCarrier() if name == "docker" else SkopeoCarrier())
    return found


def race_transfers(
    program: str, racers: list[Carrier], rounds: int, folder: Path
) -> dict[str, dict[str, list[Measure]]]:
    """Pull, push and push again with everyone, several times; `program` is docker-registry's path."""
    results: dict[str, dict[str, list[Measure]]] = {each.name: {r.name: [] for r in racers} for each in TRANSFERS}
    for turn in range(rounds):
        with ExitStack() as stack:
            origin = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            name = f"{stack.enter_context(running(program, origin))}/{_REPOSITORY}"
            _publish(folder, name, seed=turn)
            shift = turn % len(racers)
            for racer in [*racers[shift:], *racers[:shift]]:
                for transfer, measure in _carry(program, racer, name, folder).items():
                    results[transfer.name][racer.name].append(measure)
    return results


def _publish(folder: Path, name: str, seed: int) -> None:
    """Have a new image in the registry."""
    context = folder / "context"
    context.mkdir()
    source = random.Random(seed)
    lines = ["FROM scratch"]
    for number in range(LAYERS):
        with (context / f"f{number}").open("wb") as file:
            # In pieces: the peak of a process counts that of the one it was started from as well (man 2 getrusage).
            for _ in range(LAYER_BYTES // _PIECE_BYTES):
                piece = source.randbytes(_PIECE_BYTES // 2)
                file.write(piece + piece[: _PIECE_BYTES // 4].hex().encode())
        lines.append(f"COPY f{number} /")
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    builder = PybuildCarrier(folder / "publisher")
    builder.build(context, name)
    builder.push(name)
    builder.forget()
    remove_tree(context)


def _carry(program: str, racer: Carrier, name: str, folder: Path) -> dict[Transfer, Measure]:
    with ExitStack() as stack:
        target = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        other = f"{stack.enter_context(running(program, target))}/{_REPOSITORY}"
        stack.callback(racer.forget, name, other)
        found = {PULL: racer.pull(name)}
        racer.tag(name, other)
        found[PUSH] = racer.push(other)
        before = _requests(target)
        again = racer.push(other)
        found[AGAIN] = replace(again, requests=_requests(target) - before)
    return found


def _requests(folder: Path) -> int:
    """Return how many requests a registry has answered so far."""
    return (folder / "log").read_bytes().count(b' HTTP/1.1" ')
