"""Builds, pulls, pushes, containers and prunes in one store at once, and prunes that are killed: the store stays whole.

A few rounds by default; THOROUGH=1 goes on for a minute.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.cli.program import CHECKOUT, Program
from tests.crash.watch import debris, verified
from tests.support.registry import FakeRegistry, make_image

ROUNDS = 2
THOROUGH_SECONDS = 60
DEATHS = range(1, 25) if os.environ.get("THOROUGH") == "1" else (1, 2, 7, 20)
"""Which removal of a prune it does not live to see."""
DIES = """
import os, signal, sys
left = int(sys.argv[1])
def dying(call):
    def until_then(*arguments, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return until_then
for name in ("unlink", "remove", "rename", "replace", "rmdir"):
    setattr(os, name, dying(getattr(os, name)))
from builder.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
DOCKERFILE = """\
FROM base AS tools
RUN echo {number} > /made && head -c 200000 /dev/urandom > /random
FROM base
COPY --from=tools /made /random /
"""


def start(program: Program, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        program.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=program.folder, env=program.environment(), start_new_session=True,
    )  # fmt: skip


def build_words(program: Program, number: int, name: str) -> tuple[str, ...]:
    (program.folder / f"Dockerfile.{number}").write_text(DOCKERFILE.format(number=number))
    return ("--progress=plain", *program.base_words(), "-f", f"Dockerfile.{number}", "-t", name, ".")


def rounds() -> Iterator[int]:
    """Count rounds: a few, or as many as fit into a minute."""
    begun = time.monotonic()
    number = 0
    while number < ROUNDS or (os.environ.get("THOROUGH") == "1" and time.monotonic() - begun < THOROUGH_SECONDS):
        yield number
        number += 1


def test_all_that_uses_a_store_at_once_leaves_it_whole(runs: Program) -> None:
    with FakeRegistry() as registry:
        runs(*build_words(runs, 0, f"{registry.host}/kept:1")).succeeded()
        runs(*build_words(runs, 0, "stays:1")).succeeded()
        pulled = [registry.add_image("team/app", f"{n}", make_image([{f"f{n}": os.urandom(50_000)}])) for n in range(2)]
        for number in rounds():
            jobs = [
                build_words(runs, 2 * number + 1, "built:1"),
                build_words(runs, 2 * number + 2, f"other:{number}"),
                ("pull", pulled[number % 2]),
                ("push", f"{registry.host}/kept:1"),
                ("run", "--rm", "stays:1", "cat", "/made"),
                ("run", "--name", f"c{number}", "stays:1", "sh", "-c", "echo mine > /mine"),
                ("prune", "-a"),
                ("prune", "--max-bytes", "1m", "--keep-last", "2"),
                ("prune",),
            ]
            running = [(words, start(runs, *words)) for words in jobs]
            for words, process in running:
                said = process.communicate(timeout=240)[0].decode()
                assert process.returncode == 0, f"{words}\n{said}"
            assert runs("start", "-a", f"c{number}").code == 0
            assert runs("diff", f"c{number}").succeeded().out == "A /mine\n"
            runs("rmi", pulled[number % 2]).succeeded()
            assert runs("run", "--rm", "built:1", "cat", "/made").succeeded().out == f"{2 * number + 1}\n"
        verified(runs)
        assert debris(runs) == []
        verified(runs)


def test_a_prune_that_is_killed_wherever_it_removes_something_leaves_a_store_that_verifies(pybuild: Program) -> None:
    names = [f"n{number}" for number in range(12)]
    for name in names:
        (pybuild.folder / name).write_bytes(os.urandom(1000))
    pybuild.build("FROM scratch\nCOPY n0 /kept\n", "-t", "kept:1").succeeded()
    for number, removal in enumerate(DEATHS):
        for turn in range(2):  # the second takes the name from the first, which is rubbish then
            copies = "".join(f"COPY {name} /{name}-{number}-{turn}\n" for name in names)
            pybuild.build("FROM scratch\n" + copies, "-t", "moving:1").succeeded()
        words = ("prune", *(("-a",) if number % 2 else ("--max-bytes", "0", "--keep-last", "1")))
        died = subprocess.run(
            [sys.executable, "-c", DIES, str(removal), *words],
            env=pybuild.environment(), cwd=CHECKOUT, capture_output=True, check=False,
        )  # fmt: skip
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()
        verified(pybuild)
        assert pybuild("images", "-q", "kept").succeeded().out
    pybuild("prune", "-a").succeeded()
    assert debris(pybuild) == []
    verified(pybuild)
