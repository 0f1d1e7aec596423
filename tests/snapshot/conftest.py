"""Root and two kinds of ordinary users, each with namespaces of their own: the machines of the sandbox tests."""

from __future__ import annotations

from tests.sandbox.conftest import machine, machines, root_machine, users

__all__ = ["machine", "machines", "root_machine", "users"]
