"""Git URLs: what is one, and what it says (C-24)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.git_url import GitReference, GitReferenceError, parse_git_ref

HTTPS = "https://github.com/foo/bar.git"


@pytest.mark.parametrize(
    ("text", "remote", "reference", "subdirectory"),
    [
        (HTTPS, HTTPS, "", ""),
        (f"{HTTPS}#main", HTTPS, "main", ""),
        (f"{HTTPS}#v1:dir", HTTPS, "v1", "dir"),
        (f"{HTTPS}#:dir/sub", HTTPS, "", "dir/sub"),
        (f"{HTTPS}#baz/qux:quux/quuz", HTTPS, "baz/qux", "quux/quuz"),
        (f"{HTTPS}#", HTTPS, "", ""),
        ("http://host/r.git", "http://host/r.git", "", ""),
        ("HTTPS://host/r.git", "HTTPS://host/r.git", "", ""),
        ("https://user:pw@host:8080/a/b.git#x", "https://user:pw@host:8080/a/b.git", "x", ""),
        ("git://host/r", "git://host/r", "", ""),
        ("git://host/r#x:y", "git://host/r", "x", "y"),
        ("ssh://git@host:22/a/b#x", "ssh://git@host:22/a/b", "x", ""),
        ("git@github.com:foo/bar", "git@github.com:foo/bar", "", ""),
        ("git@github.com:foo/bar.git#main:sub", "git@github.com:foo/bar.git", "main", "sub"),
        ("me_2@my-host.example:r.git", "me_2@my-host.example:r.git", "", ""),
        (f"{HTTPS}?ref=main", HTTPS, "main", ""),
        (f"{HTTPS}?branch=main", HTTPS, "refs/heads/main", ""),
        (f"{HTTPS}?branch=refs/heads/main", HTTPS, "refs/heads/main", ""),
        (f"{HTTPS}?tag=v1.0", HTTPS, "refs/tags/v1.0", ""),
        (f"{HTTPS}?ref=a&subdir=b", HTTPS, "a", "b"),
        (f"{HTTPS}?ref=a%2Fb&subdir=c+d", HTTPS, "a/b", "c d"),
        (f"{HTTPS}?ref=main#main", HTTPS, "main", ""),
        (f"{HTTPS}?subdir=x#main:x", HTTPS, "main", "x"),
        (f"{HTTPS}?tag=v1#refs/tags/v1", HTTPS, "refs/tags/v1", ""),
        (f"{HTTPS}#a%20b", HTTPS, "a b", ""),
        ("git@host:r?ref=x", "git@host:r", "x", ""),
    ],
)
def test_repositories(text: str, remote: str, reference: str, subdirectory: str) -> None:
    assert parse_git_ref(text) == GitReference(remote=remote, reference=reference, subdirectory=subdirectory)


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "dir", "./dir.git", "../dir.git", "/dir.git", "dir.git", "a b", "*.git", "https://host/file",
        "https://host/r.git/x", "https://host/file?x=r.git", "http://host/file#r.git", "file:///r.git", "ftp://h/r.git",
        "github.com/foo/bar", "git@host", "host:path", "user name@host:path", "oci-layout://x",
    ],
)  # fmt: skip
def test_texts_that_are_no_repository(text: str) -> None:
    assert parse_git_ref(text) is None


def test_a_bare_github_path_is_a_repository_for_contexts_only() -> None:
    found = parse_git_ref("github.com/foo/bar#main", context=True)
    assert found == GitReference(remote="github.com/foo/bar", reference="main")
    assert parse_git_ref("gitlab.com/foo/bar", context=True) is None


def test_options_of_the_query() -> None:
    found = parse_git_ref(f"{HTTPS}?checksum=abc&keep-git-dir&submodules=false&mtime=commit&fetch-by-commit=1")
    assert found == GitReference(
        remote=HTTPS, reference="abc", checksum="abc", keep_git_dir=True, submodules=False, mtime="commit",
        fetch_by_commit=True,
    )  # fmt: skip
    assert parse_git_ref(f"{HTTPS}?commit=abc&ref=main") == GitReference(remote=HTTPS, reference="main", checksum="abc")
    assert parse_git_ref(f"{HTTPS}?keep-git-dir=0") == GitReference(remote=HTTPS, keep_git_dir=False)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("nope=1", 'unexpected query "nope"'),
        ("ref=", 'query "ref" has no value'),
        ("ref=a&ref=b", 'query "ref" has multiple values'),
        ("ref=a#b", 'ref conflicts: "b" vs "a"'),
        ("subdir=a#b:c", 'subdir conflicts: "c" vs "a"'),
        ("tag=a&branch=b", "branch conflicts with tag"),
        ("tag=a&ref=b", 'ref conflicts: "b" vs "refs/tags/a"'),
        ("submodules=maybe", 'invalid submodules value: "maybe"'),
        ("keep-git-dir=2", 'invalid keep-git-dir value: "2"'),
        ("mtime=now", 'invalid mtime value: "now"'),
    ],
)
def test_queries_that_make_no_sense_are_refused(query: str, message: str) -> None:
    with pytest.raises(GitReferenceError) as caught:
        parse_git_ref(f"{HTTPS}?{query}")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "https://[::1/r.git", "https:///r.git", "https://h:port/r.git", "ssh://git@h:org/r.git", "git://", "git://a..b/r",
        "ssh://h:99999/r", "https://h/%zz.git", "https://h/r.git#%00", "https://h/r.git#a:%0ab", "git@h:a\nb",
        "git@h:r#%00", "https://h/r.git?ref=%7f", "https://h/r.git?subdir=\ud800", "https://bü cher/r.git",
    ],
)  # fmt: skip
def test_what_git_cannot_be_asked_for_is_refused(text: str) -> None:
    with pytest.raises(GitReferenceError):
        parse_git_ref(text)


@given(st.text(max_size=60), st.booleans())
def test_any_text_is_read_or_refused(text: str, context: bool) -> None:
    for prefix in ("", "https://h/r.git", "git@h:", "ssh://"):
        try:
            found = parse_git_ref(prefix + text, context=context)
        except GitReferenceError:
            continue
        assert found is None or found.remote.startswith(prefix[:3])
