"""The main job, as a person does it: build with COPY and RUN, build again, run a container, prune, look for damage.

It is one shell script, so that a place is entered once; it is run in a pipe or on a terminal.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.places.people import Person, command, own
from tests.support.ordinary import CHECKOUT

LONGEST_SECONDS = 240
LINES, COLUMNS = 40, 120

DOCKERFILE = """\
FROM base
COPY gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n sub /srv/copied/
ARG N
RUN umask > /made && id -u >> /made && cat /srv/copied/gr* >> /made && echo "$N" >> /made
RUN echo seen > /dev/stdout && ls -ld / /dev /srv /srv/copied /srv/copied/* /made | cut -c1-10 >> /made
"""
MADE = "0022 0 green 1 drwxr-xr-x drwxr-xr-x -rw-r--r-- drwxr-xr-x drwxr-xr-x -rw-r--r-- -rw-r-----"

START = """\
set -eu
umask {umask}
cd {context}
pb() {{ {python} -m builder --root {store} "$@"; }}
build() {{
  number=$1; shift
  pb build --root {store} -t job:$number --build-arg N=$number --timestamp 1500000000 --iidfile {results}/id.$number \\
    --build-context base=oci-layout://{base} {isolation} "$@" .
}}
end() {{
  build 1 2>&1
  pb run --isolation={run_isolation} job:1 cat /made > {results}/made
  pb prune
  pb info --verify
  echo the job is done
}}
"""

LOADS = {
    "one": "build 1 2>&1; end",
    "six at once": """
        all=; for n in 1 2 3 4 5 6; do build $n 2>&1 & all="$all $!"; done
        for one in $all; do wait $one || { echo a build failed; exit 1; }; done
        end""",
    "beside prune": """
        (for n in 1 2 3 4 5 6; do pb prune || { echo prune failed; exit 1; }; done) & prunes=$!
        build 2 2>&1; build 3 2>&1; build 1 2>&1
        wait $prunes
        end""",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    said: str
    made: str
    """What RUN left in /made, in one line; "" when nothing was run."""
    image_id: str
    left: tuple[str, ...]
    """Command lines of processes that are still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    person: Person
    isolation: str
    """native, oci, chroot, or "" for the program's own choice."""
    load: str
    terminal: bool
    umask: str = "022"
    surroundings: Mapping[str, str | None] = frozenset()  # type: ignore[assignment]


def do_job(how: Circumstances, base: Path) -> Outcome:
    """Do the job in a fresh folder, with the OCI layout `base` as its base image."""
    with _folder(how.person) as folder:
        script = folder / "job.sh"
        script.write_text(_script(how, folder, base), encoding="utf-8")
        words = _words(how, folder, base, ["sh", str(script)])
        code, said = (_on_terminal if how.terminal else _in_pipe)(words, _environment(how))
        results = folder / "results"
        left = _processes_with(str(folder))
        return Outcome(code, said, _read(results / "made"), _read(results / "id.1"), left)


@contextmanager
def _folder(person: Person) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pybuild-place-"))
    folder.chmod(0o755)
    try:
        context = folder / "context"
        (context / "sub").mkdir(parents=True)
        for path, text, mode in (("Dockerfile", DOCKERFILE, 0o644), ("grün", "green\n", 0o644), ("sub/x", "", 0o640)):
            (context / path).write_text(text, encoding="utf-8")
            (context / path).chmod(mode)
        (folder / "results").mkdir()
        own(person, folder)
        yield folder
    finally:
        shutil.rmtree(folder)


def _script(how: Circumstances, folder: Path, base: Path) -> str:
    isolation = f"--isolation={how.isolation}" if how.isolation else ""
    start = START.format(
        umask=how.umask, context=folder / "context", store=folder / "store", results=folder / "results",
        python=sys.executable, base=base, isolation=isolation, run_isolation=how.isolation,
    )  # fmt: skip
    return (start if how.isolation else start.replace("--isolation= ", "")) + LOADS[how.load] + "\n"


def _words(how: Circumstances, folder: Path, base: Path, words: list[str]) -> list[str]:
    if how.person.kind != "contained":
        return command(how.person, words)
    start, image = how.person.become[:-1], how.person.become[-1]
    passed = [f"--env={name}={value}" for name, value in _settings(how).items() if value is not None]
    volumes = [f"--volume={folder}:{folder}", f"--volume={base}:{base}:ro"]
    return [*start, *(["--tty", "--interactive"] if how.terminal else []), *passed, *volumes, image, *words]


def _settings(how: Circumstances) -> dict[str, str | None]:
    return {
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TERM": "xterm",
        "HOME": "/",
        **dict(how.surroundings),
    }


def _environment(how: Circumstances) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if not name.startswith(("PYBUILD_", "SOURCE_DATE"))}
    for name, value in _settings(how).items():
        found.pop(name, None)
        if value is not None:
            found[name] = value
    return found


def _in_pipe(words: list[str], env: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=LONGEST_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _on_terminal(words: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Run as the leader of a session whose terminal is the other end of a pty; what the terminal got."""
    screen, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        words, env=env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)
    said = b"".join(_read_until_closed(screen, time.monotonic() + LONGEST_SECONDS))
    os.close(screen)
    if process.poll() is None:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return -1, said.decode("utf-8", "replace") + "\n(the job hung)"
    return process.returncode, said.decode("utf-8", "replace")


def _read_until_closed(screen: int, deadline: float) -> Iterator[bytes]:
    while select.select([screen], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            data = os.read(screen, 65536)
        except OSError:  # EIO: nobody has the terminal any more (man 4 pts)
            return
        if not data:
            return
        yield data


def _processes_with(text: str) -> tuple[str, ...]:
    """Return the command lines that mention `text`; those of processes that are just ending are given a moment."""
    deadline = time.monotonic() + 5
    while found := _look_for(text):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return tuple(found)


def _look_for(text: str) -> list[str]:
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = Path("/proc", pid, "cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ")
        except OSError:
            continue
        if text in words:
            found.append(words)
    return found


def _read(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split()) if path.exists() else ""
