"""User namespaces: how an ordinary user becomes root among their own files (man 7 user_namespaces, man 5 subuid).

    /etc/subuid, /etc/subgid  "tester:100000:65536", "tester:300000:1000"
        inside 0              = the user
        inside 1..65536       = 100000..165535      written by newuidmap and newgidmap, which are set-user-ID root
        inside 65537..66536   = 300000..300999

Without such a line, or without those programs, only the user's own id is mapped, as 0; setgroups(2) is then off for
good. The maps must be written by a process outside the new namespace, so a helper is forked before it is entered.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from builder.linux.process import CLONE_NEWUSER, PR_SET_DUMPABLE, prctl, unshare
from builder.linux.subordinate_ids import (
    RANGE_LIMIT,
    Range,
    find_tool,
    mapped_ids,
    subordinate_ranges,
    user_name,
    why_no_subordinate_ids,
)


@dataclass(frozen=True, slots=True)
class IdMaps:
    """What a new user namespace got."""

    uids: int
    """How many user ids are mapped, from 0 up."""

    gids: int

    reason: str = ""
    """Why there is only one id, when there is."""


def enter_user_namespace(flags: int = 0) -> IdMaps:
    """Move this process, which must have one thread, into a new user namespace (and others in `flags`), as its root.

    Raises OSError when the namespace cannot be had; the process is then unchanged.
    """
    uid, gid = os.geteuid(), os.getegid()
    prctl(PR_SET_DUMPABLE, 1)  # after a change of ids, the files of /proc/PID belong to root (man 5 proc)
    ready_read, ready_write = os.pipe()
    answer_read, answer_write = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(ready_write)
        os.close(answer_read)
        _run_helper(os.getppid(), uid, gid, ready_read, answer_write)
    os.close(ready_read)
    os.close(answer_write)
    try:
        unshare(CLONE_NEWUSER | flags)
        os.write(ready_write, b"x")
    finally:
        os.close(ready_write)
        answer = _read_all(answer_read)
        os.close(answer_read)
        os.waitpid(helper, 0)
    uids, gids, reason = answer.split("\n", 2)
    if uids == "0":
        raise OSError(int(gids) or errno.EPERM, f"the id maps of a new user namespace cannot be written: {reason}")
    return IdMaps(int(uids), int(gids), reason)


def _run_helper(target: int, uid: int, gid: int, ready: int, answer: int) -> None:
    """Write the maps of `target` once it is inside; report "uids, gids, reason" or "0, errno, reason", a line each."""
    try:
        if os.read(ready, 1) == b"x":
            maps = _write_maps(target, uid, gid)
            os.write(answer, f"{maps.uids}\n{maps.gids}\n{maps.reason}".encode())
        else:
            os.write(answer, b"0\n0\n")
    except Exception as error:  # the helper has no one else to tell
        number, words = (error.errno, error.strerror) if isinstance(error, OSError) else (0, "")
        os.write(answer, f"0\n{number or 0}\n{words or error}".encode())
    finally:
        os._exit(0)


def _write_maps(target: int, uid: int, gid: int) -> IdMaps:
    reason = ""
    if uid == 0:
        # Root inside another container: all that it has, as it is.
        uids, gids = (min(mapped_ids(f"/proc/self/{name}"), RANGE_LIMIT) for name in ("uid_map", "gid_map"))
        try:
            _write(f"/proc/{target}/uid_map", f"0 0 {uids}")
            _write(f"/proc/{target}/gid_map", f"0 0 {gids}")
            return IdMaps(uids, gids)
        except OSError as error:
            reason = str(error)
    else:
        reason = why_no_subordinate_ids(uid)
        if not reason:
            return _write_ranges(target, uid, gid)
    _write(f"/proc/{target}/setgroups", "deny")
    _write(f"/proc/{target}/uid_map", f"0 {uid} 1")
    _write(f"/proc/{target}/gid_map", f"0 {gid} 1")
    return IdMaps(1, 1, reason)


def _write_ranges(target: int, uid: int, gid: int) -> IdMaps:
    """Map all that is foreseen, or fail: keys of the cache were made for it. Raises OSError."""
    user = user_name(uid)
    uids = subordinate_ranges("/etc/subuid", user, uid)
    gids = subordinate_ranges("/etc/subgid", user, uid, gid)
    _run_tool("newuidmap", target, uid, uids)
    _run_tool("newgidmap", target, gid, gids)
    return IdMaps(1 + sum(count for _, count in uids), 1 + sum(count for _, count in gids))


def _run_tool(name: str, target: int, own: int, subordinate: tuple[Range, ...]) -> None:
    path = find_tool(name)
    if path is None:
        raise OSError(errno.ENOENT, f"{name} is not there any more")
    lines = [(0, own, 1)]
    for start, count in subordinate:
        inside = lines[-1][0] + lines[-1][2]
        lines.append((inside, start, count))
    arguments = [name, str(target), *(str(number) for line in lines for number in line)]
    # The tool inherits what this process has; its complaints must not appear in the middle of a build.
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in range(3)]
    child = os.posix_spawn(path, arguments, {"PATH": "/usr/bin:/bin"}, file_actions=actions)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        ranges = ", ".join(f"{start}:{count}" for start, count in subordinate)
        raise OSError(errno.EIO, f"{path} refused {ranges} (exit code {status}); see /etc/subuid and /etc/subgid")


def _write(path: str, text: str) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(text.encode())


def _read_all(descriptor: int) -> str:
    parts = []
    while part := os.read(descriptor, 4096):
        parts.append(part)
    return b"".join(parts).decode(errors="replace") or "0\n0\n"
