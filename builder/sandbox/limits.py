"""Limits of memory and processors: control groups made for one run, which its first process enters before the command.

    options ──▶ settings (limit_settings.py) ──▶ a group in each hierarchy that has one of them

Where one can't be written nothing is run: the error names the flag, the group and the reason.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from builder.errors import SandboxError
from builder.linux.process import reap
from builder.oci.run_options import RunOptions, numbers_of
from builder.sandbox.limit_settings import Setting, settings_of
from builder.sandbox.process.hierarchies import (
    KERNEL,
    Group,
    GroupFiles,
    Hierarchy,
    Version,
    enter_groups,
    new_group,
    read_file,
    read_hierarchies,
)
from builder.sandbox.refusal import fault_while, is_fault
from builder.sandbox.spec import ExitStatus

_SUBTREE = "cgroup.subtree_control"
_TRIAL_SECONDS = 10.0
_KILLED = 128 + signal.SIGKILL
_PARENT_FLAG = "--cgroup-parent"
_HINT = (
    "Run it as root where control groups can be written to, or leave the flag out; where they are of version 2, "
    "`systemd-run --user --scope -p Delegate=yes pybuild …` gives an ordinary user some."
)


@dataclass(frozen=True, slots=True)
class LimitGroups:
    """The groups of one run."""

    groups: tuple[Group, ...] = ()
    unified: Group | None = None
    """That of them which is of version 2."""
    memory: str = ""
    """The directory that has the limit of memory; "" for none."""

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(group.path for group in self.groups)

    def judged(self, status: ExitStatus) -> ExitStatus:
        """Return how a run in them ended, with whether it failed after the kernel had killed a process for memory."""
        # A command that succeeded has nothing to explain, whatever of it was killed.
        return replace(status, memory_limit_reached=status.code != 0 and self._memory_limit_was_reached(status))

    def _memory_limit_was_reached(self, status: ExitStatus) -> bool:
        if not self.memory:
            return False
        counts = False
        for file in ("memory.events", "memory.oom_control"):  # of version 2 and 1
            for line in read_file(f"{self.memory}/{file}").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill" and int(count) > 0:
                    return True
                counts = counts or name == "oom_kill"
        # It counts no kills before Linux 4.13, and none in groups that a runtime has made below. What was reached may
        # be page cache alone, so then only a process that was killed tells.
        if counts and status.code != _KILLED:
            return False
        limit = int(read_file(f"{self.memory}/memory.limit_in_bytes") or 0)
        most = int(read_file(f"{self.memory}/memory.max_usage_in_bytes") or 0)
        return 0 < limit <= most

    def close(self) -> None:
        """Remove them; no process may be left in them."""
        for group in self.groups:
            group.close()


class Limits:
    """Makes groups for runs in these hierarchies."""

    def __init__(self, hierarchies: Sequence[Hierarchy], files: GroupFiles = KERNEL) -> None:
        self._hierarchies = hierarchies
        self._files = files

    def open(self, options: RunOptions) -> LimitGroups:
        """Make groups in which the limits of `options` hold. Raises SandboxError, which names what can't be."""
        found = LimitGroups()
        try:
            for hierarchy, wanted in self._assigned(options):
                group = self._new_group(hierarchy, wanted, options.cgroup_parent)
                has_memory = any(setting.controller == "memory" for setting in wanted)
                found = LimitGroups(
                    (*found.groups, group),
                    group if hierarchy.version == 2 else found.unified,
                    group.path if has_memory else found.memory,
                )
                # After the group is noted: what is refused here removes it as well.
                self._write(group.path, hierarchy, wanted)
        except BaseException:
            found.close()
            raise
        return found

    def _assigned(self, options: RunOptions) -> list[tuple[Hierarchy, list[Setting]]]:
        """Give each hierarchy that needs a group, with what is to be written there. Raises SandboxError."""
        found: list[tuple[Hierarchy, list[Setting]]] = []
        for hierarchy in self._hierarchies:
            settings = settings_of(options, hierarchy.version)
            wanted = [setting for setting in settings if setting.controller in hierarchy.controllers]
            # Docker's parent is one in every hierarchy; those that only name things (systemd's) limit nothing.
            is_asked = bool(options.cgroup_parent) and not any("=" in name for name in hierarchy.controllers)
            if wanted or is_asked:
                found.append((hierarchy, wanted))
        there = {name for hierarchy in self._hierarchies for name in hierarchy.controllers}
        for setting in settings_of(options, 2):
            if setting.controller not in there:
                raise _refused(setting.flag, f"no control groups with the controller {setting.controller} are here")
        if not found:
            raise _refused(_PARENT_FLAG, "no control groups are here")
        return found

    def _new_group(self, hierarchy: Hierarchy, wanted: Sequence[Setting], parent: str) -> Group:
        if parent:
            places = [self._make_parent(hierarchy, group_path(parent), wanted)]
        elif hierarchy.version == 1 or hierarchy.own == hierarchy.point:
            places = [hierarchy.own]
        else:
            # Groups in one that has processes, as that of this process, can't have controllers: then one beside it.
            places = [hierarchy.own, os.path.dirname(hierarchy.own)]
        failures = []
        for place in places:
            try:
                self._enable(place, hierarchy, wanted)
                return self._new_in(place, hierarchy)
            except OSError as error:
                failures.append(_refusal(wanted[0].flag if wanted else _PARENT_FLAG, place, error))
            except SandboxError as error:
                failures.append(error)
        raise failures[-1]

    def _make_parent(self, hierarchy: Hierarchy, parent: str, wanted: Sequence[Setting]) -> str:
        """Return the directory of the group `parent`; what is missing of it is made, and stays, as Docker's does.

        Raises SandboxError.
        """
        place = hierarchy.point
        for name in filter(None, parent.split("/")):
            above, place = place, f"{place}/{name}"
            try:
                self._enable(above, hierarchy, wanted)
                if not os.path.isdir(place):
                    with suppress(FileExistsError):  # another run of the build has made it meanwhile
                        self._files.make(place)
                    self._inherit_cpuset(place, hierarchy)
            except OSError as error:
                raise _refusal(_PARENT_FLAG, place, error) from error
        return place

    def _new_in(self, place: str, hierarchy: Hierarchy) -> Group:
        group = new_group(place, self._files)
        try:
            self._inherit_cpuset(group.path, hierarchy)
        except BaseException:
            group.close()
            raise
        return group

    def _enable(self, place: str, hierarchy: Hierarchy, wanted: Sequence[Setting]) -> None:
        """Let groups in the one at `place` have what is wanted. Raises OSError, SandboxError."""
        if hierarchy.version == 1:
            return
        # Threaded controllers may be enabled in a group that has processes, which then can have no groups with
        # processes of their own (kernel: cgroup-v2, Threads). Only the root of all is spared, and has no type.
        if wanted and place == hierarchy.own and os.path.exists(f"{place}/cgroup.type"):
            raise _has_processes(wanted[0], place)
        enabled = read_file(f"{place}/{_SUBTREE}").split()
        for setting in wanted:
            if setting.controller in enabled:
                continue
            try:
                self._files.write(f"{place}/{_SUBTREE}", f"+{setting.controller}")
            except OSError as error:
                if error.errno == errno.EBUSY:
                    raise _has_processes(setting, place) from error
                if error.errno == errno.ENOENT:
                    raise _refused(
                        setting.flag, f"the control group {place} has no controller {setting.controller}"
                    ) from error
                raise

    def _write(self, path: str, hierarchy: Hierarchy, wanted: Sequence[Setting]) -> None:
        for setting in wanted:
            _check_available((os.path.dirname(path), hierarchy.own), hierarchy.version, setting)
            file = f"{path}/{setting.file}"
            if not os.path.exists(file):
                if setting.required:
                    raise _refused(setting.flag, f"this kernel has no {setting.file}")
                continue
            try:
                self._files.write(file, setting.value)
            except OSError as error:
                # EACCES is also what the kernel says of processors that the group above has not.
                if not os.access(file, os.W_OK) or is_fault(error):
                    raise _refusal(setting.flag, path, error) from error
                why = f"the kernel does not take {setting.value} for {setting.file} ({error.strerror})"
                raise _refused(setting.flag, why, hint="Give another value, or leave the flag out.") from error

    def _inherit_cpuset(self, path: str, hierarchy: Hierarchy) -> None:
        """Give a new group of version 1 the processors and nodes of the one above it.

        It has none, and takes no process before it has some (kernel: cgroup-v1/cpusets). Raises OSError.
        """
        if hierarchy.version == 1 and "cpuset" in hierarchy.controllers:
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not read_file(f"{path}/{name}").strip():
                    self._files.write(f"{path}/{name}", read_file(f"{os.path.dirname(path)}/{name}").strip())


