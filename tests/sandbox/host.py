"""A machine to run sandboxes on: every run happens in a forked child, as root or as an ordinary user.

The child enters the build namespace and opens the sandbox, as the program does when it starts; the test process
itself stays what it is. Results come back pickled through a pipe.
"""

from __future__ import annotations

import importlib
import itertools
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from builder.errors import PybuildError
from builder.linux.cancel import Cancel
from builder.linux.user_namespace import enter_user_namespace
from builder.sandbox.choose import open_sandbox
from builder.sandbox.namespace import BuildNamespace, enter_build_namespace
from builder.sandbox.runner import Sandbox
from builder.sandbox.spec import DirectoryRoot, ExitStatus, OverlayRoot, Rootfs, SandboxSpec
from tests.support.alone import in_child
from tests.support.small_world import SmallWorld

_SANDBOX = ("process.ssh_relay", "oci.bundle", "chroot.runner", "native.runner", "oci.runner")
for _name in (*(f"builder.sandbox.{name}" for name in _SANDBOX), "encodings.idna"):
    importlib.import_module(_name)  # an ordinary user may not be able to read them later

PATH = "PATH=/bin"


@dataclass(frozen=True)
class Outcome:
    code: int
    signal: int | None
    out: str
    err: str
    upper: tuple[str, ...]
    """What the run left in its upper directory: relative paths."""

    error: str = ""
    """The message of a SandboxError."""


@dataclass
class Host:
    """One user of this machine, with a directory of their own that holds a busybox root."""

    folder: str
    user: str
    """A user name; "root" for the one the tests run as."""

    isolation: str = "native"
    is_inside: bool = False
    """Whether the user has gone into a user namespace before the program starts."""

    world: SmallWorld | None = None
    """Where the machine stands, when its network matters."""

    path: str = ""
    """PATH of the program, when it matters what is installed."""

    numbers: Iterator[int] = field(default_factory=itertools.count)
    """Of the roots made so far; threads may ask at once."""

    def base(self) -> str:
        return os.path.join(self.folder, "busybox")

    def do(self, work: Callable[[Sandbox, BuildNamespace], Any]) -> Any:
        """Call `work` in a child that has entered its namespaces; what it returns, or raises."""

        def answer() -> Any:
            if self.world is not None:
                self.world.enter()
            os.environ["PATH"] = self.path or os.environ["PATH"]
            if self.user != "root":
                become(self.user)
            if self.is_inside:
                enter_user_namespace()
            os.chdir("/")
            namespace = enter_build_namespace()
            sandbox, _ = open_sandbox(self.isolation, namespace=namespace, store=self.folder)
            try:
                return work(sandbox, namespace)
            finally:
                sandbox.close()

        return in_child(answer)

    def new_root(self) -> Rootfs:
        """A root with the busybox in it; to be called in the child, so that its files are the user's."""
        area = os.path.join(self.folder, f"run-{os.getpid()}-{next(self.numbers)}")
        if self.isolation == "chroot":
            os.system(f"/bin/cp -a {self.base()} {area}")
            return DirectoryRoot(area)
        for name in ("upper", "work"):
            os.makedirs(os.path.join(area, name))
        return OverlayRoot((self.base(),), os.path.join(area, "upper"), os.path.join(area, "work"))

    def run(self, script: str, **spec: Any) -> Outcome:
        """Run a shell script in a fresh root."""
        return self.run_spec(argv=("/bin/sh", "-c", script), **spec)  # type: ignore[no-any-return]

    def run_spec(self, **spec: Any) -> Any:
        """Run a spec, by default in a fresh root."""

        def work(sandbox: Sandbox, _: BuildNamespace) -> Outcome:
            return run_in(sandbox, self, **spec)

        return self.do(work)


def run_in(sandbox: Sandbox, host: Host, **fields: Any) -> Outcome:
    """One run in an open sandbox."""
    rootfs = fields.pop("rootfs", None) or host.new_root()
    output: dict[int, list[bytes]] = {1: [], 2: []}
    error = ""
    status = ExitStatus(-1)
    spec = SandboxSpec(**{"rootfs": rootfs, "env": (PATH,), **fields})
    try:
        status = sandbox.run(spec, on_output=lambda fd, data: output[fd].append(data), cancel=Cancel())
    except PybuildError as failure:
        error = failure.message
    out, err = (b"".join(output[number]).decode(errors="replace") for number in (1, 2))
    tree = rootfs.upper if isinstance(rootfs, OverlayRoot) else ""
    return Outcome(status.code, status.signal, out, err, tuple(listing(tree)) if tree else (), error)


def listing(folder: str) -> list[str]:
    """Every path below `folder`, sorted."""
    found = [
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, folders, files in os.walk(folder)
        for name in folders + files
    ]
    return sorted(found)


def facts(folder: str) -> list[tuple[str, int, int, int, str]]:
    """Everything that a layer would record of a tree: path, mode, owner, mtime, content."""
    found = []
    for path in [".", *listing(folder)]:
        full = os.path.join(folder, path)
        status = os.lstat(full)
        content = ""
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(full)
        elif stat.S_ISREG(status.st_mode) and status.st_size < 10000:
            with open(full, "rb") as file:
                content = file.read().hex()
        found.append((path, status.st_mode, status.st_uid, status.st_mtime_ns, content))
    return found


def become(user: str) -> None:
    """Become an ordinary user for good."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def in_place(host: Host, prepare: Callable[[str, Any], dict[str, Any]], script: str) -> Outcome:
    """Run `script` in a root that `prepare(area, rootfs)` has changed; it returns the fields of the spec."""

    def work(sandbox: Any, _: object) -> Outcome:
        rootfs = host.new_root()
        area = os.path.dirname(rootfs.upper) if isinstance(rootfs, OverlayRoot) else rootfs.path + ".area"
        os.makedirs(area, exist_ok=True)
        return run_in(sandbox, host, rootfs=rootfs, argv=("/bin/sh", "-c", script), **prepare(area, rootfs))

    outcome = host.do(work)
    assert isinstance(outcome, Outcome)
    return outcome


def write(path: str, text: str) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def top(rootfs: Rootfs) -> str:
    """Where a test may change what the run will see."""
    return rootfs.upper if isinstance(rootfs, OverlayRoot) else rootfs.path
