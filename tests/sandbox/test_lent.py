"""Isolation chroot: what is lent to a command is found wherever it has put it, and never becomes part of a layer."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from builder.errors import MountError
from builder.linux.cancel import Cancel
from builder.sandbox.chroot.emulated_mounts import EmulatedMounts
from builder.sandbox.spec import BindMount, CacheMount, DirectoryRoot, Mount, SecretMount, SshMount, TmpfsMount
from tests.sandbox.host import Host, Outcome, listing, run_in, write

LENT = "lent content"
TREES = ("cache", "cache-readonly", "bind", "bind-writable", "tmpfs")
FILES = ("secret", "bind-file", "ssh")
TARGET = "/app/deep/x"


class Left(NamedTuple):
    outcome: Outcome
    root: dict[str, str]
    """Path → content of everything in the root but the busybox."""
    cache: dict[str, str]

    def is_clean(self) -> bool:
        return not any(LENT in content or path.endswith("marker") for path, content in self.root.items())


def mount_of(kind: str, area: str, target: str) -> Mount:
    """A mount of one kind, with lent content in it where it has any."""
    match kind:
        case "secret":
            return SecretMount(content=LENT.encode(), target=target)
        case "cache" | "cache-readonly":
            return CacheMount(source=f"{area}/cache", target=target, readonly=kind == "cache-readonly")
        case "bind" | "bind-writable":
            return BindMount(source=DirectoryRoot(f"{area}/tree"), target=target, readonly=kind == "bind")
        case "bind-file":
            return BindMount(source=DirectoryRoot(f"{area}/tree"), subpath="sub/f", target=target)
        case "tmpfs":
            return TmpfsMount(target=target)
        case _:
            return SshMount(socket=f"{area}/agent", target=target)


def run(host: Host, script: str, **kinds: str) -> Left:
    """Run a script with mounts of these kinds: x at /app/deep/x, y at /app/deep/y, and so on."""

    def work(sandbox: Any, _: object) -> Left:
        rootfs = host.new_root()
        assert isinstance(rootfs, DirectoryRoot)
        area = f"{rootfs.path}.area"
        for tree in ("tree", "cache"):
            write(f"{area}/{tree}/sub/f", LENT)
        with socket.socket(socket.AF_UNIX) as agent:
            agent.bind(f"{area}/agent")
        write(f"{rootfs.path}/app/deep/own", "own")
        write(f"{rootfs.path}/etc/hosts", "own hosts")
        mounts = tuple(mount_of(kind, area, f"/app/deep/{name}") for name, kind in kinds.items())
        outcome = run_in(sandbox, host, rootfs=rootfs, argv=("/bin/sh", "-c", script), mounts=mounts)
        assert not os.path.exists(f"{rootfs.path}.held")
        return Left(outcome, contents(rootfs.path), contents(f"{area}/cache"))

    return host.do(work)  # type: ignore[no-any-return]


def contents(tree: str) -> dict[str, str]:
    found = {}
    for path in listing(tree):
        status = os.lstat(f"{tree}/{path}")
        if not path.startswith("bin/"):
            found[path] = Path(tree, path).read_text() if stat.S_ISREG(status.st_mode) else ""
    return found


MOVES = {
    "the parent": "mv /app/deep /srv2",
    "the grandparent": "mv /app /srv2",
    "itself": "mkdir /srv2; mv /app/deep/x /srv2/y",
    "itself, twice": "mv /app/deep/x /x1; mkdir -p /a/b; mv /x1 /a/b/c",
    "the parent, and a new one": "mv /app /srv2; mkdir -p /app/deep",
    "the parent, below itself": "mkdir -p /n/m; mv /app /n/m/app",
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
@pytest.mark.parametrize("kind", [*TREES, *FILES])
def test_what_is_lent_is_found_wherever_it_was_moved(chroot_host: Host, kind: str, move: str) -> None:
    fill = "touch /app/deep/x/marker; " if kind in ("tmpfs", "cache", "bind-writable") else ""
    left = run(chroot_host, fill + move, x=kind)
    assert (left.outcome.code, left.outcome.error) == (0, ""), left.outcome
    assert left.is_clean(), left.root
    assert sum(content == "own" for content in left.root.values()) == 1, left.root
    assert left.root["etc/hosts"] == "own hosts"
    assert left.cache["sub/f"] == LENT
    assert ("marker" in left.cache) is (kind == "cache")
    assert not any(path.split("/")[-1] in ("x", "c", "y") for path in left.root), left.root


@pytest.mark.parametrize("kind", FILES)
def test_every_name_of_a_lent_file_is_taken_away(chroot_host: Host, kind: str) -> None:
    script = "ln /app/deep/x /one; mkdir -p /d/e; ln /one /d/e/two; mv /app/deep/x /three"
    left = run(chroot_host, script, x=kind)
    assert (left.outcome.code, left.outcome.error) == (0, ""), left.outcome
    assert left.is_clean(), left.root
    assert {"one", "three", "d/e/two"}.isdisjoint(left.root)


@pytest.mark.parametrize("place", ["y", "y/sub"])
@pytest.mark.parametrize("other", ["cache", "bind-writable", "tmpfs"])
def test_a_secret_does_not_stay_in_another_mount(chroot_host: Host, other: str, place: str) -> None:
    script = f"mkdir -p /app/deep/{place}; mv /app/deep/x /app/deep/{place}/marker"
    left = run(chroot_host, script, x="secret", y=other)
    assert left.is_clean(), left.root
    assert left.cache == {"sub": "", "sub/f": LENT}


@pytest.mark.parametrize("how", ["mv", "ln"])
@pytest.mark.parametrize("kind", ["cache", "bind-writable", "bind"])
def test_a_part_of_a_lent_tree_fails_the_step(chroot_host: Host, kind: str, how: str) -> None:
    left = run(chroot_host, f"{how} /app/deep/x/sub/f /out", x=kind)
    assert "/out was moved or linked from /app/deep/x" in left.outcome.error, left.outcome
    assert left.is_clean(), left.root
    assert left.cache["sub/f"] == LENT


def test_a_directory_of_a_lent_tree_fails_the_step(chroot_host: Host) -> None:
    left = run(chroot_host, "mv /app/deep/x/sub /out", x="cache")
    assert "/out/f was moved or linked from /app/deep/x" in left.outcome.error
    assert left.is_clean()


@pytest.mark.parametrize("kind", ["cache", "bind-writable", "tmpfs"])
def test_what_the_command_made_or_copied_is_its_own(chroot_host: Host, kind: str) -> None:
    script = "cd /app/deep/x; mkdir -p sub; echo new > sub/n; mv sub/n /made; rm -rf sub; echo again > /again"
    left = run(chroot_host, script, x=kind)
    assert (left.outcome.code, left.outcome.error) == (0, "")
    assert (left.root["made"], left.root["again"]) == ("new\n", "again\n")
    copied = run(chroot_host, "cp -a /app/deep/x/sub /out || true", x=kind)
    assert copied.outcome.error == ""
    assert copied.root.get("out/f", LENT) == LENT


def test_a_cache_that_is_mounted_twice_is_no_stray(chroot_host: Host) -> None:
    left = run(chroot_host, "cat /app/deep/x/sub/f /app/deep/y/sub/f", x="cache", y="cache")
    assert (left.outcome.code, left.outcome.error) == (0, "")
    assert left.cache["sub/f"] == LENT


WRITES = {
    "append": "echo more >> {0}",
    "truncate": ": > {0}",
    "replace": "echo new > /tmp/new; mv /tmp/new {0}",
    "remove": "rm {0}",
    "mode": "chmod 777 {0}",
    "edit": "sed -i s/a/b/ {0}",
}
PLACES = {
    "hosts": ("/etc/hosts", {}),
    "resolv.conf": ("/etc/resolv.conf", {}),
    "secret": ("/app/deep/x", {"x": "secret"}),
    "bind": ("/app/deep/x/sub/f", {"x": "bind"}),
    "bind of a file": ("/app/deep/x", {"x": "bind-file"}),
    "cache": ("/app/deep/x/sub/f", {"x": "cache-readonly"}),
}


@pytest.mark.parametrize("write_", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize("place", PLACES)
def test_a_write_to_what_is_read_only_fails_as_it_does_elsewhere(
    chroot_host: Host, root_host: Host, place: str, write_: str
) -> None:
    path, kinds = PLACES[place]
    left = run(chroot_host, write_.format(path), **kinds)
    assert path in left.outcome.error, left.outcome
    assert "read-only" in left.outcome.error or "replaced" in left.outcome.error
    if not kinds:
        assert root_host.run(write_.format(path)).code != 0
    if "replaced" not in left.outcome.error:
        assert left.root["etc/hosts"] == "own hosts"
    assert left.cache == {"sub": "", "sub/f": LENT}


def test_what_is_only_read_is_no_write(chroot_host: Host) -> None:
    script = "cat /etc/hosts /etc/resolv.conf /app/deep/x /app/deep/y/sub/f; ls -lR /app /etc; cp -a /app/deep/y /copy"
    left = run(chroot_host, script, x="secret", y="bind")
    assert (left.outcome.code, left.outcome.error) == (0, "")


def test_a_new_file_in_what_is_read_only_is_lost_and_said_to_be(chroot_host: Host) -> None:
    """As python's __pycache__: elsewhere the write fails, and nobody minds."""
    left = run(chroot_host, "mkdir /app/deep/x/new; echo fine", x="bind")
    assert (left.outcome.code, left.outcome.error) == (0, "")
    assert "/app/deep/x/new is lost: /app/deep/x is read-only" in left.outcome.err
    assert left.is_clean()


