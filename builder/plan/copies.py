"""COPY and ADD → a CopyOp and the history record (C-*, H-8, H-9).

In: the statement, the stage's variables and directory, the tree that `--from` named. Out: sources in the order they are
written (paths, URLs, repositories, then heredocs), an absolute destination, checked flags. Whether the sources exist is
for the build to find out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from builder.dockerfile.arrays import array_fault, is_meant_as_array
from builder.dockerfile.git_url import GitReference, GitReferenceError, parse_git_ref
from builder.dockerfile.instructions import Add, Copy, Word
from builder.errors import PlanError, ReferenceFormatError
from builder.oci.digest import parse_digest
from builder.plan import history, paths
from builder.plan.scope import Expander, Scope
from builder.plan.step import (
    ContextSource,
    CopyOp,
    CopySource,
    GitSource,
    HttpSource,
    InlineSource,
    Paths,
    StepSource,
)
from builder.web.address import AddressError, parse_address, without_credentials

_OCTAL = re.compile(r"[0-7]+")
_MAX_MODE = 0o7777
_SYMBOLIC = re.compile(r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+(?:,[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)*")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class PlannedCopy:
    """What COPY or ADD does, and what history says of it."""

    op: CopyOp
    created_by: str


def plan_copy(
    statement: Copy | Add, tree: ContextSource | StepSource, directory: str, scope: Scope, expander: Expander
) -> PlannedCopy:
    """Read COPY or ADD. `directory` is the stage's WORKDIR. Raises PlanError."""
    # Before anything is expanded: in a broken array the words are pieces with brackets and commas.
    _check_array(statement)
    written = [expander.word(word, scope) for word in statement.sources]
    target = expander.word(statement.destination, scope)
    chown = expander.word(statement.chown, scope) if statement.chown else ""
    chmod = expander.word(statement.chmod, scope) if statement.chmod else ""
    if chmod and statement.chmod:
        _check_mode(chmod, statement.chmod)
    _check_nothing_named(statement, written, expander)
    bodies = [
        InlineSource(doc.name, expander.body(doc.content, doc.location, scope) if doc.expand else doc.content)
        for doc in statement.heredocs
    ]
    parents = isinstance(statement, Copy) and statement.parents
    op = CopyOp(
        sources=(*_sources(statement, written, tree, scope, expander), *bodies),
        destination=paths.destination(directory, target),
        chown=chown,
        chmod=chmod,
        # BuildKit copies without a link when a mode is asked for: symlinks in the destination are followed then.
        link=statement.link and not chmod,
        parents=parents,
        # As they are written: BuildKit expands no variables in these.
        exclude=tuple(word.text for word in statement.exclude),
        is_add=isinstance(statement, Add),
        variables=(
            *expander.used("destination", statement.destination, scope),
            *expander.used("chown", statement.chown, scope),
            *expander.used("chmod", statement.chmod, scope),
            *(used for word in statement.sources for used in expander.used("source", word, scope)),
        ),
        unpack=statement.unpack if isinstance(statement, Add) else None,
    )
    # In BuildKit's order, and not all of them (Z-14): tools compare the text of history.
    flags = [text for text, shown in (
        ("--parents", parents), (f"--chown={chown}", chown), (f"--chmod={chmod}", chmod),
    ) if shown]  # fmt: skip
    shown = [*map(_shown, written), *(f"<<{doc.name}" for doc in statement.heredocs)]
    return PlannedCopy(op, history.transfer("ADD" if op.is_add else "COPY", flags, shown, target))


def _check_array(statement: Copy | Add) -> None:
    """Refuse words that were meant as an array: as patterns none of them could match. Raises PlanError."""
    if not statement.sources or not statement.sources[0].text.startswith("["):
        return
    first, *others = [word.text for word in (*statement.sources, statement.destination)]
    is_open = "]" not in first and (is_meant_as_array(first) or any("]" in text for text in others))
    if is_open or (is_meant_as_array(first) and any(text.startswith("#") for text in others)):
        keyword = "ADD" if isinstance(statement, Add) else "COPY"
        raise PlanError(
            f"this is no JSON array: {array_fault(' '.join((first, *others)))}",
            statement.sources[0].location,
            hint=f'Write {keyword} ["source", "destination"], or names without brackets around them.',
        )


def fetched_source(statement: Add, scope: Scope, expander: Expander) -> HttpSource | GitSource | None:
    """Return what an ADD with one source fetches; None when that is no URL and no repository. Raises PlanError."""
    if len(statement.sources) != 1 or statement.heredocs:
        return None
    text = expander.word(statement.sources[0], scope)
    return _remote(text, statement.sources[0], statement, _checksum(statement, [text], scope, expander))


