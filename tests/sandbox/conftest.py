"""Machines for the sandbox tests: root, an ordinary user with subordinate ids, and one without."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.sandbox.host import Host
from tests.support.busybox import BUSYBOX


@pytest.fixture(scope="session")
def users() -> Iterator[dict[str, str]]:
    """Kind → name of an ordinary user made for this test run, with subordinate ids or without."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make ordinary users")
    mark = os.urandom(4).hex()  # other rooms borrow this fixture: each has users of its own
    names = {"ranges": f"pbr{mark}", "single": f"pbs{mark}"}
    none = ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"]
    for kind, name in names.items():
        options = none if kind == "single" else []
        subprocess.run(["useradd", "--no-create-home", *options, name], check=True, capture_output=True)
    yield names
    for name in names.values():
        subprocess.run(["userdel", name], check=False, capture_output=True)


def new_machine(user: str) -> Host:
    folder = tempfile.mkdtemp(prefix="pybuild-sandbox-test-")
    os.chmod(folder, 0o755)
    base = os.path.join(folder, "busybox")
    for path in ("bin", "tmp", "etc", "usr/share"):
        os.makedirs(os.path.join(base, path))
    shutil.copy(BUSYBOX, os.path.join(base, "bin/busybox"))
    names = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            os.symlink("busybox", os.path.join(base, "bin", name))
    os.chmod(os.path.join(base, "tmp"), 0o1777)
    with open(os.path.join(base, "etc/passwd"), "w", encoding="utf-8") as file:
        file.write("root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n")
    if user != "root":
        subprocess.run(["chown", "-R", user, folder], check=True)
    return Host(folder, user)


@pytest.fixture(scope="session")
def hosts(users: dict[str, str]) -> Iterator[dict[str, Host]]:
    if not BUSYBOX:
        pytest.fail("busybox-static is not installed")
    made = {"root": new_machine("root"), **{kind: new_machine(name) for kind, name in users.items()}}
    yield made
    for host in made.values():
        subprocess.run(["rm", "-rf", host.folder], check=False)


@pytest.fixture(params=["root", "ranges", "single"])
def host(request: pytest.FixtureRequest, hosts: dict[str, Host]) -> Host:
    """Every kind of user, natively isolated."""
    return hosts[request.param]


@pytest.fixture
def root_host(hosts: dict[str, Host]) -> Host:
    return hosts["root"]


@pytest.fixture
def chroot_host(hosts: dict[str, Host]) -> Host:
    return replace(hosts["root"], isolation="chroot")


@pytest.fixture(params=["root", "ranges", "single", "chroot", "oci"])
def any_host(request: pytest.FixtureRequest, hosts: dict[str, Host]) -> Host:
    """Every kind of user and of isolation."""
    if request.param == "oci" and not (shutil.which("crun") or shutil.which("runc")):
        pytest.skip("neither crun nor runc is installed")
    if request.param in ("chroot", "oci"):
        return replace(hosts["root"], isolation=request.param)
    return hosts[request.param]