def test_a_mount_inside_of_a_read_only_one_is_no_write(chroot_host: Host) -> None:
    def work(sandbox: Any, _: object) -> Outcome:
        rootfs = chroot_host.new_root()
        area = f"{rootfs.path}.area"  # type: ignore[union-attr]
        write(f"{area}/tree/modules/f", LENT)
        write(f"{area}/cache/kept", "kept")
        mounts = (
            BindMount(source=DirectoryRoot(f"{area}/tree"), target="/src"),
            CacheMount(source=f"{area}/cache", target="/src/modules"),
            SecretMount(content=b"x", target="/src/none/s"),
        )
        outcome = run_in(sandbox, chroot_host, rootfs=rootfs, argv=("/bin/ls", "/src/modules"), mounts=mounts)
        assert isinstance(outcome, Outcome)
        return outcome

    outcome = chroot_host.do(work)
    assert (outcome.code, outcome.error, outcome.out, outcome.err) == (0, "", "kept\n", "")


def test_a_process_that_survives_the_command_moves_nothing_any_more(chroot_host: Host) -> None:
    script = "(setsid sh -c 'while true; do mv /app/deep/x /y; mv /y /app/deep/x; done' &) ; sleep 0.3"
    for _ in range(3):
        left = run(chroot_host, script, x="secret")
        assert left.is_clean(), left.root


