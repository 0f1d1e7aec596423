"""What a shell may complete a word with: names of a store that is there, stages and build arguments of a Dockerfile.

Nothing is made, locked or written, and nothing is fetched. What cannot be read has no names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from builder.dockerfile.syntax import read_instructions
from builder.errors import PybuildError
from builder.image.listing import load_local
from builder.oci.digest import short_digest
from builder.oci.reference import parse_reference
from builder.store.containers import Containers
from builder.store.store import Store, open_store

_ID = re.compile(r"(?:sha256:)?[0-9a-f]+")
_LONGEST_DOCKERFILE = 1 << 20  # bytes
_DOCKERFILES = ("Dockerfile", "Containerfile")


def image_words(root: str, begin: str) -> list[str]:
    """Return the names of images, and IDs once `begin` looks like the beginning of one."""
    try:
        with open_store(root, create=False) as store:
            names = [parse_reference(name).familiar for name, _ in store.names.items()]
            return [*names, *(_image_ids(store) if _ID.fullmatch(begin) else ())]
    except PybuildError:
        return []


def _image_ids(store: Store) -> Iterator[str]:
    for entry in {entry.digest: entry for entry in store.names.entries()}.values():
        try:
            yield short_digest(load_local(store, entry).id)
        except PybuildError:
            continue  # an image of which not all is here


def container_words(root: str, begin: str) -> list[str]:
    """Return the names of containers, and IDs once `begin` looks like the beginning of one."""
    try:
        with open_store(root, create=False) as store:
            records = list(Containers(store).walk())
    except PybuildError:
        return []
    return [record.name for record in records] + [
        record.short_id for record in records if _ID.fullmatch(begin) and record.id.startswith(begin)
    ]


def stage_words(file: str | None, context: str) -> list[str]:
    """Return the names of the stages of a Dockerfile, which may be unfinished."""
    found = []
    for keyword, words in _instructions(file, context):
        if keyword == "FROM" and len(words) == 3 and words[1].lower() == "as":
            found.append(words[2])
    return found


def argument_words(file: str | None, context: str) -> list[str]:
    """Return the names of the build arguments of a Dockerfile, which may be unfinished."""
    found = [
        word.partition("=")[0] for keyword, words in _instructions(file, context) if keyword == "ARG" for word in words
    ]
    return list(dict.fromkeys(found))


def _instructions(file: str | None, context: str) -> Iterator[tuple[str, list[str]]]:
    """Yield keyword and arguments of each instruction; of none when the file is not here, or no file."""
    paths = [file] if file else [os.path.join(context, name) for name in _DOCKERFILES]
    path = next((path for path in paths if os.path.isfile(path)), None)
    if path is None:
        return
    try:
        with open(path, "rb") as stream:
            text = stream.read(_LONGEST_DOCKERFILE).decode("utf-8", "replace")
        instructions = read_instructions(text, path).instructions
    except (OSError, PybuildError):
        return
    for each in instructions:
        yield each.keyword, [word.text for word in each.arguments]
