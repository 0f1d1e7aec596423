"""Attempts to mount something else, or somewhere else, than what was asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from builder.sandbox.spec import (
    BindMount,
    CacheMount,
    DirectoryRoot,
    Mount,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from tests.sandbox.host import Host, in_place, run_in, top, write


@pytest.mark.parametrize("path", ["../../../../etc", "/../../../../../../etc", "link"])
@pytest.mark.parametrize("kind", ["bind", "cache"])
def test_cve_2024_23652_a_source_does_not_lead_outside(any_host: Host, path: str, kind: str) -> None:
    def prepare(area: str, _: object) -> dict[str, Any]:
        write(area + "/source/here", "")
        os.symlink("/etc", area + "/source/link")
        if kind == "cache":
            return {"mounts": (CacheMount(source=area + "/source", subpath=path, target="/m"),)}
        return {"mounts": (BindMount(source=DirectoryRoot(area + "/source"), subpath=path, target="/m"),)}

    outcome = in_place(any_host, prepare, "ls /m")
    assert "passwd" not in outcome.out
    assert "/m" in outcome.error


MOUNTS: dict[str, Callable[[str, str], Mount]] = {
    "bind": lambda area, target: BindMount(source=DirectoryRoot(area + "/s"), target=target),
    "cache": lambda area, target: CacheMount(source=area + "/s", target=target),
    "tmpfs": lambda area, target: TmpfsMount(target=target),
    "secret": lambda area, target: SecretMount(content=b"x", target=target),
    "ssh": lambda area, target: SshMount(socket=area + "/agent", target=target),
}


@pytest.mark.parametrize("kind", list(MOUNTS))
def test_cve_2024_1753_a_target_link_leads_nowhere_outside(any_host: Host, kind: str) -> None:
    """The image's /link points at a directory of the machine: the mount lands inside the root instead."""

    def prepare(area: str, rootfs: Any) -> dict[str, Any]:
        os.makedirs(area + "/canary")
        os.makedirs(area + "/s")
        os.symlink(area + "/canary", top(rootfs) + "/link")
        os.symlink("../" * 20 + area.lstrip("/") + "/canary", top(rootfs) + "/link2")
        return {"mounts": (MOUNTS[kind](area, "/link/m"), MOUNTS[kind](area, "/link2/n"))}

    outcome = in_place(any_host, prepare, "ls /link/ | tr '\\n' ' '; readlink /link")
    assert outcome.out.split()[:2] == ["m", "n"], outcome
    canary = outcome.out.split()[-1]
    assert os.listdir(canary) == []


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_cve_2026_41579_a_system_directory_that_is_a_link_is_refused(host: Host, name: str) -> None:
    def prepare(_: str, rootfs: Any) -> dict[str, Any]:
        os.symlink("/etc", top(rootfs) + "/" + name)
        return {}

    outcome = in_place(host, prepare, "echo ran")
    assert outcome.out == ""
    assert f"/{name} of the root file system is not a directory" in outcome.error


@pytest.mark.parametrize("target", ["/", "//", "/.", "/a/.."])
def test_the_root_itself_is_no_mount_target(any_host: Host, target: str) -> None:
    outcome = any_host.run("echo ran", mounts=(TmpfsMount(target=target),))
    assert outcome.out == ""
    assert "invalid mount target" in outcome.error


def test_cve_2024_23651_a_source_swapped_for_a_link_meanwhile_is_never_followed(host: Host) -> None:
    """One thread swaps a directory of a cache for a link to the machine's root while runs mount it."""

    def work(sandbox: Any, _: object) -> list[str]:
        area = f"{host.folder}/race"
        os.makedirs(area + "/cache/real/etc")
        os.symlink("/", area + "/cache/link")
        stop = threading.Event()

        def swap() -> None:
            while not stop.is_set():
                os.rename(area + "/cache/real", area + "/cache/x")
                os.rename(area + "/cache/link", area + "/cache/real")
                os.rename(area + "/cache/real", area + "/cache/link")
                os.rename(area + "/cache/x", area + "/cache/real")

        thread = threading.Thread(target=swap)
        thread.start()
        seen = []
        for _ in range(60):
            mount = CacheMount(source=area + "/cache", subpath="real/etc", target="/m")
            seen.append(run_in(sandbox, host, argv=("/bin/ls", "/m"), mounts=(mount,)).out)
        stop.set()
        thread.join()
        return seen

    assert set(host.do(work)) == {""}
