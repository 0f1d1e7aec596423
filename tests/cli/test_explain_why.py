"""`explain --why` and `explain --if-changed`, as they are printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.cli.main import main
from builder.engine.build import build, dry_run
from builder.engine.foretell import Foretelling, Foretold
from builder.engine.request import BuildRequest
from builder.engine.step_graph import StepNode

DOCKERFILE = """\
FROM scratch AS parts
COPY src /out/src
COPY a /out/a
FROM scratch
WORKDIR /w
COPY run.sh /bin/
COPY --from=parts /out/a /a
COPY <<EOF /note
NOTE
EOF
COPY --link --from=parts /out/src /l
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with it:1, and it:2, for which three things have changed."""
    folder = tmp_path_factory.mktemp("why")
    context = folder / "context"
    (context / "src").mkdir(parents=True)
    for name in ("src/app.py", "src/other.py", "a", "run.sh", "x.log"):
        (context / name).write_text(name)
    (context / ".dockerignore").write_text("*.log\n")
    (context / "Dockerfile").write_text(DOCKERFILE)
    request = BuildRequest(root=str(folder / "store"), context=str(context), tags=("it:1",))
    (planned,) = dry_run(request)
    assert {each.kind for status in planned.steps for each in status.why.differences} == {"first-build", "waits"}
    build(request)
    (context / "run.sh").chmod(0o755)
    (context / "src/app.py").write_text("new")
    (context / "src/other.py").write_text("new")
    (context / "Dockerfile").write_text(DOCKERFILE.replace("NOTE\n", "first line\nNOTE\n"))
    build(request._replace(tags=("it:2",)))
    return request.root


def explained(root: str, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["--root", root, "explain", *words]) == code
    told = capsys.readouterr()
    return told.err if code else told.out


def test_all_differences_of_the_build_are_kept_and_shown_later(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = explained(root, capsys, "it:2", "--why")
    assert "[parts 1/2] COPY src /out/src  ran, " in text
    assert "  src/app.py changed\n  src/other.py changed\n" in text
    assert "[stage-1 1/5] WORKDIR /w  was in the cache\n" in text
    assert "  run.sh: mode 0644 → 0755\n" in text
    assert "not built here before" in explained(root, capsys, "it:1", "--why"), "of that build, and not of the last"


def test_one_step_is_shown_as_displays_number_it(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = explained(root, capsys, "it:2", "--why", "2")
    assert first.splitlines()[1:] == ["  run.sh: mode 0644 → 0755"]
    (step,) = json.loads(explained(root, capsys, "--why", "--format", "json", "it:2", "parts:1"))
    assert (step["stage"], step["number"], step["line"], step["reason"]) == (
        *("parts", 1, 2),
        "src/app.py changed and 1 more",
    )
    assert [(each["kind"], each["subject"]) for each in step["differences"]] == [
        ("file-changed", "src/app.py"),
        ("file-changed", "src/other.py"),
    ]
    assert "no step '9'" in explained(root, capsys, "it:2", "--why", "9", code=1)
    assert "is no step" in explained(root, capsys, "it:2", "--why", "it:1", code=2)


def test_an_edit_names_its_readers_and_what_it_costs(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = explained(root, capsys, "it:2", "--if-changed", "./a", "x.log", "nowhere", "src/*.c")
    assert "a: read by step 2 of parts (COPY a /out/a)\n" in text
    assert "x.log: no step reads it: .dockerignore hides it (*.log)\n" in text
    assert "nowhere: no step reads it\n" in text
    assert "src/*.c: no step reads anything that it matches\n" in text
    assert "(reads out/a of step 2 of parts (COPY a /out/a))" in text
    assert "4 of 7 steps stay in the cache\n" in text
    assert "cost: " in text
    document = json.loads(explained(root, capsys, "it:2", "--format", "json", "--if-changed", "src/new.py"))
    assert document["paths"][0]["note"] == "as a new file: it was not there"
    assert [(step["stage"], step["number"], step["certain"]) for step in document["steps"]] == [
        ("parts", 1, True),
        ("parts", 2, True),
        ("stage-1", 5, True),
    ], "what COPY --from selects is the same"
    assert explained(root, capsys, "it:2", "--if-changed", "nowhere").endswith("nothing would run again\n")
    assert "not closed" in explained(root, capsys, "it:2", "--if-changed", "[a", code=2)


def test_an_image_without_a_record_is_a_clear_error(
    root: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    request = BuildRequest(
        root=str(tmp_path / "a"), context=str(tmp_path), outputs=(f"type=oci,dest={tmp_path}/o,tar=false",)
    )
    (tmp_path / "Dockerfile").write_text("FROM scratch\nWORKDIR /w\n")
    build(request)
    place = f"oci:{tmp_path}/o:latest"
    for words in (("--why",), ("--if-changed", "a")):
        assert "there is no record of a build" in explained(str(tmp_path / "b"), capsys, place, *words, code=1)
    (tmp_path / "Dockerfile").write_text("FROM o\n")
    named = {"o": f"oci-layout://{tmp_path}/o:latest"}
    (planned,) = dry_run(request._replace(root=str(tmp_path / "c"), build_contexts=named, outputs=()))
    assert [each.kind for status in planned.steps for each in status.why.differences] == ["not-fetched"]
    assert "show different things" in explained(root, capsys, "it:1", "--why", "--waste", code=2)


def test_the_critical_path_waits_for_what_it_needs_and_for_nothing_else() -> None:
    def node(number: int, parent: int | None, *reads: int) -> StepNode:
        return StepNode("p", number, f"[s {number}/9] RUN x", "s", "key", parent, reads, is_image=False)

    nodes = (node(0, None), node(1, 0), node(2, None), node(3, 1, 2), node(4, 3))
    seconds = {0: 1.0, 1: 2.0, 2: 5.0, 3: 1.0, 4: None}
    steps = tuple(Foretold(each, each.step != 2, "", seconds[each.step]) for each in nodes)
    found = Foretelling("p", (), steps, nodes)
    assert found.cost(certain_only=True) == (4.0, 4.0, 1)
    assert found.cost(certain_only=False) == (9.0, 6.0, 1)
