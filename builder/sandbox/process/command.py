"""The last step: find the program as the image's PATH says, and become it.

127   not found          126   found, but cannot be run         (what shells and `docker run` use)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

NOT_FOUND = 127
NOT_EXECUTABLE = 126

TRIAL = "/isolation-trial"
"""A command that no image has: that nothing but it was missing proves that everything before it works."""

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Docker's, for an image that sets none."""


def execute(argv: Sequence[str], env: Sequence[str]) -> NoReturn:
    """Replace this process by the command; on failure say why on stderr and exit with 126 or 127."""
    environment = dict(item.split("=", 1) for item in env if "=" in item[1:])
    encoded = {_bytes(name): _bytes(value) for name, value in environment.items()}
    name = argv[0] if argv else ""
    failure = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for candidate in candidates(name, env):
        try:
            os.execve(_bytes(candidate), [_bytes(word) for word in argv], encoded)
        except (OSError, ValueError) as error:
            found = error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
            # As execvp(3): go on past what is not there, and remember what is but may not be run.
            if found.errno not in (errno.ENOENT, errno.ENOTDIR):
                failure = found
                if found.errno != errno.EACCES:
                    break
            elif os.path.isfile(candidate):
                failure = OSError(errno.ENOENT, "its interpreter or loader is not in the image")
                break
    _give_up(name, failure)


def candidates(name: str, env: Sequence[str]) -> list[str]:
    """The paths at which a command called `name` may be, in order."""
    if not name:
        return []
    if "/" in name:
        return [name]
    # The last one counts, as in the dict above.
    path = next((item[5:] for item in reversed(env) if item.startswith("PATH=")), _DEFAULT_PATH)
    return [os.path.join(folder or ".", name) for folder in path.split(":")]


def report_not_found(name: str) -> NoReturn:
    """Say that there is no such command, as `execute` does, and exit."""
    _give_up(name, OSError(errno.ENOENT, os.strerror(errno.ENOENT)))


def _give_up(name: str, failure: OSError) -> NoReturn:
    if failure.errno == errno.ENOENT:
        # Go's words (os/exec, ErrNotFound), which users of docker know.
        known = "executable file not found in $PATH" if "/" not in name else "no such file or directory"
        reason = known if failure.strerror == os.strerror(errno.ENOENT) else failure.strerror
    elif failure.errno == errno.ENOEXEC:
        reason = "exec format error (a script needs a #! line; a program must be built for this machine)"
    else:
        reason = (failure.strerror or str(failure)).lower()
    with suppress(OSError):
        os.write(2, f'exec: "{name}": {reason}\n'.encode(errors="surrogateescape"))
    os._exit(NOT_FOUND if failure.errno == errno.ENOENT else NOT_EXECUTABLE)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
