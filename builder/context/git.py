"""One commit of a git repository, by the git program, as a directory.

Everything about the call is ours: no user or system configuration, no hooks, no credential helpers, no prompts, no
local files as remotes (submodules could name any directory of this machine: CVE-2022-39253), and a clean environment,
so that a repository decides nothing but its content. Credentials travel in the environment, never in arguments or
errors.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from builder.dockerfile.git_url import SCHEMES
from builder.errors import ContextError
from builder.web.address import AddressError, parse_address, with_ascii_host, without_credentials

_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SAFE: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.symlinks": "true",
    "credential.helper": "",
    "gc.auto": "0",
    "advice.detachedHead": "false",
    # A server that gives less than a kilobyte a second for a minute has gone.
    "http.lowSpeedLimit": "1024",
    "http.lowSpeedTime": "60",
    "init.defaultBranch": "main",
    "protocol.ext.allow": "never",
    # A checkout may belong to somebody else, as the context of a build by root. git refuses those for the programs that
    # their settings may name (CVE-2022-24765); hooks and fsmonitor are off, and nothing is asked that runs another.
    "safe.directory": "*",
}
_TIMEOUT_SECONDS = 1800
_MAX_ERROR_CHARACTERS = 400
_UMASK = 0o022
"""What file modes are masked with (C-24): git itself knows only whether a file is executable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What to fetch from where. `headers` are for HTTP; `allow_file` lets remotes be local paths."""

    remote: str
    reference: str = ""
    submodules: bool = True
    keep_git_dir: bool = False
    commit_times: bool = False
    """Give files the time of the commit, not that of the checkout."""
    headers: tuple[str, ...] = ()
    ssh_socket: str = ""
    allow_file: bool = False

    @property
    def shown(self) -> str:
        """The remote, fit for messages."""
        return without_credentials(self.remote) if "://" in self.remote else self.remote


def find_commit(repository: Repository) -> str:
    """Ask the remote which commit the reference names. Raises ContextError."""
    reference = repository.reference
    # Nobody is asked: whether the server has it is found out when it is fetched.
    if _COMMIT.fullmatch(reference):
        return reference
    wanted = [reference] if reference.startswith("refs/") else [f"refs/heads/{reference}", f"refs/tags/{reference}"]
    names = [*wanted, *(f"{name}^{{}}" for name in wanted)] if reference else ["HEAD"]
    lines = _git(repository, "ls-remote", "--", _asked(repository)[0], *names).splitlines()
    found = dict(line.split("\t", 1)[::-1] for line in lines if "\t" in line)
    for name in reversed(names):  # a tag's commit (^{}) before the tag, a tag before a branch
        if name in found:
            return found[name]
    raise ContextError(
        f"{repository.shown} has no branch or tag {reference or 'HEAD'!r}",
        hint="For a commit, give all 40 digits.",
    )


def check_out(repository: Repository, commit: str, directory: str) -> int:
    """Make `directory` a checkout of `commit`, submodules included; return the commit's time. Raises ContextError."""
    os.mkdir(directory, 0o755)
    _fetch(repository, commit, directory)
    _git(repository, "checkout", "-q", "--detach", commit, directory=directory)
    head = _git(repository, "rev-parse", "HEAD", directory=directory).strip()
    # A commit may have been named by its annotated tag.
    if head != _git(repository, "rev-parse", f"{commit}^{{commit}}", directory=directory).strip():
        raise ContextError(f"{repository.shown} gave another commit than {commit}")
    if repository.submodules and os.path.lexists(f"{directory}/.gitmodules"):
        _git(repository, "submodule", "--quiet", "update", "--init", "--recursive", "--depth=1", directory=directory)
    timestamp = commit_time(directory)
    if not repository.keep_git_dir:
        _remove_git_directories(directory)
    if repository.commit_times:
        _set_times(directory, timestamp)
    return timestamp


def fetch_commit_time(repository: Repository, commit: str, directory: str) -> int:
    """Return when `commit` was made, in seconds since 1970; what is fetched for it goes to `directory`, a new one.

    Raises ContextError.
    """
    os.mkdir(directory, 0o755)
    _fetch(repository, commit, directory, "--filter=tree:0")  # the commit alone; a server that can't filter sends all
    return commit_time(directory, commit)


def is_in_repository(directory: str) -> bool:
    """Say whether `directory` lies in a working copy."""
    folder = os.path.realpath(directory)
    while not os.path.lexists(os.path.join(folder, ".git")):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return False
    return True


