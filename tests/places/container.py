"""A plain container to stand in: docker's own, with docker's capabilities and seccomp rules, and this Python in it.

The image is made of what this Python needs from the machine: its program, its library, the shared objects that it
loads, and a static busybox for the rest. The checkout and the virtual environment are mounted, read-only.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.places.people import Person
from tests.support.busybox import BUSYBOX
from tests.support.ordinary import CHECKOUT
from tests.support.peers import peer

LOADED = (
    "import ssl, sqlite3, ctypes, lzma, bz2, zlib, hashlib, _posixsubprocess; print(open('/proc/self/maps').read())"
)
LOADER = re.compile(rb"/lib\d*/ld-linux[-\w.]+")
PASSWD = b"root:x:0:0:root:/root:/bin/sh\n"


def contained(image: str) -> Person:
    """Return root in a plain container of the image; to a command, the words before it."""
    mounts = [f"--volume={path}:{path}:ro" for path in {str(CHECKOUT), sys.prefix}]
    return Person("contained", 0, ("docker", "run", "--rm", "--network=none", *mounts, image))


def make_image() -> str:
    """Give the docker peer an image with this Python; return its name. Skips, or fails in CI, where there is no docker.

    One process after the other: docker fails to import the same layer twice at a time.
    """
    program, root = peer("docker"), _root()
    name = f"pybuild-places/python:{hashlib.sha256(root).hexdigest()[:12]}"
    with open(f"{tempfile.gettempdir()}/pybuild-places-{os.geteuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if subprocess.run([program, "image", "inspect", name], capture_output=True).returncode != 0:
            done = subprocess.run([program, "import", "-", name], input=root, capture_output=True)
            assert done.returncode == 0, done.stderr.decode()
    return name


def _root() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("usr", "usr/bin", "usr/lib", "usr/lib64", "etc", "tmp", "root"):
            _add(archive, name, tarfile.DIRTYPE)
        for name in ("bin", "lib", "lib64"):
            _add(archive, name, tarfile.SYMTYPE, link=f"usr/{name}")
        _add(archive, "etc/passwd", tarfile.REGTYPE, PASSWD)
        archive.add(BUSYBOX, "usr/bin/busybox")
        for name in ("sh", "cat", "sleep", "mkdir", "rm", "umask", "cp", "env", "ls", "seq"):
            _add(archive, f"usr/bin/{name}", tarfile.SYMTYPE, link="busybox")
        for path, target in _links(Path(sys.executable)):
            _add(archive, path.lstrip("/"), tarfile.SYMTYPE, link=target)
        for path in _needed():
            archive.add(path, path.lstrip("/"))
            for link in _names_of(Path(path)):
                _add(archive, str(link).lstrip("/"), tarfile.SYMTYPE, link=path)
        library = sysconfig.get_path("stdlib")
        archive.add(library, library.lstrip("/"), filter=_without_tests)
    return buffer.getvalue()


def _needed() -> list[str]:
    """The interpreter, the loader it names and every shared object outside its library."""
    program = os.path.realpath(sys.executable)
    maps = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True).stdout
    objects = {line.split(maxsplit=5)[5] for line in maps.splitlines() if ".so" in line}
    own = (sysconfig.get_path("stdlib"), sys.prefix + os.sep, str(CHECKOUT))
    loader = LOADER.search(Path(program).read_bytes())
    assert loader, f"{program} names no loader"
    name = loader[0].decode()
    # Loaded by libc when a thread ends in a process that is ending (man 3 pthread_exit); nothing names it before.
    unwinder = next(Path(path).parent / "libgcc_s.so.1" for path in objects if "/libc." in path)
    found = {program, str(unwinder.resolve()), *(path for path in objects if not path.startswith(own))}
    return sorted(found | {f"/usr{name}" if os.path.exists(f"/usr{name}") else name})


def _names_of(shared_object: Path) -> list[Path]:
    """Return the links beside a shared object that programs know it by (libz.so.1 of libz.so.1.2.13)."""
    stem = shared_object.name.partition(".so")[0]
    return [p for p in shared_object.parent.glob(f"{stem}.so*") if p.is_symlink() and p.resolve() == shared_object]


def _links(program: Path) -> Iterator[tuple[str, str]]:
    """Yield the links that lead from a virtual environment's program to the real one, with their targets."""
    while program.is_symlink():
        target = os.readlink(program)
        if not program.is_relative_to(sys.prefix) and program.parent.resolve() == program.parent:
            yield str(program), target
        program = program.parent / target


def _without_tests(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if re.search(r"/(test|site-packages|idlelib|ensurepip|__pycache__)(/|$)", member.name) else member


def _add(archive: tarfile.TarFile, name: str, kind: bytes, content: bytes = b"", *, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.size = (
        kind,
        0o1777 if name == "tmp" else 0o755,
        link,
        len(content),
    )
    archive.addfile(member, io.BytesIO(content))
