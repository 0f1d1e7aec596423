"""A command as root of a plain container has it: Docker's capabilities and system call filter, no namespace to be had.

python -m tests.support.plain_container COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import os
import sys

from builder.linux.capabilities import DOCKER_DEFAULT, limit_bounding, mask, set_capabilities
from builder.linux.seccomp import docker_profile, install


def become_plain() -> None:
    """Lose for good what root of a plain container does not have."""
    install(docker_profile())
    limit_bounding(mask(DOCKER_DEFAULT))
    set_capabilities(mask(DOCKER_DEFAULT))


if __name__ == "__main__":
    become_plain()
    os.execvp(sys.argv[1], sys.argv[1:])
