"""Contexts that are no directory of this machine: a tar or a Dockerfile on a stream, a file of a server, a repository.

In: a stream or an address. Out: an archive, the text of a Dockerfile, the directory of a checkout. load.py comes here
through a gate: a build from directories loads no git and nothing that reads archives.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from io import BytesIO
from typing import BinaryIO

from builder.context.archive import Archive, Readable, Replayed, is_archive, read_archive
from builder.context.dockerfile_file import read_dockerfile_stream
from builder.context.git import Repository, check_out, commit_time, find_commit, is_in_repository
from builder.dockerfile.git_url import GitReference, GitReferenceError, parse_git_ref
from builder.errors import ContextError, UsageError
from builder.filesystem.resolve import Root
from builder.store.store import Store
from builder.web.address import without_credentials

_SNIFFED_BYTES = 1 << 20
"""Enough for bzip2, which gives nothing before a whole block of at most 900,000 bytes."""


class Elsewhere:
    """What is brought here for the contexts of one build; `stack` removes it."""

    def __init__(self, store: Store, stack: ExitStack) -> None:
        self._store = store
        self._stack = stack

    def repository(self, text: str) -> GitReference | None:
        """Do `parse_repository`."""
        return parse_repository(text)

    def shown(self, url: str) -> str:
        """Return a URL as messages may show it, without user and password."""
        return without_credentials(url)

    def read_stream(self, stream: Readable, what: str) -> Archive | bytes:
        """Read a tar, or what is none: the text of a Dockerfile. Raises ContextError."""
        whole = Replayed(stream, _SNIFFED_BYTES)
        if not is_archive(BytesIO(whole.head)):
            return read_dockerfile_stream(whole, what)
        return self.read_archive(whole, what)

    def read_archive(self, stream: Readable, what: str) -> Archive:
        """Read a tar. Raises ContextError."""
        # Among the temporary files of the store: a worker in another process opens the two files by their paths.
        archive = read_archive(stream, self._store.temporary.path, what, large=self._store.large_layers)
        return self._stack.enter_context(archive)

    @contextmanager
    def fetched(self, url: str) -> Iterator[tuple[BinaryIO, int]]:
        """Give the file at `url`, which is gone afterwards, and its time in seconds since 1970, 0 when it has none.

        Raises ContextError.
        """
        from builder.context.http import fetch  # gate: network. urllib3 takes 50 ms

        path = self._store.temporary.path("download")
        try:
            with open(path, "xb") as file:
                found = fetch(url, file.write)
            with open(path, "rb") as file:
                yield file, max(found.modified, 0) if found is not None else 0
        finally:
            if os.path.exists(path):
                os.unlink(path)

    def check_out(self, git: GitReference, *, keep_git_dir: bool) -> tuple[str, int]:
        """Check a repository out; return the directory, or the folder of it that the URL names, and the commit's time.

        `keep_git_dir` is for a URL that says nothing of it. Raises ContextError.
        """
        repository = Repository(
            remote=git.remote,
            reference=git.reference,
            submodules=git.submodules is not False,
            keep_git_dir=keep_git_dir if git.keep_git_dir is None else git.keep_git_dir,
            commit_times=git.mtime == "commit",
            ssh_socket=os.environ.get("SSH_AUTH_SOCK", ""),
        )
        directory = self._store.temporary.path("repository")
        # Before anything is there: a checkout that fails half-way has to go, too.
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        commit = find_commit(repository)
        if git.checksum and not commit.startswith(git.checksum):
            raise ContextError(f"{repository.shown}: expected commit {git.checksum}, found {commit}")
        timestamp = check_out(repository, commit, directory)
        return folder_inside(directory, git.subdirectory, repository.shown), timestamp

    def commit_time(self, directory: str) -> int:
        """Return the time of the commit that is checked out, in seconds since 1970. Raises ContextError."""
        return commit_time(directory)

    def find_commit_time(self, directory: str) -> int | None:
        """Do `commit_time` for what may lie in no repository, and then has none."""
        return commit_time(directory) if is_in_repository(directory) else None


def folder_inside(directory: str, subdirectory: str, what: str) -> str:
    """Return a folder of `directory`; links in a repository lead nowhere out of it. Raises ContextError."""
    if not subdirectory:
        return directory
    with Root(directory) as root:
        path = os.path.join(directory, root.resolve(subdirectory))
    if not os.path.isdir(path):
        raise ContextError(f"{what} has no directory {subdirectory!r}")
    return path


def parse_repository(text: str) -> GitReference | None:
    """Return what a git URL says, None when `text` is none. Raises UsageError for one that makes no sense."""
    try:
        git = parse_git_ref(text, context=True)
    except GitReferenceError as error:
        raise UsageError(str(error) if error.__cause__ else f"{without_credentials(text)}: {error}") from error
    if git is not None and git.remote.startswith("github.com/"):
        return replace(git, remote=f"https://{git.remote}")
    return git
