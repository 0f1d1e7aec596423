"""How the child of a fork server comes into its network, before it is anything else: joined, new, or as it was born."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from builder.errors import SandboxError
from builder.linux.network import enter_new_network, join_network
from builder.sandbox.process.channel import SETUP_FAILED, Channel
from builder.sandbox.refusal import with_errno


def enter_network(channel: int, joined: Sequence[int], *, new: bool) -> None:
    """Join the namespace that is open at the descriptor, or make one; a failure is reported, and ends the process."""
    try:
        for namespace in joined:
            join_network(namespace)
        if new:
            enter_new_network()
    except OSError as error:
        what = "the network of the build cannot be entered" if joined else "a network without connections cannot be had"
        with suppress(OSError):  # nobody waits any more
            failure = SandboxError(f"{what} here: {error.strerror}")
            Channel(channel).report_failure(with_errno(failure, error.errno or 0))
        os._exit(SETUP_FAILED)
