"""The rules of the cache (Q-*), seen from outside: which steps of a second build run again."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from tests.cli.program import Program


def steps(program: Program, dockerfile: str, *words: str) -> dict[str, bool]:
    """Build; instruction → whether the cache had it, for all but FROM."""
    outcome = program.build(dockerfile, "--progress=rawjson", *words).succeeded()
    events = [json.loads(line) for line in outcome.err.splitlines() if line.startswith("{")]
    done = [event for event in events if event["event"] in ("step-cached", "step-finished")]
    found = {event["title"].partition("] ")[2]: event["event"] == "step-cached" for event in done}
    return {title: cached for title, cached in found.items() if not title.startswith("FROM ")}


@pytest.mark.rule("Q-2", "Q-7")
def test_a_build_that_changes_nothing_runs_nothing(runs: Program) -> None:
    (runs.folder / "a").write_text("a")
    text = "FROM base\nRUN echo 1 > /one\nCOPY a /a\nWORKDIR /w\n"
    assert set(steps(runs, text).values()) == {False}
    assert set(steps(runs, text).values()) == {True}
    assert set(steps(runs, text + "ENV a=b\n").values()) == {True}


@pytest.mark.rule("Q-2")
def test_a_step_hangs_on_the_steps_below_it(runs: Program) -> None:
    steps(runs, "FROM base\nRUN echo 1 > /one\nRUN echo 2 > /two\n")
    found = steps(runs, "FROM base\nRUN echo 3 > /one\nRUN echo 2 > /two\n")
    assert found == {"RUN echo 3 > /one": False, "RUN echo 2 > /two": False}


@pytest.mark.rule("Q-2", "Q-3", "Q-5")
def test_what_is_copied_counts_by_its_content_and_not_by_how_it_was_made(runs: Program) -> None:
    text = "FROM base AS made\nRUN {}\nFROM base\nCOPY --from=made /one /one\nRUN cat /one\n"
    steps(runs, text.format("echo 1 > /one"))
    found = steps(runs, text.format("printf '1\\n' > /one"))
    assert found["COPY --from=made /one /one"]
    assert found["RUN cat /one"]
    assert not steps(runs, text.format("echo 2 > /one"))["COPY --from=made /one /one"]


@pytest.mark.rule("Q-6", "I-6")
def test_a_file_of_the_context_counts_by_content_and_mode_alone(pybuild: Program) -> None:
    file = pybuild.folder / "a"
    file.write_text("same size")
    os.utime(file, (1_000_000, 1_000_000))
    text = "FROM scratch\nCOPY a /a\n"
    steps(pybuild, text)
    os.utime(file, (2_000_000, 2_000_000))
    assert steps(pybuild, text) == {"COPY a /a": True}
    file.write_text("SAME SIZE")
    os.utime(file, (2_000_000, 2_000_000))
    assert steps(pybuild, text) == {"COPY a /a": False}
    file.chmod(0o755)
    assert steps(pybuild, text) == {"COPY a /a": False}


@pytest.mark.rule("Q-6")
def test_where_a_context_lies_does_not_matter(pybuild: Program) -> None:
    (pybuild.folder / "d").mkdir()
    (pybuild.folder / "d" / "a").write_text("a")
    steps(pybuild, "FROM scratch\nCOPY d /d\n")
    elsewhere = pybuild.folder.parent / "elsewhere"
    shutil.copytree(pybuild.folder, elsewhere)
    again = Program(pybuild.store, elsewhere, pybuild.base)
    assert steps(again, "FROM scratch\nCOPY d /d\n") == {"COPY d /d": True}


@pytest.mark.rule("Q-6")
def test_what_a_step_does_not_select_does_not_matter(pybuild: Program) -> None:
    (pybuild.folder / "a").write_text("a")
    steps(pybuild, "FROM scratch\nCOPY a* /d/\n")
    (pybuild.folder / "b").write_text("b")
    assert steps(pybuild, "FROM scratch\nCOPY a* /d/\n") == {"COPY a* /d/": True}
    (pybuild.folder / "a2").write_text("a")
    assert steps(pybuild, "FROM scratch\nCOPY a* /d/\n") == {"COPY a* /d/": False}


@pytest.mark.rule("Q-8")
def test_no_cache_runs_everything_and_keeps_what_it_makes(runs: Program) -> None:
    text = "FROM base\nRUN head -c 16 /dev/urandom > /random\nRUN cp /random /copy\n"
    steps(runs, text)
    assert set(steps(runs, text, "--no-cache").values()) == {False}
    assert set(steps(runs, text).values()) == {True}


@pytest.mark.rule("Q-8", "Z-6")
@pytest.mark.parametrize("name", ["one", "ONE", "0"])
def test_a_filter_runs_the_stages_that_it_names(runs: Program, name: str) -> None:
    text = "FROM base AS one\nRUN echo 1 > /one\nFROM base\nRUN echo 2 > /two\nCOPY --from=one /one /one\n"
    steps(runs, text)
    assert steps(runs, text, f"--no-cache-filter={name}") == {
        "RUN echo 1 > /one": False,
        "RUN echo 2 > /two": True,
        "COPY --from=one /one /one": True,
    }


@pytest.mark.rule("Q-8", "Q-11")
def test_no_cache_begins_with_empty_cache_mounts(runs: Program) -> None:
    text = "FROM base\nRUN --mount=type=cache,target=/c ls /c > /seen; echo x > /c/kept\nRUN {} /seen\n"
    steps(runs, text.format("test ! -s"))
    again = text.format("grep -q kept").replace("ls /c", "ls  /c")
    steps(runs, again)
    steps(runs, text.format("test ! -s"), "--no-cache")


@pytest.mark.rule("Q-11")
def test_the_name_of_a_cache_mount_does_not_matter_to_its_step(runs: Program) -> None:
    text = "FROM base\nRUN --mount=type=cache,id={},target=/c echo 1 > /one\n"
    steps(runs, text.format("first"))
    assert set(steps(runs, text.format("second")).values()) == {True}


@pytest.mark.rule("Q-10")
def test_a_build_argument_counts_from_its_declaration_on(runs: Program) -> None:
    text = "FROM base\nRUN echo 1 > /one\nARG v=a\nRUN echo $v > /two\nCOPY Dockerfile /three\n"
    steps(runs, text)
    found = steps(runs, text, "--build-arg", "v=b")
    assert found == {"RUN echo 1 > /one": True, "RUN echo b > /two": False, "COPY Dockerfile /three": False}


@pytest.mark.rule("Q-12", "C-19")
def test_a_linked_copy_does_not_hang_on_what_is_below_it(runs: Program) -> None:
    (runs.folder / "a").write_text("a")
    text = "FROM base\nRUN echo {} > /one\nCOPY --link a /a\n"
    steps(runs, text.format("1"))
    assert steps(runs, text.format("2")) == {"RUN echo 2 > /one": False, "COPY --link a /a": True}


@pytest.mark.rule("Q-15")
def test_a_step_that_runs_says_what_is_new(pybuild: Program) -> None:
    (pybuild.folder / "a").write_text("a")
    pybuild.build("FROM scratch\nCOPY . /d\n").succeeded()
    (pybuild.folder / "a").write_text("b")
    assert "(a changed)" in pybuild.build(None).succeeded().err