def test_a_failing_command_leaves_nothing_either(chroot_host: Host) -> None:
    left = run(chroot_host, "mv /app/deep/x /app/deep/y/; mv /app/deep /srv2; false", x="secret", y="cache")
    assert (left.outcome.code, left.outcome.error) == (1, "")
    assert left.is_clean()
    assert left.cache == {"sub": "", "sub/f": LENT}


def test_it_is_an_error_of_its_own_kind(chroot_host: Host) -> None:
    """The command ran: to say that it could not be started would be wrong."""
    from builder.sandbox.spec import SandboxSpec

    def work(sandbox: Any, _: object) -> str:
        spec = SandboxSpec(rootfs=chroot_host.new_root(), argv=("/bin/rm", "/etc/hosts"), env=("PATH=/bin",))

        try:
            sandbox.run(spec, on_output=lambda *_: None, cancel=Cancel())
        except MountError as error:
            return error.hint
        return "no error"

    assert "--isolation native" in chroot_host.do(work)


def test_after_a_kill_the_next_run_finds_everything(chroot_host: Host, tmp_path: Path) -> None:
    """kill -9 in the middle, after the command has moved everything about."""
    root = str(tmp_path / "root")
    write(f"{root}/etc/hosts", "own")
    os.makedirs(f"{root}/app")
    child = os.fork()
    if child == 0:
        killed = EmulatedMounts(root)
        for target, text in (("/etc/hosts", LENT), ("/app/.npmrc", LENT), ("/run/secrets/s", LENT)):
            killed.lend(write(killed.new_path(), text), target, read_only=True)
        write(f"{killed.new_path()}/sub/f", LENT)
        killed.lend(killed.new_path(), "/app/tree")
        os.rename(f"{root}/app", f"{root}/app2")
        os.rename(f"{root}/etc", f"{root}/etc2")
        os.rename(f"{root}/run/secrets/s", f"{root}/stray")
        os.link(f"{root}/app2/tree/sub/f", f"{root}/stray2")
        os.rename(f"{root}/app2/tree", f"{root}/tree2")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    EmulatedMounts(root).restore()
    found = contents(root)
    assert found.pop("etc2/hosts") == "own"
    assert set(found) <= {"app2", "etc2", "run", "run/secrets"}
    assert not os.path.exists(f"{root}.held")


def test_directories_have_their_times_again(chroot_host: Host) -> None:
    def work(sandbox: Any, _: object) -> list[bool]:
        rootfs = chroot_host.new_root()
        root = rootfs.path  # type: ignore[union-attr]
        os.makedirs(f"{root}/app/deep")
        for path in ("app/deep", "app", "etc", "."):
            os.utime(f"{root}/{path}", (1, 1))
        time.sleep(0.02)
        mounts = (SecretMount(content=b"x", target="/app/deep/s"), TmpfsMount(target="/app/deep/t"))
        run_in(sandbox, chroot_host, rootfs=rootfs, argv=("/bin/mv", "/app", "/app2"), mounts=mounts)
        return [os.stat(f"{root}/{path}").st_mtime == 1 for path in ("app2/deep", "app2", "etc")]

    assert chroot_host.do(work) == [True, True, True]
