"""How the child of a fork server comes into its network, before it is anything else: joined, new, or as it was born."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from builder.linux.network import enter_new_network, join_network

_FAILED = 125


def enter_network(channel: int, joined: Sequence[int], *, new: bool) -> None:
    """Join the namespace that is open at the descriptor, or make one; what fails is told, and ends the process."""
    try:
        for namespace in joined:
            join_network(namespace)
        if new:
            enter_new_network()
    except OSError as error:
        what = "the network of the build cannot be entered" if joined else "a network without connections cannot be had"
        message = {"error": f"{what} here: {error.strerror}", "hint": "", "errno": error.errno}
        with socket.socket(fileno=channel) as told, suppress(OSError):  # nobody waits any more
            told.send(json.dumps(message).encode())
        os._exit(_FAILED)
