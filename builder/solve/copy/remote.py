"""ADD from other machines: files by HTTP(S), commits of git repositories (C-23, C-24, C-27).

A file is kept as a blob, and what its server said of it in the plan cache: the next build asks whether it has changed,
and with a checksum it asks nobody. A repository is asked which commit a name means; each commit is checked out once a
build. Credentials come from secrets with well-known names and reach neither keys, arguments nor errors.
"""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from builder.context.archive import read_archive
from builder.context.directory import DirectoryTree
from builder.context.elsewhere import folder_inside
from builder.context.git import Repository, check_out, fetch_commit_time, find_commit
from builder.context.http import Fetched, fetch, file_name
from builder.context.ignore import NOTHING_IGNORED, IgnorePatterns
from builder.context.select import filtered
from builder.context.tree import EmptyTree, Node, ViewTree, newest_file
from builder.errors import Cancelled, ContextError, DigestMismatch
from builder.filesystem.entry import FILE, Entry
from builder.layer.content import FileContent
from builder.oci.canonical import Document, JsonObject, encode
from builder.oci.digest import Digest, digest_of, parse_digest
from builder.plan.step import GitSource, HttpSource
from builder.solve.copy.source import SelectedSource
from builder.web.address import AddressError, parse_address, without_credentials

if TYPE_CHECKING:
    from builder.store.store import Store

# Docker's for what it downloads, where no --chmod says otherwise (build `add-url`).
_FILE_MODE = 0o600


