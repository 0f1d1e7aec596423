"""Why a step was not in the cache: one case for each reason, the same in `plan` and in the build."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program

Act = Callable[[Path], object]


def built(program: Program, dockerfile: str | None, *words: str) -> dict[str, str]:
    """Build; instruction → why it was not in the cache, for the steps that were executed."""
    outcome = program.build(dockerfile, "--progress=rawjson", *words).succeeded()
    events = [json.loads(line) for line in outcome.err.splitlines() if line.startswith("{")]
    started = [event for event in events if event["event"] == "step-started"]
    return {_instruction(event["title"]): event["reason"] for event in started if "FROM " not in event["title"]}


def planned(program: Program, *words: str) -> dict[str, str]:
    """Plan; instruction → why it is not in the cache."""
    command = ("--root", str(program.store), "plan", "--json", *program.base_words(), *words, ".")
    steps = json.loads(program(*command).succeeded().out)[0]["steps"]
    return {_instruction(step["title"]): step["reason"] for step in steps if step["cache"] in ("miss", "waits")}


def _instruction(title: str) -> str:
    return title.partition("] ")[2]


def why(program: Program, before: str, after: str, act: Act | None, words: Any = (), again: Any = None) -> list[str]:
    """Build `before`, do `act`, then plan and build `after`; the reasons, which are the same in both."""
    built(program, before, *words)
    if act is not None:
        act(program.folder)
    (program.folder / "Dockerfile").write_text(after)
    words = words if again is None else again
    expected = planned(program, *words)
    found = built(program, None, *words)
    assert found == expected
    return list(found.values())


def append(folder: Path) -> None:
    with (folder / "d/two.txt").open("a") as file:
        file.write("more\n")


def change_two(folder: Path) -> None:
    append(folder)
    (folder / "d/two.txt").chmod(0o755)


FILES: dict[str, tuple[Act, str]] = {
    "mode of a directory": (lambda folder: (folder / "d/sub").chmod(0o700), "only the mode differs: d/sub 0755 → 0700"),
    "renamed": (lambda folder: (folder / "d/one.txt").rename(folder / "d/1.txt"), "d/1.txt added and 1 more"),
    "two things": (change_two, "d/two.txt changed and 1 more"),
    "below": (lambda folder: (folder / "d/sub/x").chmod(0o600), "only the mode differs: d/sub/x 0644 → 0600"),
}  # fmt: skip


def lay_out(program: Program) -> None:
    folder = program.folder
    (folder / "d/sub").mkdir(parents=True)
    (folder / "d/sub").chmod(0o755)
    for name in ("d/one.txt", "d/sub/x"):
        (folder / name).write_text("1\n")
    (folder / "d/two.txt").write_text("2\n")
    (folder / "e").write_text("e\n")
    (folder / "d/link").symlink_to("one.txt")
    for name in ("d/one.txt", "d/sub/x", "d/two.txt", "e"):
        (folder / name).chmod(0o644)


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_copied_is_named_with_what_changed(pybuild: Program, case: str) -> None:
    lay_out(pybuild)
    text = "FROM scratch\nCOPY d /d\nCOPY --link e /e\n"
    act, expected = FILES[case]
    assert why(pybuild, text, text, act) == [expected]


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize("case", [case for case in FILES if case != "hard link"])
def test_a_file_that_a_bind_shows_is_named_with_what_changed(runs: Program, case: str) -> None:
    lay_out(runs)
    text = "FROM base\nRUN --mount=type=bind,source=d,target=/m true\n"
    act, expected = FILES[case]
    assert why(runs, text, text, act) == [expected]


COPIES: dict[str, tuple[str, str, str]] = {
    "chown added": ("COPY d /d", "COPY --chown=2:2 d /d", "--chown 2:2 added"),
    "chmod removed": ("COPY --chmod=644 d /d", "COPY d /d", "--chmod 644 removed"),
    "exclude gone": ("COPY --exclude=*.md d /d", "COPY d /d", "--exclude *.md removed"),
    "exclude one of two": (
        "COPY --exclude=*.md d /d", "COPY --exclude=*.md --exclude=*.c d /d", "--exclude *.c added"),
    "workdir's user": ("USER 1\nWORKDIR /a", "USER 2\nWORKDIR /a", "user 1 → 2"),
}  # fmt: skip


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize("case", COPIES)
def test_what_the_dockerfile_says_of_a_copy_is_named_with_what_it_was(pybuild: Program, case: str) -> None:
    lay_out(pybuild)
    before, after, expected = COPIES[case]
    found = why(pybuild, f"FROM scratch\n{before}\n", f"FROM scratch\n{after}\n", None)
    assert found == expected.split("|")


RUNS: dict[str, tuple[str, str, str]] = {
    "form": ("RUN true", 'RUN ["true"]', "command changed: /bin/sh -c true → true"),
    "script": (
        "RUN <<E\n#!/bin/sh\necho 1\nE", "RUN <<E\n#!/bin/sh\necho 2\nE",
        "heredoc changed: #!/bin/sh\\necho 1 → #!/bin/sh\\necho 2"),
    "secret added": ("RUN true", "RUN --mount=type=secret,id=s true", "secret s added"),
    "secret's mode": (
        "RUN --mount=type=secret,id=s true", "RUN --mount=type=secret,id=s,mode=0440 true",
        "secret s: mode 0400 → 0440"),
    "secret's id": (
        "RUN --mount=type=secret,id=s,target=/k true", "RUN --mount=type=secret,id=t,target=/k true",
        "secret t: id s → t"),
    "secret's variable": (
        "RUN --mount=type=secret,id=s,env=A true", "RUN --mount=type=secret,id=s,env=B true",
        "secret s: variable A → B"),
    "cache's owner": (
        "RUN --mount=type=cache,target=/c true", "RUN --mount=type=cache,target=/c,uid=1,gid=0,mode=0755 true",
        "cache mount /c: gid (none) → 0 and 2 more"),
    "cache's place": (
        "RUN --mount=type=cache,id=x,target=/c true", "RUN --mount=type=cache,id=x,target=/d true",
        "cache mount /d: target /c → /d"),
    "tmpfs": (
        "RUN --mount=type=tmpfs,target=/t true", "RUN --mount=type=tmpfs,target=/t,size=1m true",
        "tmpfs mount /t: size (none) → 1048576"),
    "cache named": (
        "RUN --mount=type=cache,target=/c true", "RUN --mount=type=cache,id=q,target=/c true",
        "cache mount /c: id or sharing (default) → of its own"),
    "cache locked": (
        "RUN --mount=type=cache,target=/c,sharing=locked true", "RUN --mount=type=cache,target=/c true",
        "cache mount /c: id or sharing of its own → (default)"),
    "bind removed": ("RUN --mount=type=bind,target=/m true", "RUN true", "bind mount /m removed"),
    "workdir": ("WORKDIR /a\nRUN true", "WORKDIR /b\nRUN true", "workdir /a → /b|workdir /a → /b and 1 more"),
    "step before": ("RUN echo 1 >/a\nRUN true", "RUN echo 2 >/a\nRUN true",
                    "command changed: echo 1 >/a → echo 2 >/a|follows step 2 (RUN echo 2 >/a)"),
}  # fmt: skip


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize("case", RUNS)
def test_what_the_dockerfile_says_of_a_run_is_named_with_what_it_was(runs: Program, case: str) -> None:
    (runs.folder / ".dockerignore").write_text("Dockerfile\n")
    before, after, expected = RUNS[case]
    assert why(runs, f"FROM base\n{before}\n", f"FROM base\n{after}\n", None) == expected.split("|")


WORDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], str]] = {
    "in a destination": ("ARG V=1\nCOPY e /t-$V", (), ("--build-arg=V=2",), "destination /t-1 → /t-2 (V)"),
    "in an owner": ("ARG V=1\nCOPY --chown=$V e /t", (), ("--build-arg=V=2",), "--chown 1 → 2 (V)"),
    "in a directory": ("ARG V=1\nWORKDIR /$V", (), ("--build-arg=V=2",), "workdir /1 → /2 (V)"),
    "limit added": ("RUN true", (), ("--ulimit=nofile=9:9",), "--ulimit nofile (default) → 9:9"),
    "no cache": ("RUN true", (), ("--no-cache",), "--no-cache"),
    "network": ("RUN true", (), ("--network=none",), "network default → none"),
}


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize("case", WORDS)
def test_what_the_command_line_says_is_named_with_what_it_was(runs: Program, case: str) -> None:
    lay_out(runs)
    text, words, again, expected = WORDS[case]
    assert why(runs, f"FROM base\n{text}\n", f"FROM base\n{text}\n", None, words, again) == [expected]


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "d/one.txt\n", "d/one.txt removed (excluded by .dockerignore line 1: d/one.txt)"),
        ("d/one.txt\n", "", "d/one.txt added (no longer ignored)"),
        ("d/o*\nd/sub\n", "d/o*\n", "d/sub added (no longer ignored)"),
    ],
)
def test_a_file_that_comes_or_goes_by_the_ignore_file_is_said_to(
    pybuild: Program, before: str, after: str, expected: str
) -> None:
    lay_out(pybuild)
    (pybuild.folder / ".dockerignore").write_text(before)
    text = "FROM scratch\nCOPY d /d\n"
    assert why(pybuild, text, text, lambda folder: (folder / ".dockerignore").write_text(after)) == [expected]


@pytest.mark.rule("Q-15")
def test_what_is_compared_is_the_last_build_even_when_it_was_cached(pybuild: Program) -> None:
    text = "FROM scratch\nARG V=1\nWORKDIR /w-$V\n"
    for value in ("1", "2", "1"):
        built(pybuild, text, f"--build-arg=V={value}")
    assert list(built(pybuild, text, "--build-arg=V=3").values()) == ["workdir /w-1 → /w-3 (V)"]


@pytest.mark.rule("Q-15")
def test_a_base_image_that_moved_is_named_with_both_digests(pybuild: Program) -> None:
    layout = pybuild.folder.parent / "layout"
    digests = []
    base = Program(pybuild.store, pybuild.folder, f"oci-layout://{layout}:latest")
    (pybuild.folder / "e").write_text("e")
    found: dict[str, str] = {}
    for text in ("1", "2"):
        (pybuild.folder / "one").write_text(text)
        output = f"type=oci,dest={layout},tar=false,name=latest"
        pybuild.build("FROM scratch\nCOPY one /one\n", "-o", output).succeeded()
        digests.append(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])
        found = built(base, "FROM base\nCOPY e /two\nWORKDIR /w\n")
    was, now = (f"{digest[:19]}…" for digest in digests)
    assert was != now
    name = f"…{f'oci-layout://{layout}:latest'[-40:]}"
    assert list(found.values()) == [f"base image moved: {name} {was} → {now}", "follows step 2 (COPY e /two)"]


@pytest.mark.rule("Q-15")
def test_another_base_image_is_named_with_the_one_before(runs: Program) -> None:
    (runs.folder / "e").write_text("e")
    built(runs, "FROM scratch\nCOPY e /e\n")
    found = built(runs, "FROM base\nCOPY e /e\n")["COPY e /e"]
    assert found.startswith("base image changed: scratch → oci-layout://")


@pytest.mark.rule("Q-15")
def test_a_record_whose_layer_is_gone_says_so(pybuild: Program) -> None:
    (pybuild.folder / "e").write_text("e")
    built(pybuild, "FROM scratch\nCOPY e /e\n")
    for blob in (pybuild.store / "blobs/sha256").iterdir():
        if blob.read_bytes()[:1] == b"e":
            blob.unlink()
    assert list(planned(pybuild).values()) == ["its layer is no longer in the store"]
    pybuild("--root", str(pybuild.store), "prune", "--all", "-f").succeeded()
    assert list(built(pybuild, None).values()) == ["its record was removed from the cache"]


@pytest.mark.rule("Q-15")
def test_values_of_secrets_are_never_said_and_long_values_are_cut(runs: Program) -> None:
    long = "x" * 500
    found = why(runs, "FROM base\nENV V=1\nRUN true\n", f"FROM base\nENV V={long}1\nRUN true\n", None)
    assert found == ["ENV V 1 → " + "x" * 40 + "…"]
    for value in ("one-secret", "two-secret"):
        (runs.folder.parent / "s").write_text(value)
        reasons = built(runs, "FROM base\nRUN --mount=type=secret,id=s true\n", "--secret=id=s,src=../s")
        assert "secret" not in str(list(reasons.values())).replace("secret s added", "")


@pytest.mark.parametrize(
    "step",
    [
        "COPY --link --from=below /f /e",
        "COPY --from=below /f /e",
        "COPY --link f /g\nCOPY --from=below /f /e",
        "WORKDIR /w\nCOPY --link --from=below /f /e",
        "RUN --mount=from=below,target=/m true",
    ],
)
def test_a_step_that_reads_the_stage_it_stands_on_waits_for_it(runs: Program, step: str) -> None:
    (runs.folder / "f").write_text("1")
    built(runs, f"FROM base AS below\nCOPY f /f\nFROM below\n{step}\n")
    (runs.folder / "f").write_text("2")
    assert planned(runs)["COPY f /f"] == "f changed"
    assert built(runs, None)["COPY f /f"] == "f changed"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("RUN --mount=source=d,target=/m true", "RUN --mount=source=d/s,target=/m true", "/m: source /d → /d/s"),
        (
            "RUN --mount=from=base,source=bin,target=/m true",
            "RUN --mount=source=d,target=/m true",
            "/m: source /bin of a stage → /d of the context",
        ),
        ("COPY d /d\nCOPY d /e", "COPY d /e\nCOPY d /d", "COPY d /d comes later now"),
    ],
)
def test_what_was_only_moved_is_not_said_to_be_removed(runs: Program, before: str, after: str, expected: str) -> None:
    (runs.folder / "d/s").mkdir(parents=True)
    (runs.folder / "d/s/f").write_text("1")
    assert why(runs, f"FROM base\n{before}\n", f"FROM base\n{after}\n", None)[0] == expected