def _sources(
    statement: Copy | Add, written: list[str], tree: ContextSource | StepSource, scope: Scope, expander: Expander
) -> list[CopySource]:
    """Return the sources that are not heredocs; neighbouring paths become one."""
    checksum = _checksum(statement, written, scope, expander)
    found: list[CopySource] = []
    for text, word in zip(written, statement.sources):
        remote = _remote(text, word, statement, checksum)
        if remote is not None:
            found.append(remote)
            continue
        # A word that expands to nothing means the root of the tree; _check_nothing_named has warned of it.
        path = Paths(tree, (text or ".",), (word.location,), (expander.origins(word, scope),))
        # Neighbours alone are joined: later sources win (C-5), so their order among URLs and heredocs has to stay.
        if found and isinstance(last := found[-1], Paths):
            found[-1] = Paths(
                tree, last.paths + path.paths, last.places + path.places, last.origins + path.origins
            )  # fmt: skip
        else:
            found.append(path)
    return found


def _remote(text: str, word: Word, statement: Copy | Add, checksum: str) -> HttpSource | GitSource | None:
    # Asked first: https://host/x.git is a repository, and not a file of that name.
    git = _git_reference(text, word)
    if git is not None:
        if isinstance(statement, Copy):
            raise PlanError("source can't be a git ref for COPY", word.location, hint="ADD can fetch repositories.")
        return _git_source(git, statement, checksum, word)
    if text.startswith(("http://", "https://")):
        if isinstance(statement, Copy):
            raise PlanError("source can't be a URL for COPY", word.location, hint="ADD can fetch URLs.")
        _check_address(text, word)
        return HttpSource(text, checksum)
    return None


def _shown(source: str) -> str:
    """Return a source as history may keep it: a URL without user and password (BuildKit keeps them)."""
    if "://" not in source:
        return source
    return without_credentials(source)


def _check_address(text: str, word: Word) -> None:
    try:
        parse_address(text)
    except AddressError as error:
        raise PlanError(str(error), word.location, hint="Write http://HOST[:PORT]/PATH or https://….") from error


def _git_reference(text: str, word: Word) -> GitReference | None:
    try:
        return parse_git_ref(text)
    except GitReferenceError as error:
        raise PlanError(str(error), word.location) from error


def _git_source(git: GitReference, statement: Add, checksum: str, word: Word) -> GitSource:
    # A flag and a query of the URL may both say it, in other words or the same (BuildKit, dispatchCopy).
    if None not in (statement.keep_git_dir, git.keep_git_dir) and statement.keep_git_dir != git.keep_git_dir:
        raise PlanError("inconsistent keep-git-dir configuration", word.location)
    if checksum and git.checksum and checksum != git.checksum:
        raise PlanError(f'checksum mismatch "{checksum}" != "{git.checksum}"', word.location)
    return GitSource(
        remote=git.remote,
        reference=git.reference,
        subdirectory=git.subdirectory,
        checksum=git.checksum or checksum,
        keep_git_dir=bool(statement.keep_git_dir or git.keep_git_dir),
        submodules=git.submodules is not False,
        mtime=git.mtime,
        fetch_by_commit=git.fetch_by_commit,
    )


def _checksum(statement: Copy | Add, written: list[str], scope: Scope, expander: Expander) -> str:
    """Return the checked value of --checksum, empty without one (C-27)."""
    word = statement.checksum if isinstance(statement, Add) else None
    checksum = expander.word(word, scope) if word else ""
    if not checksum or word is None:
        return ""
    if len(written) != 1 or statement.heredocs:
        raise PlanError("checksum can't be specified for multiple sources", word.location)
    if _git_reference(written[0], statement.sources[0]) is not None:
        if not _COMMIT.fullmatch(checksum):
            raise PlanError(
                f"invalid checksum {checksum!r}: that of a git source is a commit hash", word.location,
                hint="Write the hash as 'git rev-parse HEAD' prints it.",
            )  # fmt: skip
        return checksum
    if not written[0].startswith(("http://", "https://")):
        raise PlanError("checksum requires HTTP(S) or Git sources", word.location)
    try:
        return parse_digest(checksum)
    except ReferenceFormatError as error:
        raise PlanError(f"invalid checksum: {error.message}", word.location, hint=error.hint) from error


def _check_mode(chmod: str, word: Word) -> None:
    """Accept an octal mode up to 07777, or a symbolic one such as u=rw,go+X (C-18)."""
    if _OCTAL.fullmatch(chmod):
        if int(chmod, 8) <= _MAX_MODE:
            return
    elif _SYMBOLIC.fullmatch(chmod):
        return
    elif not chmod[0].isdecimal():
        # Two messages, as in BuildKit: what begins with a digit was meant to be octal.
        raise PlanError(
            f"invalid chmod parameter: '{chmod}': invalid syntax", word.location,
            hint="Write an octal mode such as 644, or a symbolic one such as u=rwX,go=rX.",
        )  # fmt: skip
    raise PlanError(
        f"invalid chmod parameter: '{chmod}'. it should be octal string and between 0 and 07777", word.location
    )


def _check_nothing_named(statement: Copy | Add, written: list[str], expander: Expander) -> None:
    """Warn about a source that expands to nothing, which means everything."""
    for text, word in zip(written, statement.sources):
        if not text and word.text:
            message = f"source {word.text} expands to nothing, so everything is copied"
            expander.warn("EmptySource", message, word.location)