def limits_here() -> Limits:
    """Return what makes groups on this machine. Raises SandboxError for a fault."""
    try:
        return Limits(read_hierarchies())
    except OSError as error:
        raise fault_while("looking for control groups", error) from error


@contextmanager
def limited(options: RunOptions) -> Iterator[LimitGroups]:
    """Make the groups that one run needs, and remove them after it. Raises SandboxError."""
    groups = limits_here().open(options) if options.limits_groups else LimitGroups()
    try:
        yield groups
    finally:
        groups.close()


def check_limits(options: RunOptions) -> None:
    """Make groups for `options`, move a process into them, and remove them: so no step is run where one could not be.

    The process must have one thread. Raises SandboxError, which names the limit, the reason, and what to do.
    """
    with limited(options) as groups:
        if not groups.groups:
            return
        # With this process in it, the group could not be removed again.
        child = os.fork()
        if child == 0:
            os._exit(_try_to_enter(groups.paths))
        status = reap(child, _TRIAL_SECONDS)
    # A child that did not end in time says nothing of rights: a fault, to be tried again (refusal.py).
    number = errno.EAGAIN if status is None else abs(os.waitstatus_to_exitcode(status))
    if number:
        raise _refusal(_first_flag(options), " and ".join(groups.paths), OSError(number, os.strerror(number)))


