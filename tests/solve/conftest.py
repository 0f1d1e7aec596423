"""The machines of the sandbox tests (root and two kinds of ordinary users), and servers on loopback."""

from __future__ import annotations

from tests.sandbox.conftest import any_machine, chroot_machine, machine, machines, root_machine, users
from tests.solve.remotes import repository, url

__all__ = ["any_machine", "chroot_machine", "machine", "machines", "repository", "root_machine", "url", "users"]
