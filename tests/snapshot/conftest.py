"""Root and two kinds of ordinary users, each with namespaces of their own: the machines of the sandbox tests."""

from __future__ import annotations

import codecs

from tests.sandbox.conftest import host, hosts, root_host, users

__all__ = ["host", "hosts", "root_host", "users"]

for _name in ("ascii", "latin-1", "utf-8"):
    codecs.lookup(_name)  # now: an ordinary user may not be able to read the interpreter's own files
