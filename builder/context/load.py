"""Build contexts: from what the user says to trees that COPY reads and a Dockerfile.

    PATH                     a directory (dockerfile_file.py finds Dockerfile and ignore file)
    -                        standard input: a tar, compressed or not, or a Dockerfile alone
    git URL                  a checkout (git.py)
    http(s) URL              a tar, or a Dockerfile alone (http.py)
    name=… (--build-context) a directory, a git URL or a tar by URL; loaded when a step first reads from it

Ignore files hold for directories only, as in BuildKit: what comes from elsewhere (elsewhere.py) is taken whole.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from builder.context.directory import DirectoryTree
from builder.context.dockerfile_file import (
    MAX_DOCKERFILE_BYTES,
    NAMES,
    FoundDockerfile,
    find_dockerfile,
    read_dockerfile_stream,
    read_inside,
)
from builder.context.ignore import NOTHING_IGNORED, IgnorePatterns
from builder.context.ignore_file import FoundIgnore, find_ignore
from builder.context.location import (
    ContextArchive,
    ContextDirectory,
    ContextLocation,
    EmptyContext,
    GrowthWarning,
    open_directory,
)
from builder.context.named import check_named_contexts, not_found
from builder.context.paths import inside_root
from builder.context.tree import EmptyTree, Tree, ViewTree, newest_file
from builder.errors import ContextError, UsageError

if TYPE_CHECKING:
    from builder.context.archive import Archive, Readable
    from builder.context.elsewhere import Elsewhere
    from builder.dockerfile.git_url import GitReference
    from builder.store.store import Store

STANDARD_INPUT = "-"
_URL_SCHEMES = ("http://", "https://")
_DOCKERFILE_STREAM = "the Dockerfile on standard input"


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
    context = BuildContext(named, store, warn, keep_git_dir=keep_git_dir)
    try:
        # Before anything is fetched: a name that could never be used is a mistake of the command line.
        check_named_contexts(named, lambda value: context.repository(value) is not None)
        context.load(location, dockerfile, stdin or sys.stdin.buffer)
    except BaseException:
        # A checkout or a download may be there already.
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
        self._archives: dict[str, ContextArchive] = {}
        self._moments: dict[str, int] = {}
        """Times of contexts that come with one, in seconds since 1970: commits, and files that a server gave one."""
        self._directory = ""
        # One time for all: what no tar names was made when the build began.
        self._made_at = int(time.time())
        self._note_growth = GrowthWarning(self._warn)

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

    def location(self, name: str) -> ContextLocation:
        """Return where the context of that name lies, for another process to open. Raises ContextError."""
        tree = self.tree(name)
        if isinstance(tree, DirectoryTree):
            return ContextDirectory(os.path.abspath(tree.path), tree.ignore.rules)
        return self._archives[name] if name in self._archives else EmptyContext(self._made_at)

    def commit_time(self) -> int:
        """Return the commit time of the context's repository, in seconds since 1970. Raises ContextError."""
        return self._moments[""] if "" in self._moments else self._elsewhere.commit_time(self._directory)

    def timestamp(self, name: str) -> int | None:
        """Return the time of a context, in seconds since 1970; None for one that has none. Raises ContextError.

        It is the time of a commit or of the file that was fetched; or that of an archive's newest file.
        """
        tree = self.tree(name)
        if name in self._moments:
            return self._moments[name]
        if isinstance(tree, DirectoryTree):
            return self._elsewhere.find_commit_time(self._named[name] if name else self._directory)
        return newest_file(tree)

    def repository(self, text: str) -> GitReference | None:
        """Return what a git URL says, None when `text` is none. Raises UsageError for one that makes no sense."""
        # Before the gate: a plain path loads nothing of git.
        if "://" not in text and "@" not in text and not text.startswith("github.com/"):
            return None
        return self._elsewhere.repository(text)

    def load(self, location: str, dockerfile: str | None, stdin: Readable) -> None:
        """Open the main context; see `load_context`."""
        self.identity = self._elsewhere.shown(location) if "://" in location else location
        if location == STANDARD_INPUT:
            if dockerfile == STANDARD_INPUT:
                raise UsageError("standard input cannot be both the build context and the Dockerfile")
            self._load_stream(stdin, dockerfile, "the build context on standard input")
            return
        text = read_dockerfile_stream(stdin, _DOCKERFILE_STREAM) if dockerfile == STANDARD_INPUT else None
        if os.path.isdir(location):  # before anything that its name may look like, as docker does
            self._load_directory(location, dockerfile, text)
            return
        git = self.repository(location)
        if git is not None:
            self._load_repository(git, dockerfile, text)
        elif location.startswith(_URL_SCHEMES):
            with self._fetched(location, "") as stream:
                self._load_stream(stream, dockerfile, self._elsewhere.shown(location), text)
        else:
            raise _no_context(location)

    def _load_directory(self, location: str, dockerfile: str | None, text: bytes | None) -> None:
        self._directory = location
        found = FoundDockerfile(text, location, NAMES[0]) if text is not None else find_dockerfile(location, dockerfile)
        self.dockerfile, self.dockerfile_name = found.text, dockerfile or found.name
        self.identity = f"{os.path.realpath(location)}\0{os.path.realpath(os.path.join(found.directory, found.name))}"
        # A Dockerfile on standard input lies beside nothing, and so has no ignore file of its own.
        ignore = find_ignore(location, found if text is None else None)
        self._trees[""] = self._open_directory(location, self._heard(ignore))

    def _load_stream(self, stream: Readable, dockerfile: str | None, what: str, text: bytes | None = None) -> None:
        """Read a tar, or a Dockerfile alone, from a stream; `text` is the Dockerfile when it came another way."""
        archive = self._elsewhere.read_stream(stream, what)
        if isinstance(archive, bytes):
            self.dockerfile, self.dockerfile_name = text or archive, NAMES[0]
            self._trees[""] = EmptyTree(self._made_at)
            return
        self._trees[""] = self._archive_tree("", archive)
        # In the archive alone: a path of this machine has no meaning there.
        for name in (dockerfile,) if dockerfile and text is None else NAMES:
            found = archive.view.read(inside_root(name), MAX_DOCKERFILE_BYTES) if text is None else text
            if found is not None:
                self.dockerfile, self.dockerfile_name = found, name
                return
        raise ContextError(f"failed to read dockerfile: {what} holds no {dockerfile or NAMES[0]}")

    def _load_repository(self, git: GitReference, dockerfile: str | None, text: bytes | None) -> None:
        self._directory = self._check_out(git, "")
        # Ignore files are for what lies around in somebody's directory; BuildKit heeds none of a repository.
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
        git = self.repository(value)
        if git is not None:
            return self._open_directory(self._check_out(git, name), NOTHING_IGNORED)
        if value.startswith(_URL_SCHEMES):
            with self._fetched(value, name) as stream:
                archive = self._elsewhere.read_archive(stream, self._elsewhere.shown(value))
            return self._archive_tree(name, archive)
        raise not_found(name, value)

    def _archive_tree(self, name: str, archive: Archive) -> ViewTree:
        self._archives[name] = ContextArchive(*archive.files, self._made_at)
        return ViewTree(archive.view, self._made_at)

    @contextmanager
    def _fetched(self, url: str, name: str) -> Iterator[BinaryIO]:
        """Give the file at `url`, which is gone afterwards, for the context `name`."""
        with self._elsewhere.fetched(url) as (stream, modified):
            if modified:
                self._moments[name] = modified
            yield stream

    def _check_out(self, git: GitReference, name: str) -> str:
        """Check the context `name` out; return its directory."""
        # BUILDKIT_CONTEXT_KEEP_GIT_DIR speaks of the main context.
        keep = self._keep_git_dir and not name
        directory, self._moments[name] = self._elsewhere.check_out(git, keep_git_dir=keep)
        return directory

    def _heard(self, found: FoundIgnore) -> IgnorePatterns:
        """Warn of ignore files that were passed over, and return the rules."""
        for sentence in found.passed_over:
            self._warn("UnusableIgnoreFile", sentence)
        return found.patterns

    def _open_directory(self, path: str, ignore: IgnorePatterns) -> DirectoryTree:
        return open_directory(path, ignore, self._store, self._note_growth, self._stack)

    @property
    def _elsewhere(self) -> Elsewhere:
        from builder.context.elsewhere import Elsewhere  # gate: network, or a stream: what is no directory here

        return Elsewhere(self._store, self._stack)


def _no_context(location: str) -> ContextError:
    if os.path.exists(location):
        return ContextError(
            f"the build context {location!r} is not a directory", hint="To build from a tar, use `-` and <."
        )
    return ContextError(
        f"the build context {location!r} does not exist", hint="Give a directory, `-`, or a git or HTTP(S) URL."
    )
