"""Times in layers: what a step left is what the next one sees, in every isolation, cached or not."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.cli.program import Program

ISOLATIONS = ("native", "oci", "chroot")
STEPS = """\
FROM base
RUN mkdir -p /d/e /f /g /h && echo a >/d/x && touch -d '2001-01-01 00:00:00' /d/e /d /f /g /h
RUN touch -d '2010-01-01 00:00:00' /d/e; touch /f; echo new >/g/new; touch -d '2011-01-01 00:00:00' /g
RUN touch /h/t; rm /h/t
RUN stat -c '%n %Y' /d /d/e /f /g >/first
RUN touch /d/x; stat -c '%n %Y' /d /d/e /f /g >/second
"""


def times(text: str) -> dict[str, int]:
    return {name: int(seconds) for name, seconds in (line.split() for line in text.splitlines())}


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_next_step_sees_the_times_that_a_step_set(runs: Program, isolation: str) -> None:
    (runs.folder / "out").mkdir()
    for attempt in ("fresh", "cached"):
        shutil.rmtree(runs.store / "snapshots", ignore_errors=True)  # unpacked from the tars the second time
        text = f"{STEPS}RUN stat -c '%n %Y' /d /d/e /f /g >/third-{attempt}\n"
        runs.build(text, "--isolation", isolation, "-o", str(runs.folder / "out")).succeeded()
        seen = [times((runs.folder / "out" / name).read_text()) for name in ("first", "second", f"third-{attempt}")]
        assert seen[0] == seen[1] == seen[2]
        assert (seen[0]["/d"], seen[0]["/d/e"], seen[0]["/g"]) == (978_307_200, 1_262_304_000, 1_293_840_000)
        assert seen[0]["/f"] > 1_700_000_000


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_step_that_does_nothing_leaves_nothing(runs: Program, isolation: str) -> None:
    """Nor do the places that the builder mounts on: not in an image that lacks them, nor in one with all of them."""
    text = (
        "FROM base\nRUN true\nRUN --mount=type=cache,target=/srv/cache true\nRUN --mount=type=tmpfs,target=/t/u true\n"
    )
    runs.build(text, "--isolation", isolation, "-t", "x").succeeded()
    listing = runs("history", "x").succeeded().out
    steps = [line.split()[-4:-2] for line in listing.splitlines() if "RUN" in line]
    assert steps == [["2", "0"], ["3", "0"], ["4", "0"]], listing


MOMENTS = (
    -(10**18 - 1),
    -2_208_988_800,
    -1,
    4_294_967_296,
    10_413_792_000,
    32_503_680_000,
    316_516_377_600,
    10**18 - 1,
)
"""Of 1900, 1969, 2106, 2300, 3000 and 12000, and what a PAX record may say at most."""


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("place", ["on the disk", "on tmpfs"])
def test_whatever_time_a_tar_holds_every_step_goes_on(
    runs: Program, tmp_path: Path, isolation: str, place: str
) -> None:
    """A file system shows what it can of it: ext4 the years from 1901 to 2446, tmpfs all of them."""
    with tarfile.open(runs.folder / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for number, timestamp in enumerate(MOMENTS):
            for name, kind in ((f"f{number}", tarfile.REGTYPE), (f"d{number}", tarfile.DIRTYPE)):
                member = tarfile.TarInfo(name)
                member.mtime, member.type, member.mode = timestamp, kind, 0o755
                archive.addfile(member)
    for number, timestamp in enumerate((-2_000_000_000, 10_413_792_000, 14_000_000_000)):
        (runs.folder / f"c{number}").touch()
        os.utime(runs.folder / f"c{number}", (timestamp, timestamp))
    text = """\
FROM base AS made
COPY c* /c/
ADD a.tar /t/
RUN stat -c %Y /c/* /t/* | wc -l; touch -d @10413792000 /c/n /c; touch -d @-2000000000 /t/d3
RUN test $(stat -c %Y /c/n) = 10413792000 && test $(stat -c %Y /c) = 10413792000
RUN test $(stat -c %Y /t/d3) = -2000000000
RUN --mount=type=bind,target=/m test $(stat -c %Y /m/c1) = 10413792000
FROM base
COPY --from=made /t /c /u/
RUN --mount=type=cache,from=made,source=/c,target=/q test $(stat -c %Y /q/n) = 10413792000
RUN test $(stat -c %Y /u/n) = 10413792000
FROM base
ADD a.tar /t/
COPY --from=made /c /c
"""
    store = tmp_path / "memory"
    with contextlib.ExitStack() as stack:
        if place == "on tmpfs":
            if os.geteuid():
                pytest.skip("mounting needs root (CI has it)")
            store.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "none", str(store)], check=True)
            stack.callback(subprocess.run, ["umount", str(store)], check=True)
        words = (
            "--isolation",
            isolation,
            "-o",
            f"type=tar,dest={tmp_path}/out.tar",
            "-o",
            f"type=local,dest={tmp_path}/o",
        )
        for _ in range(2):
            runs.build(text, *words, env={"PYBUILD_ROOT": str(store)}).succeeded()
    with tarfile.open(tmp_path / "out.tar") as archive:
        found = {member.name: member.mtime for member in archive}
    assert tuple(found[f"t/f{number}"] for number in range(len(MOMENTS))) == tuple(map(float, MOMENTS))
    assert found["c/n"] == 10_413_792_000