def _try_to_enter(paths: Sequence[str]) -> int:
    try:
        enter_groups(paths)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def group_path(parent: str) -> str:
    """Return where the group called `parent` is below the root of a hierarchy; systemd's slices by their own rule.

    a-b.slice lies in a.slice (man 5 systemd.slice).
    """
    path = os.path.normpath(parent).strip("/")
    if "/" in path or not path.endswith(".slice"):
        return path
    words = path.removesuffix(".slice").split("-")
    return "/".join("-".join(words[:count]) + ".slice" for count in range(1, len(words) + 1))


def _check_available(above: Sequence[str], version: Version, setting: Setting) -> None:
    """Refuse processors and nodes that are not there: version 2 takes them, and then goes by what is left or by all.

    The first group of `above` that can say what there is decides. Raises SandboxError.
    """
    if setting.controller != "cpuset":
        return
    name = setting.file.replace(".", ".effective_") if version == 1 else f"{setting.file}.effective"
    available = next(filter(None, (read_file(f"{place}/{name}").strip() for place in above)), "")
    if available and not numbers_of(setting.value) <= numbers_of(available):
        why = f"{setting.value} is asked for, and {available} is there"
        raise _refused(setting.flag, why, hint="Give another list, or leave the flag out.")


def _first_flag(options: RunOptions) -> str:
    settings = settings_of(options, 2)
    return settings[0].flag if settings else _PARENT_FLAG


def _refusal(flag: str, place: str, error: OSError) -> SandboxError:
    """Return what to raise when a group could not be made, opened or entered."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return _refused(flag, f"no write access to the control group {place}")
        case errno.EROFS:
            return _refused(flag, f"the control group {place} is mounted read-only")
        case errno.ENOENT:
            return _refused(flag, f"there is no control group {place}")
        case _ if is_fault(error):
            return fault_while(f"using the control group {place} for {flag}", error)
        case _:
            return _refused(flag, f"the control group {place} can't be used ({error.strerror})")


def _has_processes(setting: Setting, place: str) -> SandboxError:
    why = f"the control group {place} has processes, so groups in it can't have the controller {setting.controller}"
    return _refused(setting.flag, why)


def _refused(flag: str, why: str, *, hint: str = _HINT) -> SandboxError:
    return SandboxError(f"{flag} cannot be applied: {why}", hint=hint)
