"""A command's output can be opened by name, whoever the command is."""

from __future__ import annotations

import os
import stat

import pytest

from builder.sandbox.runner import Sandbox
from tests.sandbox.host import Host, Outcome, run_in, top

OWNERS = [(0, 0), (1000, 1000), (4321, 1234)]
WAYS = [
    "echo out > /dev/stdout; echo err > /dev/stderr",
    "echo out >> /dev/stdout; echo err >> /dev/stderr",
    "cd /dev/shm; ln -s /dev/stdout access; ln -s ../stderr error; echo out > access; echo err > error",
    "echo out | tee /dev/stderr | sed s/out/err/ > /dev/null; echo out; sh -c 'exec 2>/dev/stderr; echo err >&2'",
    "sh -c 'echo out > /dev/stdout' > /dev/stdout 2> /dev/stderr; (echo err > /dev/stderr) &\nwait",
]


def said(outcome: Outcome) -> tuple[int, set[str], set[str]]:
    return outcome.code, set(outcome.out.split()), set(outcome.err.split()) - {"out"}


@pytest.mark.parametrize("owner", OWNERS, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_every_user_can_open_the_standard_streams(any_host: Host, owner: tuple[int, int], way: str) -> None:
    uid, gid = owner
    assert said(any_host.run(way, uid=uid, gid=gid)) == (0, {"out"}, {"err"})


@pytest.mark.parametrize("owner", OWNERS, ids=str)
def test_they_can_be_opened_by_their_descriptors(host: Host, owner: tuple[int, int]) -> None:
    uid, gid = owner
    way = "echo out > /proc/self/fd/1; echo err > /dev/fd/2"
    assert said(host.run(way, uid=uid, gid=gid)) == (0, {"out"}, {"err"})


def test_a_user_cannot_open_those_of_another_one(root_host: Host) -> None:
    """As in docker: the pipe belongs to the command's user, and to no other."""
    script = "su alice -c 'id -u; echo out > /dev/stdout' 2>/dev/null || echo denied"
    assert root_host.run(script).out == "1000\ndenied\n"


def test_much_output_by_name_arrives_whole(any_host: Host) -> None:
    outcome = any_host.run("yes 0123456789 | head -n 30000 > /dev/stdout", uid=1000, gid=1000)
    assert outcome.code == 0
    assert outcome.out == "0123456789\n" * 30000


def test_standard_input_is_empty_by_name(any_host: Host) -> None:
    assert any_host.run("cat /dev/stdin; echo $?", uid=1000, gid=1000).out == "0\n"


def test_a_closed_stream_does_not_hang_whoever_opens_it_by_name(chroot_host: Host) -> None:
    outcome = chroot_host.run("exec >&- 2>&-; echo lost > /dev/stdout; exit 3")
    assert outcome.code == 3


def test_nothing_of_them_stays_in_the_root(chroot_host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> bool:
        rootfs = chroot_host.new_root()
        run_in(sandbox, chroot_host, rootfs=rootfs, argv=("/bin/sh", "-c", "echo > /dev/stdout"))
        return any(stat.S_ISFIFO(os.lstat(os.path.join(p, n)).st_mode) for p, _, ns in os.walk(top(rootfs)) for n in ns)

    assert not chroot_host.do(work)
