"""config.json of an OCI bundle, worked out from a SandboxSpec; pure (runtime-spec v1.2 config.md, config-linux.md)."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass

from builder.linux.mount import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from builder.linux.process import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)
from builder.linux.seccomp import PRETENDED, REFUSED
from builder.sandbox.limit_settings import oci_resources
from builder.sandbox.mounts.standard_mounts import MASKED, READ_ONLY
from builder.sandbox.process.cgroups import has_cgroup_namespaces
from builder.sandbox.process.privileges import granted
from builder.sandbox.spec import DEFAULT_SHM_BYTES, SandboxSpec

SPEC_VERSION = "1.0.2"
"""What every runtime in use understands."""

_EPERM, _ENOSYS = 1, 38
_CLONE_NEW_FLAGS = (CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET)
_S_IFMT = 0o170000
_DEVICE_KINDS = (stat.S_IFCHR, stat.S_IFBLK)
_OPTIONS = {MS_RDONLY: "ro", MS_NOSUID: "nosuid", MS_NODEV: "nodev", MS_NOEXEC: "noexec"}
_STRICT = ["nosuid", "noexec", "nodev"]
_UNLIMITED = 2**64 - 1

TerminalSize = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True, slots=True)
class Source:
    """One mount of the spec, with its source at a path."""

    target: str
    path: str | None
    """None for a tmpfs."""

    flags: int
    tmpfs_options: str


def config(
    spec: SandboxSpec,
    root: str,
    sources: Sequence[Source],
    *,
    user_namespace: bool,
    single_id: bool,
    terminal: TerminalSize | None,
) -> dict[str, object]:
    """The whole document; `root` is the path of the mounted root file system, `terminal` the size of what it gets."""
    cgroup = ["cgroup"] if has_cgroup_namespaces() else []
    # No user namespace, which was entered before; a network is the caller's to join, but for one without connections.
    namespaces = ["pid", "ipc", "uts", "mount", *cgroup, *(["network"] if spec.network == "none" else [])]
    linux: dict[str, object] = {"namespaces": [{"type": name} for name in namespaces]}
    if resources := oci_resources(spec.options):
        linux["resources"] = resources
    if not spec.insecure:
        linux |= {"maskedPaths": list(MASKED), "readonlyPaths": list(READ_ONLY), "seccomp": _seccomp(single_id)}
    return {
        "ociVersion": SPEC_VERSION,
        "process": _process(spec, single_id, terminal),
        "root": {"path": root, "readonly": False},
        "hostname": spec.hostname,
        "mounts": [*_system_mounts(spec, user_namespace, single_id), *(_mount(source) for source in sources)],
        "linux": linux,
    }


def _process(spec: SandboxSpec, single_id: bool, terminal: TerminalSize | None) -> dict[str, object]:
    capabilities = [f"CAP_{name}" for name in sorted(granted(spec))]
    user: dict[str, object] = {"uid": 0, "gid": 0}
    if not single_id:
        user = {"uid": spec.uid, "gid": spec.gid, "additionalGids": list(spec.group_list)}
    return {
        "terminal": terminal is not None,
        **({} if terminal is None else {"consoleSize": {"height": terminal[0], "width": terminal[1]}}),
        "user": {**user, "umask": 0o022},
        "args": list(spec.argv),
        "env": list(spec.env),
        "cwd": spec.cwd,
        # None are inheritable (CVE-2022-24769), and none ambient: as docker has it.
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        "rlimits": [
            {"type": f"RLIMIT_{name.upper()}", "soft": _limit(soft), "hard": _limit(hard)}
            for name, soft, hard in spec.options.ulimits
        ],
        # sudo and su work in a build, as they do in docker's.
        "noNewPrivileges": False,
    }


def _limit(value: int) -> int:
    return _UNLIMITED if value < 0 else value


def _system_mounts(spec: SandboxSpec, user_namespace: bool, single_id: bool) -> list[dict[str, object]]:
    shm = DEFAULT_SHM_BYTES if spec.options.shm_size is None else spec.options.shm_size
    # devpts is refused where the namespace has no number for the group.
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] + ([] if single_id else ["gid=5"])
    access = "rw" if spec.insecure else "ro"
    # A sysfs of one's own takes a network namespace of one's own; so the machine's is shown.
    if user_namespace:
        sys = _system("/sys", "bind", "/sys", ["rbind", *_STRICT, access])
    else:
        sys = _system("/sys", "sysfs", "sysfs", [*_STRICT, access])
    return [
        _system("/proc", "proc", "proc", _STRICT),
        _system("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _system("/dev/pts", "devpts", "devpts", pts),
        _system("/dev/shm", "tmpfs", "shm", [*_STRICT, "mode=1777", f"size={shm}"]),
        _system("/dev/mqueue", "mqueue", "mqueue", _STRICT),
        sys,
        # Not a cgroup mount: crun refuses one where version 1 and 2 are mixed. What is bound there shows the machine's.
        *([_system("/sys/fs/cgroup", "tmpfs", "tmpfs", [*_STRICT, "ro", "size=4k"])] if user_namespace else []),
    ]


def _system(destination: str, kind: str, source: str, options: list[str]) -> dict[str, object]:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def _mount(source: Source) -> dict[str, object]:
    options = [word for flag, word in _OPTIONS.items() if source.flags & flag]
    if source.path is None:
        return _system(source.target, "tmpfs", "tmpfs", [*options, *source.tmpfs_options.split(",")])
    return _system(source.target, "bind", source.path, ["bind", *options])


def _seccomp(single_id: bool) -> dict[str, object]:
    """The filters of linux/seccomp.py in the runtime's own terms."""
    # clone3 has its flags behind a pointer, which no filter can follow; told ENOSYS, programs use clone (moby
    # profiles/seccomp/default.json).
    rules = [_refuse(REFUSED, _EPERM), _refuse(("clone3",), _ENOSYS)]
    rules += [_refuse(("clone",), _EPERM, _masked(0, flag, flag)) for flag in _CLONE_NEW_FLAGS]
    if single_id:
        rules.append(_refuse(PRETENDED, 0))
        for name, argument in (("mknod", 1), ("mknodat", 2)):
            rules += [_refuse((name,), 0, _masked(argument, _S_IFMT, kind)) for kind in _DEVICE_KINDS]
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}


def _refuse(names: Sequence[str], error: int, *arguments: dict[str, object]) -> dict[str, object]:
    rule: dict[str, object] = {"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": error}
    return {**rule, "args": list(arguments)} if arguments else rule


def _masked(index: int, mask: int, value: int) -> dict[str, object]:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
