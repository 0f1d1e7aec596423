"""A miss is explained by comparing preimages and the facts beside them; each member has words of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from builder.filesystem.entry import Entry
from builder.oci.canonical import encode
from builder.solve.difference import LONGEST, MOST, Difference, reasons_of
from builder.solve.entry_line import described, entry_line, shortened
from builder.solve.reason.compare import Look, Sources, differences, read_look
from builder.solve.reason.facts import NO_FACTS, Facts, facts_from_bytes, facts_to_bytes
from builder.solve.seen import Seen

RUN: dict[str, Any] = {
    "version": 2, "operation": "run", "parent": "sha256:a", "argv": ["/bin/sh", "-c", "make"], "env": ["A=1", "B=2"],
    "user": "", "cwd": "/", "network": "default", "security": "sandbox", "platform": "linux/amd64", "hostname": "",
    "inputs": {},
}  # fmt: skip
COPY: dict[str, Any] = {
    "version": 2, "operation": "copy", "parent": "sha256:a", "destination": "/app/", "chown": "", "chmod": "",
    "link": False, "parents": False, "exclude": [],
    "inputs": [{"source": "d", "kind": "directory", "entries": 1, "digest": "1"}],
}  # fmt: skip


def below() -> Iterator[Difference]:
    yield Difference("follows-step", "follows step 2 (COPY d /d)")


SOURCES = Sources(below, lambda seen: seen.lines, lambda *_: "", lambda *_: "")


def main_reason(before: Look, now: Look) -> str:
    return reasons_of(differences(before, now, SOURCES)).words


def found(before: dict[str, Any], **changes: Any) -> tuple[Difference, ...]:
    now = {name: value for name, value in (before | changes).items() if value is not None}
    return differences(read_look(encode(before), NO_FACTS), read_look(encode(now), NO_FACTS), SOURCES)


def reason(before: dict[str, Any], **changes: Any) -> str:
    return reasons_of(found(before, **changes)).words


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"version": 3, "argv": ["x"]}, "pybuild's cache format 2 → 3"),
        ({"operation": "workdir", "path": "/"}, "instruction RUN → WORKDIR"),
        ({"argv": ["/bin/sh", "-c", "make all"]}, "command changed: make → make all"),
        ({"argv": ["/bin/bash", "-ec", "make"]}, "shell /bin/sh -c → /bin/bash -ec"),
        ({"argv": ["/bin/bash", "-ec", "x"]}, "shell /bin/sh -c → /bin/bash -ec and 1 more"),
        ({"script": "#!x\n", "script_path": "/dev/pipes/E"}, "heredoc changed: (none) → #!x and 1 more"),
        ({"env": ["A=2", "B=2"]}, "ENV A 1 → 2"),
        ({"env": ["A=1", "B=2", "C=3"]}, "ENV C added: 3"),
        ({"env": ["A=1"]}, "ENV B removed: 2"),
        ({"env": ["B=2", "A=1"]}, "variables in another order"),
        ({"env": ["A=1", "B="]}, "ENV B 2 → "),
        ({"user": "app"}, "user root → app"),
        ({"user": "root"}, "user (default) → root"),
        ({"cwd": "/w"}, "workdir / → /w"),
        ({"network": "none"}, "network default → none"),
        ({"security": "insecure"}, "security sandbox → insecure"),
        ({"platform": "linux/arm64"}, "platform linux/amd64 → linux/arm64"),
        ({"hostname": "h"}, "hostname (default) → h"),
        ({"isolation": "chroot"}, "isolation native → chroot"),
        ({"hosts": ["x"]}, "--add-host x added"),
        ({"shm_size": 5}, "--shm-size (default) → 5"),
        ({"ulimits": [["nofile", 1, 2]]}, "--ulimit nofile (default) → 1:2"),
        ({"single_id": True}, "user ids many → one"),
        ({"epoch": 7}, "timestamp (default) → 7"),
        ({"parent": "sha256:b"}, "follows step 2 (COPY d /d)"),
        ({"parent": "sha256:b", "cwd": "/w"}, "workdir / → /w and 1 more"),
        ({"anything new": 3}, "anything new (default) → 3"),
    ],
)
def test_each_member_has_its_own_words(changes: dict[str, Any], expected: str) -> None:
    assert reason(RUN, **changes) == expected


def test_of_very_many_differences_the_first_are_kept_and_the_others_counted() -> None:
    more = found(RUN, env=[f"V{number}={'x' * 3 * LONGEST}" for number in range(MOST + 20)])
    kept = reasons_of(more)
    assert len(kept.differences) == MOST
    assert kept.unsaid == len(more) - MOST == 22, "A and B are gone, too"
    assert kept.words == f"{more[0].words} and {len(more) - 1} more"
    assert max(len(each.now) for each in kept.differences) == LONGEST + 1


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize("member", sorted(RUN.keys() - {"version", "operation"}))
def test_no_member_of_a_run_changes_without_a_reason(member: str) -> None:
    other: dict[str, Any] = {"argv": ["x"], "env": ["Z=1"], "inputs": {"mounts": [{"type": "tmpfs", "target": "/t"}]}}
    assert reason(RUN, **{member: other.get(member, "other")})


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize("member", sorted(COPY.keys() - {"version", "operation"}))
def test_no_member_of_a_copy_changes_without_a_reason(member: str) -> None:
    part = COPY["inputs"][0] | {"digest": "2"}
    other: dict[str, Any] = {"link": True, "parents": True, "exclude": ["*.o"], "inputs": [part]}
    assert reason(COPY, **{member: other.get(member, "other")})


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        ("a" * 100 + "1", "a" * 100 + "2", f"…{'a' * 12}1 → …{'a' * 12}2"),
        ("x", "y" * 100, f"x → {'y' * 40}…"),
        ("a\nb", "a\nc", "a\\nb → a\\nc"),
    ],
)
def test_a_long_command_is_cut_around_what_is_new_in_it(was: str, now: str, expected: str) -> None:
    before = RUN | {"argv": ["/bin/sh", "-c", was]}
    what = "heredoc" if "\n" in was else "command"
    assert reason(before, argv=["/bin/sh", "-c", now]) == f"{what} changed: {expected}"


def test_variables_that_a_word_used_are_named_when_they_hold_something_else() -> None:
    before, now = (
        Look(COPY | {"destination": f"/{v}"}, Facts(variables=(("destination", "V", v), ("destination", "W", "same"))))
        for v in ("1", "2")
    )
    assert main_reason(before, now) == "destination /1 → /2 (V)"


def seen(*entries: Entry) -> Facts:
    lines = b"".join(shortened(entry_line(entry.path, entry, "", entry.digest)) for entry in entries)
    return facts_from_bytes(facts_to_bytes(Facts(seen=(Seen("d", "d", lines=lines),))))


FILE = Entry("f", "file", 0o644, 0, 0, 0, 3, digest="a" * 64)


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (FILE._replace(uid=1, gid=2), "only the owner differs: f 0:0 → 1:2"),
        (FILE._replace(xattrs=(("user.a", b"1"),)), "f: attribute user.a added"),
        (FILE._replace(digest="b" * 64), "f changed"),
        (FILE._replace(mode=0o4755), "only the mode differs: f 0644 → 4755"),
        (Entry("f", "character", 0o644, device=(1, 3)), "f: file → character"),
        (Entry("f", "symlink", 0o777, link="x"), "f: file → symlink"),
        (FILE._replace(path="a name\nof two lines"), "a name\nof two lines added and 1 more"),
    ],
)
def test_what_is_kept_of_a_file_tells_how_it_changed(now: Entry, expected: str) -> None:
    other = COPY | {"inputs": [COPY["inputs"][0] | {"digest": "2"}]}
    assert main_reason(Look(COPY, seen(FILE)), Look(other, seen(now))) == expected


def test_a_source_that_becomes_another_kind_is_named_so() -> None:
    other = COPY | {"inputs": [COPY["inputs"][0] | {"kind": "file", "digest": "2"}]}
    assert main_reason(Look(COPY), Look(other)) == "d: directory → file"


def test_a_repository_is_named_with_its_commits() -> None:
    part = {"source": "https://h/r.git", "kind": "directory", "commit": "1" * 40, "subdirectory": "", "git_dir": False}
    before, now = (COPY | {"inputs": [part | {"commit": digit * 40}]} for digit in "12")
    assert main_reason(Look(before), Look(now)) == f"https://h/r.git: commit {'1' * 40} → {'2' * 40}"


def test_lines_survive_whatever_names_hold() -> None:
    entry = Entry("n\udcff\nü", "symlink", 0o777, 1, 2, 0, 0, "t\na", xattrs=(("user.x", b"\0="),))
    (found,) = described(entry_line(entry.path, entry, "", ""))
    assert (found.path, found.link, found.owner, found.attributes) == (entry.path, "t\na", "1:2", "user.x=003d")


@pytest.mark.parametrize("data", [None, b"", b"no facts", facts_to_bytes(Facts())[:-3]])
def test_facts_that_cannot_be_read_are_none(data: bytes | None) -> None:
    assert facts_from_bytes(data) == NO_FACTS
