"""A clear no of the kernel, and what is none."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import SandboxError
from builder.linux.process import CLONE_NEWNS, unshare
from builder.linux.user_namespace import enter_user_namespace
from builder.sandbox.namespace import BuildNamespace, NoNamespace, enter_build_namespace
from builder.sandbox.refusal import errno_of, is_clear_no, is_fault, namespaces_are_forbidden
from tests.sandbox.host import Host
from tests.support.plain_container import become_plain

NO = ("EPERM", "EACCES", "ENOSYS", "EOPNOTSUPP", "EINVAL", "ENODEV")
FAULTS = ("ENOENT", "ENOSPC", "EMFILE", "ENFILE", "EAGAIN", "EINTR", "ENOMEM", "EIO", "EDQUOT", "EBUSY")


def told(number: int) -> SandboxError:
    """As it comes from the process that met it: in other words, with the system's error as its cause."""
    error = SandboxError("cannot mount on /x")
    error.__cause__ = OSError(number, os.strerror(number))
    return error


@pytest.mark.parametrize("name", NO)
def test_a_clear_no_may_lead_to_less_isolation(name: str) -> None:
    number = getattr(errno, name)
    assert is_clear_no(told(number))
    assert is_clear_no(OSError(number, ""))
    assert not is_fault(told(number))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_never_does(name: str) -> None:
    number = getattr(errno, name)
    assert not is_clear_no(told(number))
    assert not is_clear_no(OSError(number, ""))
    assert is_fault(told(number))


def test_what_no_system_call_said_is_no_clear_no() -> None:
    assert errno_of(SandboxError("a trial ended with exit code 3")) == 0
    assert not is_clear_no(SandboxError("a trial ended with exit code 3"))


@pytest.mark.parametrize(("text", "forbidden"), [("0\n", True), ("15000\n", False)])
@pytest.mark.parametrize("kind", ["user", "mnt", "pid", "uts"])
def test_a_limit_of_zero_forbids(tmp_path: Path, kind: str, text: str, forbidden: bool) -> None:
    (tmp_path / f"max_{kind}_namespaces").write_text(text)
    assert namespaces_are_forbidden(str(tmp_path)) is forbidden


def entered(host: Host, prepare: str) -> BuildNamespace | str:
    """What entering the namespaces gives in a place that `prepare` makes, by name; the message when it is an error."""

    def work(*_: object) -> BuildNamespace | str:
        PLACES[prepare]()
        try:
            return enter_build_namespace()
        except SandboxError as error:
            return f"{error.message} ({error.hint})"

    return host.do(work)  # type: ignore[no-any-return]


def limited_to(count: int) -> None:
    """Go into a user namespace that may make `count` namespaces of a kind, and make them."""
    enter_user_namespace()
    for kind in ("user", "mnt"):
        Path(f"/proc/sys/user/max_{kind}_namespaces").write_text(str(count))
    for _ in range(count):
        unshare(CLONE_NEWNS)


PLACES: dict[str, Callable[[], None]] = {
    "plain": become_plain,
    "forbidden": lambda: limited_to(0),
    "used up": lambda: limited_to(1),
}


def test_root_of_a_plain_container_is_refused(root_host: Host) -> None:
    found = entered(root_host, "plain")
    assert found == NoNamespace(
        "root may not make a mount namespace here: Operation not permitted; no user namespace: Operation not permitted"
    )


def test_a_policy_that_allows_no_namespaces_is_a_refusal(root_host: Host) -> None:
    found = entered(root_host, "forbidden")
    assert isinstance(found, NoNamespace)
    assert "No space left on device" in found.reason


def test_too_many_namespaces_at_the_moment_are_a_fault(root_host: Host) -> None:
    found = entered(root_host, "used up")
    assert isinstance(found, str)
    assert "entering the namespaces that RUN needs: No space left on device" in found
    assert "nothing was run with less isolation" in found
