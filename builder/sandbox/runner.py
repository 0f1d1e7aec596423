"""What it means to run one process in one root: the seam that every isolation implements.

Comes in: a SandboxSpec. Goes out: output, piece by piece as it is written, and an ExitStatus. A command that fails is
a result; that it could not be started at all is a SandboxError.
"""

from __future__ import annotations

from typing import Protocol

from builder.linux.cancel import Cancel
from builder.sandbox.network.build_network import BuildNetwork
from builder.sandbox.process.attached import Screen
from builder.sandbox.spec import ExitStatus, OnOutput, SandboxSpec


class Sandbox(Protocol):
    """One way of isolating. `run` may be called from several threads at once."""

    name: str
    network: BuildNetwork
    """What runs get that ask for no network in particular; it may be started before the first of them."""

    def run(self, spec: SandboxSpec, *, on_output: OnOutput, cancel: Cancel) -> ExitStatus:
        """Run to the end. Raises SandboxError when it cannot be started, Cancelled once `cancel` has killed it."""
        ...

    def run_attached(
        self,
        spec: SandboxSpec,
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        init: bool = False,
        screen: Screen | None = None,
    ) -> ExitStatus:
        """Run with input from and output to these descriptors, passing on signals (attached.py). Main thread only.

        Of a run at a terminal, what is shown goes through `screen`.
        """
        ...

    def close(self) -> None:
        """Kill and reap everything that still runs."""
        ...
