"""Paths inside a file system that is being planned. They are text: nothing exists yet, no symlink is followed."""

from __future__ import annotations

import posixpath


def join(directory: str, path: str) -> str:
    """Return `path` cleaned, absolute, relative to `directory`."""
    cleaned = posixpath.normpath(posixpath.join("/", directory, path))
    # POSIX lets exactly two leading slashes mean something of their own; nothing here does.
    return "/" + cleaned.lstrip("/")


def destination(directory: str, path: str) -> str:
    """Return where COPY puts things: absolute, with a trailing slash when the words mean a directory (C-2)."""
    # Before the path is cleaned, which takes slash and dot away.
    is_directory = path in ("", ".") or path.endswith(("/", "/."))
    return join(directory, path).rstrip("/") + "/" if is_directory else join(directory, path)


def working_directory(current: str, path: str) -> str:
    """Return what WORKDIR stores: an absolute path stays as it is written, a relative one is joined (W-1, Z-17)."""
    return path if path.startswith("/") else join(current, path)
