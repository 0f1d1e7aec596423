"""What surrounds pybuild reaches no image: umask, locale, HOME, time zone, open files; in every isolation."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.cli.program import Program

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root may change its root directory")
needs_runtime = pytest.mark.skipif(not (shutil.which("crun") or shutil.which("runc")), reason="no OCI runtime")

DOCKERFILE = r"""
FROM base AS other
RUN mkdir -p /o/p; echo o > /o/p/f

FROM base
WORKDIR /made/by/workdir
COPY <<EOF /copied/deep/text
é
EOF
COPY sub /sub/
ADD inside.tar /unpacked/deep/
RUN --mount=type=secret,id=s,target=/stays/secret --mount=type=cache,target=/stays2/deep/cache \
    --mount=type=tmpfs,target=/stays3/tmp --mount=type=bind,from=other,source=/o,target=/stays4/bind \
    --mount=type=bind,target=/stays5/context,rw \
    touch /stays/own /stays2/own /stays2/deep/own /stays3/own /stays4/own /stays5/own; \
    touch /stays5/context/new /stays3/tmp/new /stays2/deep/cache/new; \
    umask > /seen; env >> /seen; date -d @0 >> /seen; pwd >> /seen; \
    stat -c '%a %u %g %n' /dev /dev/null /dev/shm /dev/pts /etc/hosts /etc/resolv.conf /stays/* /stays?/* /proc /sys \
        >> /seen; \
    for n in 0 1 2 3 4 5 6 7 8 9 17; do if (: >&$n) 2> /dev/null; then echo open $n >> /seen; fi; done; \
    ulimit -n > /dev/null; mkdir -p /new/dir; echo x > /new/dir/file
RUN <<EOF
umask
touch /from-a-script
EOF
WORKDIR /last/one
"""

SURROUNDINGS: dict[str, tuple[str, dict[str, str | None]]] = {
    "plain": ("umask 022; exec", {}),
    "umask 077": ("umask 077; exec", {}),
    "umask 000": ("umask 000; exec", {}),
    "umask 177": ("umask 177; exec", {}),
    "locale": ("exec", {"LC_ALL": "tr_TR.UTF-8", "LANG": "C", "LANGUAGE": "de", "PYTHONUTF8": "0"}),
    "no locale": ("exec", {"LC_ALL": "POSIX", "LANG": None}),
    "HOME": ("exec", {"HOME": "/nowhere/at all", "XDG_CONFIG_HOME": "/nowhere"}),
    "no HOME": ("exec", {"HOME": None, "USER": None, "LOGNAME": None}),
    "time zone": ("exec", {"TZ": "Pacific/Kiritimati"}),
    "open files": ("exec 3< /etc/passwd 4> /dev/null 9< / 17< /dev/zero; exec", {}),
    "closed standard input": ("exec 0<&-; exec", {}),
    "signals": ("trap '' PIPE HUP INT QUIT TERM USR1; exec", {}),
    "priority and limits": ("ulimit -n 300; ulimit -c 0; exec nice -n 5", {}),
}
SEVERAL: dict[str, tuple[str, dict[str, str | None]]] = {
    "plain": SURROUNDINGS["plain"],
    "umask 077, HOME, locale, time zone": (
        "umask 077; exec",
        SURROUNDINGS["HOME"][1] | SURROUNDINGS["locale"][1] | SURROUNDINGS["time zone"][1],
    ),
    "umask 000, neither HOME nor locale, open files": (
        f"umask 000; {SURROUNDINGS['open files'][0]}",
        SURROUNDINGS["no HOME"][1] | SURROUNDINGS["no locale"][1],
    ),
    "umask 177, closed standard input": ("umask 177; exec 0<&-; exec", {}),
    "signals": SURROUNDINGS["signals"],
    "priority and limits": SURROUNDINGS["priority and limits"],
}
"""The same together, for where a build takes longer."""


@needs_root
@pytest.mark.parametrize("isolation", ["native", pytest.param("oci", marks=needs_runtime), "chroot"])
def test_no_image_depends_on_what_surrounds_the_build(runs: Program, isolation: str) -> None:
    folder = runs.folder
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "deep" / "file").write_text("file")
    (folder / "secret").write_text("secret")
    for path, mode in (("sub", 0o755), ("sub/deep", 0o750), ("sub/deep/file", 0o640), ("secret", 0o600)):
        (folder / path).chmod(mode)
    shutil.make_archive(str(folder / "inside"), "tar", folder / "sub")
    made: dict[str, Any] = {}
    for name, (before, env) in (SURROUNDINGS if isolation == "native" else SEVERAL).items():
        (folder / "Dockerfile").write_text(DOCKERFILE)
        store = runs.store.parent / f"store-{len(made)}"
        words = ("--timestamp=0", f"--isolation={isolation}", "--no-cache", f"--secret=id=s,src={folder}/secret")
        program = Program(store, folder, runs.base)
        command = program.command("-q", *program.base_words(), *words, ".")
        done = subprocess.run(
            ["bash", "-c", f'{before} "$0" "$@"', *command],
            env=program.environment(env), cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (name, done.stderr)
        made[name] = done.stdout.strip()
    assert set(made.values()) == {made["plain"]}, made
