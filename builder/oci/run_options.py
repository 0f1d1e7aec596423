"""What a user asks of every RUN of a build: one value, from the command line to the process.

A new option is a field here, a flag of the command line, its place in `key_document` if it can reach a layer, its words
in builder.solve.reason.words, and whatever carries it out in builder.sandbox.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class RunOptions(NamedTuple):
    add_hosts: tuple[tuple[str, str], ...] = ()
    """(host, address) pairs for /etc/hosts."""
    shm_size: int | None = None
    """Bytes of /dev/shm; None for Docker's 64 MiB."""
    ulimits: tuple[tuple[str, int, int], ...] = ()
    """(name, soft, hard) as man 2 setrlimit has them; -1 is unlimited."""

    def key_document(self) -> dict[str, Any]:
        """Return, as JSON, what of the options is part of a cache key: of hosts the names alone, as in BuildKit."""
        document: dict[str, Any] = {}
        if self.add_hosts:
            document["hosts"] = sorted(name for name, _ in self.add_hosts)
        if self.shm_size is not None:
            document["shm_size"] = self.shm_size
        if self.ulimits:
            document["ulimits"] = [list(limit) for limit in self.ulimits]
        return document


NO_OPTIONS = RunOptions()
