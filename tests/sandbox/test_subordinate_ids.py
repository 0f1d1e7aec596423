"""Ordinary users whose ids come in several ranges, or cannot be mapped: what is foreseen is what they get."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from builder.errors import SandboxError
from builder.linux.single_id import one_id_only
from builder.sandbox.namespace import BuildNamespace, MappedRoot, SingleIdRoot, enter_build_namespace
from tests.sandbox.conftest import new_machine
from tests.sandbox.host import Host, become

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make ordinary users")
RANGES = ((700000000, 1000), (710000000, 70000), (720000000, 5))


@pytest.fixture(scope="module")
def several() -> Iterator[Host]:
    """A machine of a user with three ranges."""
    name = f"pbm{os.urandom(4).hex()}"
    none = ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"]
    subprocess.run(["useradd", "--no-create-home", *none, name], check=True, capture_output=True)
    for start, count in RANGES:
        words = ["--add-subuids", f"{start}-{start + count - 1}", "--add-subgids", f"{start}-{start + count - 1}"]
        subprocess.run(["usermod", *words, name], check=True, capture_output=True)
    host = new_machine(name)
    yield host
    subprocess.run(["rm", "-rf", host.folder], check=False)
    subprocess.run(["userdel", name], check=False, capture_output=True)


def test_all_ranges_are_mapped(several: Host) -> None:
    everything = 1 + sum(count for _, count in RANGES)

    def work(_: object, namespace: BuildNamespace) -> BuildNamespace:
        return namespace

    assert several.do(work) == MappedRoot(everything, everything)
    script = "touch /a && chown 1500:70500 /a && stat -c '%u %g' /a; chown 71005 /a && echo last; chown 71006 /a"
    outcome = several.run(script)
    assert outcome.out == "1500 70500\nlast\n", outcome
    assert "Invalid argument" in outcome.err


def foreseen_and_entered(user: str, path: str | None) -> tuple[bool, BuildNamespace | str]:
    """What is foreseen of a user, and what entering a namespace gives; in a child, since that is for good."""
    import pickle

    read, write = os.pipe()
    if os.fork() == 0:
        try:
            become(user)
            if path is not None:
                os.environ["PATH"] = path
            result: object = one_id_only()
            try:
                result = (result, enter_build_namespace())
            except SandboxError as error:
                result = (result, error.message)
            os.write(write, pickle.dumps(result))
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        result = pickle.loads(file.read())
    os.wait()
    assert isinstance(result, tuple)
    return result


def test_without_path_the_tools_are_where_they_always_are(several: Host) -> None:
    single, namespace = foreseen_and_entered(several.user, "/nowhere")
    assert not single
    assert isinstance(namespace, MappedRoot)


def test_tools_without_set_user_id_are_foreseen_to_map_nothing(several: Host) -> None:
    """As an image has them that was made by somebody who copied files."""
    tools = ("/usr/bin/newuidmap", "/usr/bin/newgidmap")
    if os.fork() == 0:
        # In a mount namespace of its own, where they are not what they are.
        try:
            from builder.linux.mount import make_private, mount
            from builder.linux.process import CLONE_NEWNS, unshare

            unshare(CLONE_NEWNS)
            make_private()
            for tool in tools:
                plain = f"{several.folder}/{os.path.basename(tool)}"
                subprocess.run(["cp", "--preserve=mode", tool, plain], check=True)
                os.chmod(plain, 0o755)
                mount(plain, tool, flags=4096)
            single, namespace = foreseen_and_entered(several.user, None)
            assert single
            assert isinstance(namespace, SingleIdRoot)
            assert "not set-user-ID root" in namespace.reason
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
