"""kill -9 at random moments, builds beside each other, and prune between them: the store stays whole."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

from tests.cli.program import Program
from tests.crash.watch import debris, verified

KILLS = 12
SEED = 20_260_412
DOCKERFILE = """\
FROM base AS tools
RUN mkdir /out && echo {number} > /out/a && head -c 300000 /dev/urandom > /out/b
FROM base
WORKDIR /srv
COPY . .
COPY --from=tools /out /out
RUN --mount=type=cache,target=/cache echo {number} >> /cache/log && ln -s a link && cp -r /srv /copy
"""


def _start(program: Program, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        program.command("--progress=plain", *program.base_words(), *words, "."),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=program.folder,
        env=program.environment(), start_new_session=True,
    )  # fmt: skip


def _write(program: Program, number: int) -> str:
    (program.folder / "changing").write_text(f"{number}\n" * 5000)
    (program.folder / f"Dockerfile.{number}").write_text(DOCKERFILE.format(number=number))
    (program.folder / ".dockerignore").write_text("Dockerfile*\n")
    return f"Dockerfile.{number}"


def test_builds_killed_at_random_moments_lose_nothing_that_was_committed(runs: Program, tmp_path: Path) -> None:
    timestamps = random.Random(SEED)
    kept = []
    begun = time.monotonic()
    assert runs("-t", "kept:0", "-f", _write(runs, 0), *runs.base_words(), ".").succeeded()
    whole = time.monotonic() - begun
    for number in range(1, KILLS + 1):
        output = tmp_path / "out.tar"
        name = f"kept:{number}"
        build = _start(runs, "-f", _write(runs, number), "-t", name, "-o", f"type=oci,dest={output}")
        try:
            build.communicate(timeout=timestamps.uniform(0.05, whole))
        except subprocess.TimeoutExpired:
            build.send_signal(signal.SIGKILL)
            build.communicate()
        else:
            assert build.returncode == 0
            kept.append(name)
        if number % 6 == 0:
            verified(runs)
            assert debris(runs) == []
    listed = runs("images", "--json").succeeded().out
    for name in kept:
        assert f'"docker.io/library/{name}"' in listed
        runs("run", name, "cat", "/out/a").succeeded()
    for number in (KILLS, KILLS + 1):
        runs("-f", _write(runs, number), "-t", "after:1", *runs.base_words(), ".").succeeded()
        assert runs("run", "after:1", "cat", "/out/a").succeeded().out == f"{number}\n"
    verified(runs)


def test_builds_beside_each_other_share_a_store(runs: Program) -> None:
    for round_ in range(6):
        same = _write(runs, round_)
        other = runs.folder / "Dockerfile.other"
        other.write_text(DOCKERFILE.format(number=1000 + round_))
        files = [same, same, str(other), same]
        builds = [_start(runs, "-f", file, "-t", f"beside:{n}") for n, file in enumerate(files)]
        for build in builds:
            said = build.communicate(timeout=120)[1].decode()
            assert build.returncode == 0, said
    assert runs("images", "-q", "beside").succeeded().out.count("\n") >= 2
    assert debris(runs) == []
    verified(runs)


def test_prune_beside_builds_takes_only_what_nobody_needs_and_is_never_refused(runs: Program) -> None:
    left = 0
    for number in range(10):
        files = [_write(runs, number), _write(runs, number + 100)]
        builds = [_start(runs, "-f", file, "-t", f"pruned:{n}") for n, file in enumerate(files, 1)]
        while any(build.poll() is None for build in builds):
            left += "--wait" in runs("prune", "--all").succeeded().out
        for build in builds:
            said = build.communicate()[1].decode()
            assert build.returncode == 0, said
    assert left, "no prune met a build"
    runs("prune", "--all").succeeded()
    assert runs("run", "pruned:1", "cat", "/out/a").succeeded().out == "9\n"
    verified(runs)
    runs.build(None, "-f", _write(runs, 11)).succeeded()
