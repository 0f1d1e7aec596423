"""Paths as Dockerfiles and ignore files write them. Pure text: nothing is looked up."""

from __future__ import annotations


def clean(path: str) -> str:
    """Return the shortest equal path, as Go's path.Clean: no double slashes, "." or inner ".."; "" becomes "."."""
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if parts and parts[-1] != "..":
                parts.pop()
                continue
            if rooted:
                continue
        parts.append(part)
    return ("/" if rooted else "") + "/".join(parts) or "."


def inside_root(path: str) -> str:
    """Return `path` relative to the root it is cleaned against: a leading slash or ".." leads nowhere else (C-9)."""
    return clean("/" + path)[1:]


def leads_out(path: str) -> bool:
    """Say whether `path`, taken from a root, leads above it before it is cleaned."""
    return clean(path.lstrip("/")).split("/")[0] == ".."


def join(parent: str, name: str) -> str:
    """Return the path of `name` in the directory `parent`; "" is the root, as either."""
    return f"{parent}/{name}" if parent and name else parent or name


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    return path.rpartition("/")[2]
