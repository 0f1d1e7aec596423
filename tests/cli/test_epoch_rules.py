"""SOURCE_DATE_EPOCH (T-*): where the time comes from, and everything that has it."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile

import pytest

from tests.cli.program import Program

LONG_AGO, LATER = 1_000_000, 2_000_000
STAMP, LATER_STAMP = "1970-01-12T13:46:40Z", "1970-01-24T03:33:20Z"


def created(program: Program, text: str | None, *words: str, **options: object) -> str:
    program.build(text, "-t", "x", *words, **options).succeeded()
    document = json.loads(program("inspect", "x").succeeded().out)
    return str(document[0]["Created"])


@pytest.mark.rule("T-1")
@pytest.mark.parametrize(
    ("head", "words", "stamp"),
    [
        ("", ("--build-arg", f"SOURCE_DATE_EPOCH={LONG_AGO}"), STAMP),
        (f"ARG SOURCE_DATE_EPOCH={LONG_AGO}\n", (), STAMP),
        (f"ARG SOURCE_DATE_EPOCH={LONG_AGO}\n", ("--build-arg", f"SOURCE_DATE_EPOCH={LATER}"), LATER_STAMP),
        (f"ARG SOURCE_DATE_EPOCH={LONG_AGO}\n", ("--timestamp", str(LATER)), LATER_STAMP),
    ],
)
def test_the_time_is_an_option_a_build_argument_or_a_global_argument(
    pybuild: Program, head: str, words: tuple[str, ...], stamp: str
) -> None:
    assert created(pybuild, f"{head}FROM scratch\nENV a=b\n", *words) == stamp


@pytest.mark.rule("T-1")
def test_the_time_of_the_environment_is_taken(pybuild: Program) -> None:
    assert created(pybuild, "FROM scratch\nENV a=b\n", env={"SOURCE_DATE_EPOCH": str(LONG_AGO)}) == STAMP


@pytest.mark.rule("T-1")
def test_an_empty_build_argument_takes_the_time_away(pybuild: Program) -> None:
    text = f"ARG SOURCE_DATE_EPOCH={LONG_AGO}\nFROM scratch\nENV a=b\n"
    assert created(pybuild, text, "--build-arg", "SOURCE_DATE_EPOCH=") > "2020"


@pytest.mark.rule("T-1")
def test_the_context_gives_the_time_of_its_commit(pybuild: Program) -> None:
    (pybuild.folder / "Dockerfile").write_text("FROM scratch\nENV a=b\n")
    stamp = f"@{LONG_AGO} +0000"
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
        subprocess.run(
            [*git, *command], cwd=pybuild.folder, check=True,
            env=pybuild.environment({"GIT_COMMITTER_DATE": stamp, "GIT_AUTHOR_DATE": stamp}),
        )  # fmt: skip
    text = "FROM scratch\nENV a=b\n"
    assert created(pybuild, text, "--build-arg", "SOURCE_DATE_EPOCH=context") == STAMP


@pytest.mark.rule("T-1")
def test_the_time_of_the_commit_is_asked_for_in_every_build(pybuild: Program) -> None:
    text = "ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nENV a=b\n"
    (pybuild.folder / "Dockerfile").write_text(text)
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run([*git, "init", "-q"], cwd=pybuild.folder, check=True)
    for timestamp, stamp in ((LONG_AGO, STAMP), (LATER, LATER_STAMP)):
        subprocess.run(
            [*git, "commit", "-q", "--allow-empty", "-m", "x"], cwd=pybuild.folder, check=True,
            env=pybuild.environment({"GIT_COMMITTER_DATE": f"@{timestamp} +0000"}),
        )  # fmt: skip
        assert created(pybuild, None) == stamp


@pytest.mark.rule("T-1")
def test_a_context_without_a_time_leaves_the_time_as_it_is(pybuild: Program) -> None:
    text = "FROM scratch\nENV a=b\n"
    assert created(pybuild, text, "--build-arg", "SOURCE_DATE_EPOCH=context") > "2020"
    assert created(pybuild, text, env={"SOURCE_DATE_EPOCH": "context"}) > "2020"
    pybuild.build(text, "--timestamp", "git").failed(1)


@pytest.mark.rule("T-1")
@pytest.mark.parametrize("text", [
    "FROM scratch AS src\nADD {url}/file.txt /\nFROM scratch\nCOPY --from=src / /\n",
    "FROM scratch AS src\nADD {url}/file.txt /\nFROM scratch\nENV a=b\n",
])  # fmt: skip
def test_a_stage_gives_the_time_of_what_it_fetches(pybuild: Program, url: str, text: str) -> None:
    stamps = [created(pybuild, text.format(url=url), "--build-arg", "SOURCE_DATE_EPOCH=src") for _ in range(2)]
    assert stamps == ["2020-01-01T00:00:00Z"] * 2


@pytest.mark.rule("T-1")
def test_a_name_that_is_nothing_is_refused_with_the_nearest(pybuild: Program) -> None:
    text = "ARG SOURCE_DATE_EPOCH=sorce\nFROM scratch AS source\nADD http://127.0.0.1/ /\nFROM scratch\nENV a=b\n"
    pybuild.build(text).failed(1, "invalid SOURCE_DATE_EPOCH: sorce (did you mean source?)", "Dockerfile:1")


@pytest.mark.rule("T-1")
@pytest.mark.parametrize("value", ["253402300800", "yesterday", "1.5", "-1", "0x10", " 1"])
def test_what_is_no_time_is_refused(pybuild: Program, value: str) -> None:
    text = "FROM scratch\nENV a=b\n"
    outcome = pybuild.build(text, "--build-arg", f"SOURCE_DATE_EPOCH={value}")
    assert outcome.code in (1, 2)
    assert "SOURCE_DATE_EPOCH" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.rule("T-2", "T-3")
def test_every_time_in_an_image_is_the_epoch_or_earlier(pybuild: Program) -> None:
    (pybuild.folder / "new").write_text("new")
    (pybuild.folder / "old").write_text("old")
    subprocess.run(["touch", "-d", "@5000", str(pybuild.folder / "old")], check=True)
    text = "FROM scratch\nWORKDIR /w\nCOPY new old ./\nENV a=b\n"
    assert created(pybuild, text, "--timestamp", str(LONG_AGO), "-o", "type=oci,dest=x.tar") == STAMP
    with tarfile.open(pybuild.folder / "x.tar") as image:
        texts = [image.extractfile(member) for member in image.getmembers() if member.name.startswith("blobs/")]
        blobs = [file.read() for file in texts if file]
    times: dict[str, float] = {}
    for blob in blobs:
        if blob.startswith(b"{"):
            history = json.loads(blob).get("history", [])
            assert {record["created"] for record in history} <= {STAMP}
            continue
        with tarfile.open(fileobj=io.BytesIO(blob)) as layer:
            times |= {member.name.rstrip("/"): member.mtime for member in layer.getmembers()}
    assert times == {"w": LONG_AGO, "w/new": LONG_AGO, "w/old": 5000}


@pytest.mark.rule("T-2")
def test_an_image_with_an_epoch_is_the_same_image_every_time(pybuild: Program) -> None:
    (pybuild.folder / "a").write_text("a")
    text = "FROM scratch\nWORKDIR /w\nCOPY a .\nCOPY <<x /x\ntext\nx\n"
    words = ("--timestamp", str(LONG_AGO), "-q")
    first = pybuild.build(text, *words).succeeded().out
    assert first.startswith("sha256:")
    assert Program(pybuild.store.with_name("other"), pybuild.folder, "").build(text, *words).succeeded().out == first


@pytest.mark.rule("T-4")
def test_a_stage_that_declares_it_sees_the_time(runs: Program) -> None:
    text = f'FROM base\nARG SOURCE_DATE_EPOCH\nRUN test "$SOURCE_DATE_EPOCH" = {LONG_AGO}\n'
    runs.build(text, "--build-arg", f"SOURCE_DATE_EPOCH={LONG_AGO}").succeeded()
    runs.build(text, "--no-cache", env={"SOURCE_DATE_EPOCH": str(LONG_AGO)}).succeeded()
    text = 'FROM base\nRUN test -z "$SOURCE_DATE_EPOCH"\n'
    runs.build(text, "--build-arg", f"SOURCE_DATE_EPOCH={LONG_AGO}").succeeded()
