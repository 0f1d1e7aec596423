"""Roots that are plain directories: what is put into them for a run is taken out again."""

from __future__ import annotations

import os
import stat
from typing import Any

from builder.sandbox.spec import (
    CacheMount,
    DirectoryRoot,
    SecretMount,
    TmpfsMount,
)
from tests.sandbox.host import Host, facts, run_in, write
from tests.sandbox.test_mount_attacks import MOUNTS

SECRET = SecretMount(content=b"geheim", target="/run/secrets/token")


def test_by_chroot_the_root_is_afterwards_what_it_was(chroot_host: Host) -> None:
    def work(sandbox: Any, _: object) -> tuple[bool, int]:
        rootfs = chroot_host.new_root()
        assert isinstance(rootfs, DirectoryRoot)
        area = rootfs.path + ".area"
        write(area + "/s/f", "x")
        os.makedirs(rootfs.path + "/run/kept")
        write(rootfs.path + "/hidden/own", "own")
        before = facts(rootfs.path)
        mounts = tuple(make(area, f"/{kind}/deep/{kind}") for kind, make in MOUNTS.items())
        mounts += (TmpfsMount(target="/hidden"),)
        outcome = run_in(sandbox, chroot_host, rootfs=rootfs, argv=("/bin/sh", "-c", "kill -9 $$"), mounts=mounts)
        return facts(rootfs.path) == before and not os.path.exists(rootfs.path + ".held"), outcome.code

    assert chroot_host.do(work) == (True, 137)


def test_by_chroot_a_killed_build_is_repaired_by_the_next(chroot_host: Host) -> None:
    from builder.sandbox.chroot.emulated_mounts import EmulatedMounts

    root = chroot_host.folder + "/repair"
    os.makedirs(root + "/etc")
    write(root + "/etc/hosts", "own")
    before = [fact[:2] + fact[4:] for fact in facts(root)]
    killed = EmulatedMounts(root)
    write(killed.add("/etc/hosts"), "ours")
    killed.commit()
    os.mkdir(killed.add("/run/deep/x"))
    killed.commit()
    EmulatedMounts(root).restore()
    assert [fact[:2] + fact[4:] for fact in facts(root)] == before


def test_stubs_in_a_plain_directory_are_taken_away_unless_used(root_host: Host) -> None:
    def work(sandbox: Any, _: object) -> tuple[bool, list[str]]:
        area = f"{root_host.folder}/stubs"
        os.system(f"cp -a {root_host.base()} {area}")
        os.makedirs(area + "-cache")
        before = facts(area)
        mount = CacheMount(source=area + "-cache", target="/a/b/c")
        run_in(
            sandbox,
            root_host,
            rootfs=DirectoryRoot(area),
            argv=("/bin/true",),
            mounts=(mount, SECRET),
        )
        same = facts(area) == before
        argv = ("/bin/touch", "/a/used")
        run_in(
            sandbox,
            root_host,
            rootfs=DirectoryRoot(area),
            argv=argv,
            mounts=(mount, SECRET),
        )
        return same, sorted({fact[0] for fact in facts(area)} - {fact[0] for fact in before})

    assert root_host.do(work) == (True, ["a", "a/used"])


def test_a_mount_point_of_the_wrong_kind_is_an_error(host: Host) -> None:
    outcome = host.run("true", mounts=(SecretMount(content=b"x", target="/etc"),))
    assert "cannot mount" in outcome.error
    assert stat.S_ISDIR(os.stat(host.base() + "/etc").st_mode)
