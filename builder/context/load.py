"""Build contexts: from what the user says to trees that COPY reads and a Dockerfile.

    PATH                     a directory (dockerfile_file.py finds Dockerfile and ignore file)
    -                        standard input: a tar, compressed or not, or a Dockerfile alone
    git URL                  a checkout (git.py)
    http(s) URL              a tar, or a Dockerfile alone (http.py)
    name=… (--build-context) a directory, a git URL or a tar by URL; loaded when a step first reads from it

Ignore files hold for directories only, as in BuildKit: what comes from elsewhere is taken whole.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from builder.context.directory import DirectoryTree
from builder.context.dockerfile_file import (
    MAX_DOCKERFILE_BYTES,
    NAMES,
    FoundDockerfile,
    find_dockerfile,
    read_inside,
)
from builder.context.ignore import NOTHING_IGNORED, IgnorePatterns
from builder.context.ignore_file import FoundIgnore, find_ignore
from builder.context.named import check_named_contexts, not_found
from builder.context.own_store import store_inside
from builder.context.paths import inside_root
from builder.context.tree import EmptyTree, Tree, ViewTree, newest_file
from builder.errors import ContextError, UsageError
from builder.filesystem.resolve import Root

if TYPE_CHECKING:
    from builder.context.archive import Archive, Readable
    from builder.dockerfile.git_url import GitReference
    from builder.store.store import Store

STANDARD_INPUT = "-"
_URL_SCHEMES = ("http://", "https://")
_SNIFFED_BYTES = 1 << 20
"""Enough for bzip2, which gives nothing before a whole block of at most 900,000 bytes."""


def load_context(
    location: str,
    dockerfile: str | None,
    named: Mapping[str, str],
    store: Store,
    *,
    stdin: Readable | None = None,
    keep_git_dir: bool = False,
    warn: Callable[[str, str], None] = lambda *_: None,
) -> BuildContext:
    """Open the context at `location` and read its Dockerfile. `stdin` is what "-" reads, normally standard input.

    `keep_git_dir` keeps the .git of a main context whose URL says nothing of it. `warn` gets rule and message of each
    warning: an ignore file that cannot be used, a file that grows while it is read. Raises ContextError, UsageError,
    and SourceError for a bad ignore file.
    """
    check_named_contexts(named, lambda value: parse_repository(value) is not None)
    context = BuildContext(named, store, warn, keep_git_dir=keep_git_dir)
    try:
        context.load(location, dockerfile, stdin or sys.stdin.buffer)
    except BaseException:
        context.close()
        raise
    return context


class BuildContext:
    """The contexts of one build, safe to use from several threads; a context manager."""

    dockerfile: bytes
    dockerfile_name: str
    """What messages call it."""
    identity: str
    """The same for the next build from the same place, which is compared with this one."""

    def __init__(
        self, named: Mapping[str, str], store: Store, warn: Callable[[str, str], None], *, keep_git_dir: bool
    ) -> None:
        self._named = named
        self._warn = warn
        self._keep_git_dir = keep_git_dir
        self._store = store
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._trees: dict[str, Tree] = {}
        self._moments: dict[str, int] = {}
        """Times of contexts that come with one, in seconds since 1970: commits, and files that a server gave one."""
        self._directory = ""
        self._grown: set[str] = set()
        self._grown_lock = threading.Lock()  # not the other, which is held while a context is fetched

    def __enter__(self) -> BuildContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def tree(self, name: str) -> Tree:
        """Return a context by name; "" is the main one. Raises ContextError."""
        with self._lock:  # held while it is loaded: two steps that read it must not fetch it twice
            if name not in self._trees:
                if name not in self._named:
                    raise ContextError(f"there is no build context named {name!r}")
                self._trees[name] = self._load_named(name, self._named[name])
            return self._trees[name]

    def commit_time(self) -> int:
        """Return the commit time of the context's repository, in seconds since 1970. Raises ContextError."""
        from builder.context.git import commit_time

        return self._moments[""] if "" in self._moments else commit_time(self._directory)

    def timestamp(self, name: str) -> int | None:
        """Return the time of a context, in seconds since 1970; None for one that has none. Raises ContextError.

        It is the time of a commit or of the file that was fetched; or that of an archive's newest file.
        """
        tree = self.tree(name)
        if name in self._moments:
            return self._moments[name]
        if isinstance(tree, DirectoryTree):
            from builder.context.git import commit_time, is_in_repository

            directory = self._named[name] if name else self._directory
            return commit_time(directory) if is_in_repository(directory) else None
        return newest_file(tree)

    def load(self, location: str, dockerfile: str | None, stdin: Readable) -> None:
        """Open the main context; see `load_context`."""
        self.identity = without_credentials(location) if "://" in location else location
        if location == STANDARD_INPUT:
            if dockerfile == STANDARD_INPUT:
                raise UsageError("standard input cannot be both the build context and the Dockerfile")
            self._load_stream(stdin, dockerfile, "the build context on standard input")
            return
        text = _read_dockerfile(stdin) if dockerfile == STANDARD_INPUT else None
        if os.path.isdir(location):  # before anything that its name may look like, as docker does
            self._load_directory(location, dockerfile, text)
            return
        git = parse_repository(location)
        if git is not None:
            self._load_repository(git, dockerfile, text)
        elif location.startswith(_URL_SCHEMES):
            with self._download(location, "") as stream:
                self._load_stream(stream, dockerfile, without_credentials(location), text)
        else:
            raise _no_context(location)

    def _load_directory(self, location: str, dockerfile: str | None, text: bytes | None) -> None:
        self._directory = location
        found = FoundDockerfile(text, location, NAMES[0]) if text is not None else find_dockerfile(location, dockerfile)
        self.dockerfile, self.dockerfile_name = found.text, dockerfile or found.name
        self.identity = f"{os.path.realpath(location)}\0{os.path.realpath(os.path.join(found.directory, found.name))}"
        ignore = find_ignore(location, found if text is None else None)
        self._trees[""] = self._open_directory(location, self._heard(ignore))

    def _load_stream(self, stream: Readable, dockerfile: str | None, what: str, text: bytes | None = None) -> None:
        """Read a tar, or a Dockerfile alone, from a stream; `text` is the Dockerfile when it came another way."""
        from builder.context.archive import Replayed, is_archive

        whole = Replayed(stream, _SNIFFED_BYTES)
        if not is_archive(BytesIO(whole.head)):
            self.dockerfile, self.dockerfile_name = text or _read_all(whole, what), NAMES[0]
            self._trees[""] = EmptyTree(int(time.time()))
            return
        archive = self._stack.enter_context(self._read_archive(whole, what))
        self._trees[""] = ViewTree(archive.view, int(time.time()))
        for name in (dockerfile,) if dockerfile and text is None else NAMES:
            found = archive.view.read(inside_root(name), MAX_DOCKERFILE_BYTES) if text is None else text
            if found is not None:
                self.dockerfile, self.dockerfile_name = found, name
                return
        raise ContextError(f"failed to read dockerfile: {what} holds no {dockerfile or NAMES[0]}")

    def _load_repository(self, git: GitReference, dockerfile: str | None, text: bytes | None) -> None:
        self._directory = self._check_out(git, "")
        self._trees[""] = self._open_directory(self._directory, NOTHING_IGNORED)
        if text is None and dockerfile is not None:
            text = read_inside(self._directory, inside_root(dockerfile), MAX_DOCKERFILE_BYTES)
            if text is None:
                raise ContextError(f"failed to read dockerfile: the repository holds no {dockerfile}")
            self.dockerfile, self.dockerfile_name = text, dockerfile
        elif text is not None:
            self.dockerfile, self.dockerfile_name = text, NAMES[0]
        else:
            found = find_dockerfile(self._directory, None)
            self.dockerfile, self.dockerfile_name = found.text, found.name

    def _load_named(self, name: str, value: str) -> Tree:
        if os.path.isdir(value):
            return self._open_directory(value, self._heard(find_ignore(value, None)))
        git = parse_repository(value)
        if git is not None:
            return self._open_directory(self._check_out(git, name), NOTHING_IGNORED)
        if value.startswith(_URL_SCHEMES):
            with self._download(value, name) as stream:
                archive = self._read_archive(stream, without_credentials(value))
            return ViewTree(self._stack.enter_context(archive).view, int(time.time()))
        raise not_found(name, value)

    def _read_archive(self, stream: Readable, what: str) -> Archive:
        from builder.context.archive import read_archive

        return read_archive(stream, self._store.temporary.path, what, large=self._store.large_layers)

    def _heard(self, found: FoundIgnore) -> IgnorePatterns:
        """Warn of ignore files that were passed over, and return the rules."""
        for sentence in found.passed_over:
            self._warn("UnusableIgnoreFile", sentence)
        return found.patterns

    def _open_directory(self, path: str, ignore: IgnorePatterns) -> DirectoryTree:
        stamps = self._store.stat_cache.context(path)
        store = store_inside(path, self._store.root)
        return self._stack.enter_context(DirectoryTree(path, ignore, stamps, store=store, grew=self._note_growth))

    def _note_growth(self, path: str) -> None:
        """Warn, once, of a file that something writes to."""
        with self._grown_lock:
            if path in self._grown:
                return
            self._grown.add(path)
        self._warn("GrowingFile", f"{path!r} grew while it was read: what it held when it was listed is taken")

    @contextmanager
    def _download(self, url: str, name: str) -> Iterator[BinaryIO]:
        """Give the file at `url`, which is gone afterwards, for the context `name`."""
        from builder.context.http import fetch

        path = self._store.temporary.path("download")
        try:
            with open(path, "xb") as file:
                fetched = fetch(url, file.write)
            if fetched is not None and fetched.modified > 0:
                self._moments[name] = fetched.modified
            with open(path, "rb") as file:
                yield file
        finally:
            if os.path.exists(path):
                os.unlink(path)

    def _check_out(self, git: GitReference, name: str) -> str:
        """Check the context `name` out; return the directory, or the folder of it that the URL names."""
        from builder.context.git import Repository, check_out, find_commit

        repository = Repository(
            remote=git.remote,
            reference=git.reference,
            submodules=git.submodules is not False,
            keep_git_dir=self._keep_git_dir and not name if git.keep_git_dir is None else git.keep_git_dir,
            commit_times=git.mtime == "commit",
            ssh_socket=os.environ.get("SSH_AUTH_SOCK", ""),
        )
        import shutil  # compressors come with it: not for a directory

        directory = self._store.temporary.path("repository")
        # Before anything is there: a checkout that fails half-way has to go, too.
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        commit = find_commit(repository)
        if git.checksum and not commit.startswith(git.checksum):
            raise ContextError(f"{repository.shown}: expected commit {git.checksum}, found {commit}")
        self._moments[name] = check_out(repository, commit, directory)
        return folder_inside(directory, git.subdirectory, repository.shown)


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
    if "://" not in text and "@" not in text and not text.startswith("github.com/"):
        return None
    from builder.dockerfile.git_url import GitReferenceError, parse_git_ref

    try:
        git = parse_git_ref(text, context=True)
    except GitReferenceError as error:
        raise UsageError(str(error) if error.__cause__ else f"{without_credentials(text)}: {error}") from error
    if git is not None and git.remote.startswith("github.com/"):
        return replace(git, remote=f"https://{git.remote}")
    return git


def without_credentials(url: str) -> str:
    from builder.web.address import without_credentials  # not for a directory

    return without_credentials(url)


def _read_dockerfile(stdin: Readable) -> bytes:
    return _read_all(stdin, "the Dockerfile on standard input")


def _read_all(stream: Readable, what: str) -> bytes:
    text = b""
    while more := stream.read(MAX_DOCKERFILE_BYTES + 1 - len(text)):
        text += more
    if len(text) > MAX_DOCKERFILE_BYTES:
        raise ContextError(f"{what} is neither an archive nor a Dockerfile: it is too long for one")
    return text


def _no_context(location: str) -> ContextError:
    if os.path.exists(location):
        return ContextError(
            f"the build context {location!r} is not a directory", hint="To build from a tar, use `-` and <."
        )
    return ContextError(
        f"the build context {location!r} does not exist", hint="Give a directory, `-`, or a git or HTTP(S) URL."
    )
