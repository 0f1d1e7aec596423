"""Whether the files have changed that may hold aliases of image names (builder.registry.configuration reads them).

A plan, and a receipt, stand on what a short name meant. On most machines there are no such files, and nothing to load.
"""

from __future__ import annotations

import os
from collections.abc import Mapping


def alias_files(environ: Mapping[str, str] = os.environ) -> list[list[str | int]]:
    """Return path, times in ns, inode and size of every file that is there; an alias that changes changes them."""
    if named := environ.get("CONTAINERS_REGISTRIES_CONF"):
        return _present([named])
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    paths = []
    for directory in ("/etc/containers", f"{home}/containers"):
        paths.append(f"{directory}/registries.conf")
        try:
            paths += [f"{directory}/registries.conf.d/{name}" for name in os.listdir(f"{directory}/registries.conf.d")]
        except OSError:
            continue  # not there; one that cannot be read is an error of whoever has to read it
    return _present(sorted(paths))


def _present(paths: list[str]) -> list[list[str | int]]:
    found: list[list[str | int]] = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        # A file that took the place of another one may have brought its time along (cp -p, mv).
        found.append([path, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size])
    return found