def commit_time(directory: str, commit: str = "HEAD") -> int:
    """Return when `commit` of the repository at `directory` was made, in seconds since 1970. Raises ContextError."""
    text = _git(Repository(remote=""), "cat-file", "commit", commit, directory=directory)
    match = re.search(r"^committer .*> (\d+) [+-]\d{4}$", text, re.M)
    if match is None:
        raise ContextError(f"the commit checked out in {directory!r} has no time")
    return int(match[1])


def _fetch(repository: Repository, commit: str, directory: str, *options: str) -> None:
    """Make `directory` a repository that has `commit`."""
    _git(repository, "init", "-q", directory)
    _git(repository, "remote", "add", "origin", _asked(repository)[0], directory=directory)
    try:
        _git(repository, "fetch", "-q", "--depth=1", "--no-tags", *options, "origin", commit, directory=directory)
    except ContextError:
        # Servers may refuse a commit that no reference names; then its history has to be had.
        _git(repository, "fetch", "-q", *options, "origin", "+refs/*:refs/remotes/origin/*", directory=directory)


def _git(repository: Repository, *arguments: str, directory: str = "") -> str:
    command = ["git", *(["-C", directory] if directory else []), *arguments]
    try:
        done = subprocess.run(
            command, env=_environment(repository), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_TIMEOUT_SECONDS, umask=_UMASK, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise ContextError("git is not installed", hint="Install it to build from repositories.") from error
    except subprocess.TimeoutExpired as error:
        raise ContextError(f"git {arguments[0]} {repository.shown}: no end after {_TIMEOUT_SECONDS} s") from error
    if done.returncode:
        raise ContextError(
            f"git {arguments[0]} {repository.shown or directory}: {_last_words(done.stderr, repository)}"
        )
    return done.stdout


def _asked(repository: Repository) -> tuple[str, tuple[str, ...]]:
    """Return the remote as git gets it, its host in ASCII, and the headers for it.

    A user and password for HTTP become a header, or they would stay in the repository's settings and in the image.
    SSH alone wants its user in the address.
    """
    remote = repository.remote
    if remote.partition("://")[0].lower() not in SCHEMES or "://" not in remote:
        return remote, repository.headers
    try:
        address = parse_address(remote, SCHEMES)
        asked = with_ascii_host(remote, SCHEMES)
    except AddressError as error:
        raise ContextError(str(error)) from error
    if address.scheme == "ssh" or not address.credentials:
        return asked, repository.headers
    return without_credentials(asked), repository.headers or (f"Authorization: {address.authorization}",)


def _environment(repository: Repository) -> Mapping[str, str]:
    settings = [*_SAFE.items(), ("protocol.file.allow", "always" if repository.allow_file else "never")]
    remote, headers = _asked(repository)
    # Bound to the remote's own place: a submodule elsewhere gets nothing.
    settings += [(f"http.{remote}.extraHeader", header) for header in headers]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        # No ~/.gitconfig and no ~/.netrc; ssh goes by the home directory of passwd, and finds its keys all the same.
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        # ssh must not ask on a terminal that is not its own (man 5 ssh_config, BatchMode).
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    if repository.ssh_socket:
        environment["SSH_AUTH_SOCK"] = repository.ssh_socket
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE"):
        if name in os.environ:
            environment[name] = os.environ[name]
    return environment


def _last_words(text: str, repository: Repository) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    found = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines
    message = re.sub("^(fatal|error|remote): ", "", found[-1] if found else "failed")
    message = message.replace(repository.remote or "\0", repository.shown)
    login, at, _ = repository.remote.partition("://")[2].partition("/")[0].rpartition("@")
    if ":" in login:  # a password: ssh names it together with the host
        message = message.replace(login + at, "")
    return without_credentials(message)[:_MAX_ERROR_CHARACTERS]


def _remove_git_directories(directory: str) -> None:
    """Remove .git here and in submodules, where it is a file."""
    shutil.rmtree(f"{directory}/.git")
    for folder, directories, files in os.walk(directory):
        directories.sort()
        if ".git" in files:
            os.unlink(f"{folder}/.git")


def _set_times(directory: str, timestamp: int) -> None:
    for folder, directories, files in os.walk(directory):
        for name in [*directories, *files]:
            os.utime(f"{folder}/{name}", (timestamp, timestamp), follow_symlinks=False)
    os.utime(directory, (timestamp, timestamp))
