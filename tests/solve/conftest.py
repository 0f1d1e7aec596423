"""Root and two kinds of ordinary users, each with namespaces of their own: the machines of the sandbox tests."""

from __future__ import annotations

from tests.sandbox.conftest import any_machine, chroot_machine, machine, machines, root_machine, users

__all__ = ["any_machine", "chroot_machine", "machine", "machines", "root_machine", "users"]
