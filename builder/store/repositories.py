"""What registries have of this store's images: learned when something is pulled or pushed, and shown and used later.

    image   image ID, repository → digest that the repository has it under           docker's RepoDigests
    blob    digest → a repository that has it        a push to another one of its registry may have it mounted

A repository is its full name, docker.io/library/x. In a database of its own, which no cached build opens.
"""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection

from builder.oci.digest import Digest
from builder.store.database import Database

SCHEMA = """
CREATE TABLE image (
    id TEXT, repository TEXT, digest TEXT NOT NULL, PRIMARY KEY (id, repository)) WITHOUT ROWID;
CREATE TABLE blob (digest TEXT, repository TEXT, PRIMARY KEY (digest, repository)) WITHOUT ROWID;
"""


class Repositories:
    """What the store knows of registries. What is lost of it is learned again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, image_ids: Iterable[Digest], repository: str, digest: Digest, blobs: Iterable[Digest] = ()) -> None:
        """Remember that `repository` has images under `digest`, that of a manifest or index, and has `blobs`."""
        images = [(image_id, repository, digest) for image_id in image_ids]
        there = [(blob, repository) for blob in blobs]

        def change(connection: Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO image VALUES (?, ?, ?)", images)
            connection.executemany("INSERT OR IGNORE INTO blob VALUES (?, ?)", there)

        self._database.change(change)

    def digests(self) -> dict[tuple[str, str], Digest]:
        """Return (image ID, repository) → digest."""
        rows = self._database.rows("SELECT id, repository, digest FROM image")
        return {(image_id, repository): Digest(digest) for image_id, repository, digest in rows}

    def digests_of(self, image_id: Digest) -> dict[str, Digest]:
        """Return the digest under which each repository has an image."""
        rows = self._database.rows("SELECT repository, digest FROM image WHERE id = ? ORDER BY repository", (image_id,))
        return {repository: Digest(digest) for repository, digest in rows}

    def repository_with(self, blob: Digest, registry: str, but: str) -> str:
        """Return a repository of `registry`, other than `but`, that had a blob; empty when none is known.

        Without the registry's name, as the protocol has it.
        """
        rows = self._database.rows("SELECT repository FROM blob WHERE digest = ? ORDER BY repository", (blob,))
        beginning = f"{registry}/"
        found = (name for (name,) in rows if name.startswith(beginning) and name != but)
        return next(found, "").removeprefix(beginning)

    def forget(self, image_ids: Iterable[Digest]) -> None:
        """Forget what is known of images that are gone."""
        rows = [(image_id,) for image_id in image_ids]
        if rows:
            self._database.change(lambda connection: connection.executemany("DELETE FROM image WHERE id = ?", rows))
