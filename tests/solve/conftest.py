"""The machines of the sandbox tests (root and two kinds of ordinary users), and servers on loopback."""

from __future__ import annotations

from tests.sandbox.conftest import any_host, chroot_host, host, hosts, root_host, users
from tests.solve.remotes import repository, url

__all__ = ["any_host", "chroot_host", "host", "hosts", "repository", "root_host", "url", "users"]
