"""Root and two kinds of ordinary users, each with namespaces of their own: the machines of the sandbox tests."""

from __future__ import annotations

import codecs

from tests.sandbox.conftest import machine, machines, root_machine, users

__all__ = ["machine", "machines", "root_machine", "users"]

for _name in ("ascii", "latin-1", "utf-8"):
    codecs.lookup(_name)  # now: an ordinary user may not be able to read the interpreter's own files