class RemoteSources:
    """The remote sources of one build, each fetched once. Safe to use from several threads."""

    def __init__(
        self, store: Store, *, secrets: Mapping[str, bytes] | None = None, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        self._store = store
        self._cancelled = cancelled
        self._secrets = secrets or {}
        self._lock = Lock()
        self._files: dict[HttpSource, SelectedSource] = {}
        self._commits: dict[Repository, str] = {}
        self._checkouts: dict[Repository, str] = {}

    def close(self) -> None:
        """Remove the checkouts."""
        for directory in self._checkouts.values():
            shutil.rmtree(directory, ignore_errors=True)
        self._checkouts = {}

    def select(self, source: HttpSource | GitSource, exclude: IgnorePatterns) -> Iterator[SelectedSource]:
        """Yield what `source` gives; `exclude` holds inside repositories. Raises ContextError, DigestMismatch."""
        if isinstance(source, GitSource):
            yield self._repository(source, exclude)
            return
        with self._lock:  # also while it is fetched: two steps that add one file must not both do that
            if source not in self._files:
                self._files[source] = self._file(source)
            found = self._files[source]
        yield found

    def timestamp(self, source: HttpSource | GitSource) -> int | None:
        """Return the time of `source`, in seconds since 1970; None for a file that has none.

        It is that of the commit, or the one that the server gives the file, else that of the archive's newest file.
        Raises ContextError, DigestMismatch.
        """
        if isinstance(source, GitSource):
            repository, commit = self._find(source)
            directory = self._store.temporary.path("commit")
            try:
                return fetch_commit_time(repository, commit, directory)
            finally:
                shutil.rmtree(directory, ignore_errors=True)
        found = next(self.select(source, NOTHING_IGNORED))
        return found.mtime if found.mtime > 0 else next((self._newest(node) for node in found.nodes()), None)

    def _newest(self, node: Node) -> int | None:
        if not isinstance(node.content, FileContent):
            return None
        try:
            with (
                open(node.content.path, "rb") as file,
                read_archive(file, self._store.temporary.path, "", large=self._store.large_layers) as archive,
            ):
                return newest_file(ViewTree(archive.view))
        except ContextError:
            return None  # it is no archive

    # --- files -------------------------------------------------------------------------------------------------------

    def _file(self, source: HttpSource) -> SelectedSource:
        shown = without_credentials(source.url)
        known = self._known(source.url)
        # Content that is named by its digest cannot change: nobody need be asked (C-23).
        if known is not None and source.checksum and known["digest"] == source.checksum:
            return self._selected(source.url, known)
        expected = _checksum(source.checksum)
        before = Fetched(known["etag"], known["last_modified"], known["modified"]) if known is not None else None
        try:
            # The checksum is compared before the blob gets its name: a wrong file is never in the store.
            with self._store.blobs.ingest(expected) as blob:
                fetched = fetch(
                    source.url, blob.write, headers=self._http_headers(source.url), known=before, check=self._check
                )
                digest = blob.commit() if fetched is not None else None
        except DigestMismatch as error:
            raise DigestMismatch(f"{shown}: {error.message}", hint="The file is not what --checksum says.") from error
        # 304, not modified: what is here is what the server has. --checksum may mean another file all the same.
        if fetched is None or digest is None:
            assert known is not None
            if source.checksum and known["digest"] != source.checksum:
                raise DigestMismatch(f"{shown}: expected {source.checksum}, found {known['digest']}")
            return self._selected(source.url, known)
        answer = {
            "digest": str(digest),
            "etag": fetched.etag,
            "last_modified": fetched.last_modified,
            "modified": fetched.modified,
        }
        self._store.documents.put(_answer_key(source.url), encode(answer))
        return self._selected(source.url, answer)

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled("the download was cancelled")

    def _known(self, url: str) -> JsonObject | None:
        """Return what the server said of a file, if the file is still in the store."""
        document = self._store.documents.find(_answer_key(url))
        if document is None:
            return None
        known: JsonObject = json.loads(document)
        return known if self._store.blobs.has(Digest(known["digest"])) else None

    def _selected(self, url: str, answer: Document) -> SelectedSource:
        digest = Digest(answer["digest"])
        name, modified = file_name(url), int(answer["modified"])
        size = self._store.blobs.size(digest)
        # An entry knows sha256 alone; where --checksum is of another algorithm, the file is hashed while it is copied.
        entry = Entry(
            name, FILE, _FILE_MODE, 0, 0, modified, size, digest=digest.encoded if digest.algorithm == "sha256" else ""
        )
        node = Node(entry, FileContent(self._store.blobs.ensure(digest)) if size else b"")
        return SelectedSource(without_credentials(url), name, False, EmptyTree(), name, modified, lambda: iter([node]))

    def _http_headers(self, url: str) -> dict[str, str]:
        host = _host(url)
        header = self._secret(f"HTTP_AUTH_HEADER_{host}")
        token = self._secret(f"HTTP_AUTH_TOKEN_{host}")
        if header:
            return {"Authorization": header}
        return {"Authorization": f"Bearer {token}"} if token else {}

    # --- repositories ------------------------------------------------------------------------------------------------

    def _repository(self, source: GitSource, exclude: IgnorePatterns) -> SelectedSource:
        """Return a source that is known by its commit: nothing is checked out before its files are wanted."""
        repository, commit = self._find(source)
        fixed = {
            "commit": commit,
            "subdirectory": source.subdirectory,
            "git_dir": source.keep_git_dir,
            "submodules": source.submodules,
        }
        nodes = partial(self._checked_out, repository, commit, source.subdirectory, exclude)
        return SelectedSource(repository.shown, "", True, EmptyTree(), "", 0, nodes, fixed)

    def _find(self, source: GitSource) -> tuple[Repository, str]:
        """Return the repository, and the commit that is meant."""
        repository = Repository(
            remote=source.remote,
            reference=source.reference,
            submodules=source.submodules,
            keep_git_dir=source.keep_git_dir,
            commit_times=source.mtime == "commit",
            headers=self._git_headers(source.remote),
            ssh_socket=os.environ.get("SSH_AUTH_SOCK", ""),
        )
        with self._lock:
            if repository not in self._commits:
                self._commits[repository] = find_commit(repository)
        commit = self._commits[repository]
        if source.checksum and not commit.startswith(source.checksum):
            raise ContextError(f"{repository.shown}: expected commit {source.checksum}, found {commit}")
        return repository, commit

    def _checked_out(
        self, repository: Repository, commit: str, subdirectory: str, exclude: IgnorePatterns
    ) -> Iterator[Node]:
        with self._lock:
            directory = self._checkouts.get(repository)
            if directory is None:
                directory = self._store.temporary.path("repository")
                check_out(repository, commit, directory)
                self._checkouts[repository] = directory
        with DirectoryTree(folder_inside(directory, subdirectory, repository.shown)) as tree:
            yield from filtered(tree, "", exclude)

    def _git_headers(self, remote: str) -> tuple[str, ...]:
        if not remote.startswith(("http://", "https://")):
            return ()
        host = _host(remote)
        header = self._secret(f"GIT_AUTH_HEADER.{host}") or self._secret("GIT_AUTH_HEADER")
        token = self._secret(f"GIT_AUTH_TOKEN.{host}") or self._secret("GIT_AUTH_TOKEN")
        if header:
            return (f"Authorization: {header}",)
        if token:
            # BuildKit's user name for a token (source/git/source.go), the one that GitHub's tokens are used with.
            basic = b64encode(f"x-access-token:{token}".encode()).decode()
            return (f"Authorization: Basic {basic}",)
        return ()

    def _secret(self, name: str) -> str:
        value = self._secrets.get(name, b"").decode("utf-8", "replace").strip()
        # A newline in it would begin another header.
        if not value.isascii() or not value.isprintable():
            raise ContextError(
                f"the secret {name} is no text that a header can carry", hint="It has to be one line of ASCII."
            )
        return value


def _answer_key(url: str) -> Digest:
    return digest_of(b"http\0" + without_credentials(url).encode("utf-8", "surrogateescape"))


def _host(url: str) -> str:
    try:
        return parse_address(url).host.strip("[]")
    except AddressError as error:
        raise ContextError(str(error)) from error


def _checksum(text: str) -> Digest | None:
    return parse_digest(text) if text else None
