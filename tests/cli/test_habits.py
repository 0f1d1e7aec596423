"""What people type who come from docker, podman, buildah or skopeo: it works, or says what to use instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from builder.cli.elsewhere import ELSEWHERE
from builder.cli.groups import ALIASES, GROUPS, HIDDEN, resolve
from builder.cli.main import VERBS, main, parser_of
from builder.errors import UsageError
from tests.cli.other_programs import RECORDED, Words, recorded, told_by
from tests.cli.program import Program
from tests.elsewhere import HABITS_FILE, render_habits


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without any other, where no word is a context, and a store of its own."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    return folder


def why_unknown(words: Words) -> str:
    """Return what is wrong with the answer to a command of another program; "" when it is a good one."""
    if words[0] in VERBS:
        return ""
    try:
        found = resolve(list(words), VERBS)
    except UsageError as error:
        if error.message != f"there is no 'pybuild {words[0]}'" and (
            error.message != f"there is no 'pybuild {' '.join(words)}'"
        ):
            return f"refused, and not by its name: {error.message}"
        return "" if error.hint else "refused without a hint"
    return "" if found else "taken for a folder"


def unanswered(commands: Iterable[Words]) -> dict[str, str]:
    return {" ".join(words): why for words in sorted(set(commands)) if (why := why_unknown(words))}


@pytest.mark.parametrize("program", RECORDED)
def test_every_command_of_another_program_works_or_is_refused_with_what_to_use(program: str) -> None:
    commands = recorded(program)
    assert len(commands) > 10
    assert unanswered(commands) == {}


def test_the_programs_have_no_commands_that_were_not_thought_of(
    docker: str, podman: str, buildah: str, skopeo: str
) -> None:
    for path in (docker, podman, buildah, skopeo):
        commands = set(told_by(path))
        assert len(commands) > 10, f"{path} --help was not understood"
        assert unanswered(commands) == {}, path


def test_nothing_is_both_here_and_elsewhere() -> None:
    words = {*VERBS, *GROUPS, *ALIASES}
    assert words & set(ELSEWHERE) == set(), "what is here is not refused: take it out of builder/cli/elsewhere.py"
    grouped = {f"{group} {word}" for group, known in GROUPS.items() for word in known}
    assert grouped & set(ELSEWHERE) == set()


def test_the_page_for_those_who_come_from_docker_has_every_command() -> None:
    page = HABITS_FILE.read_text("utf-8")
    assert page == render_habits(), "python -m tests.rules --refresh writes docs/coming-from-docker.md"
    works = page.partition("## Where an image is")[0]
    named = set(re.findall(r"[a-z]+", works))
    shared = {word for program in RECORDED for (word, *_) in recorded(program)} & set(VERBS)
    assert shared - {"context"} <= named, "context is docker's for something else"
    assert set(GROUPS) <= named


def test_every_word_of_a_group_means_a_verb_with_a_parser() -> None:
    for group, words in GROUPS.items():
        for word, verb in words.items():
            found = resolve([group, word, "--x", "y"], VERBS)
            assert found is not None, (group, word)
            assert found == (verb, VERBS.get(verb) or HIDDEN[verb], ["--x", "y"]), (group, word)
            assert parser_of(found.verb, found.module).description
    assert {GROUPS[group].get(word) for group, word in (("system", "df"), ("buildx", "du"))} == {"df"}


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_alone_lists_its_words_a_line_each(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([group]) == 0
    alone = capsys.readouterr().out
    lines = [line.strip() for line in alone.partition("commands:\n")[2].partition("\n\n")[0].splitlines()]
    named = [word for line in lines for word in line.partition("   ")[0].split(", ")]
    assert sorted(named) == sorted(GROUPS[group])
    assert all(line.partition("   ")[2].strip() for line in lines), "each says what it does"
    for words in ([group, "--help"], ["help", group], ["--root", "x", group]):
        assert main(words) == 0
        assert capsys.readouterr().out == alone


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["imges"], "there is no command and no folder 'imges' (did you mean 'images'?)"),
        (["pul", "x"], "there is no command and no folder 'pul' (did you mean 'pull'?)"),
        (["--root", "x", "contaner", "ls"], "there is no command and no folder 'contaner' (did you mean 'container'?)"),
        (["foo", "bar"], "there is no command and no folder 'foo'"),
        (["image", "lss"], "there is no 'pybuild image lss' (did you mean ls?)"),
        (["image", "foo"], "there is no 'pybuild image foo'"),
        (["container", "stop", "x"], "there is no 'pybuild container stop'"),
        (["exec", "-it", "c", "sh"], "there is no 'pybuild exec'"),
        (["help", "foo"], "there is no command 'foo'"),
    ],
)
def test_what_is_no_command_is_said_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(words) in (1, 2)
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: {said}"
    assert hint.startswith("hint: ")
    assert not (tmp_path / "store").exists()


def test_a_folder_that_bears_the_name_of_a_command_is_a_context(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("exec", "image", "ls"):
        (nowhere / name).mkdir()
        (nowhere / name / "Dockerfile").write_text(f"FROM scratch\nLABEL is={name}\nCOPY . /\n")
        assert main([name, "-t", name]) == 0, capsys.readouterr().err
    assert main(["-q", "-t", "four", "./exec"]) == 0
    assert main(["image"]) == 0
    capsys.readouterr()
    assert main(["app"]) == 1
    assert "the build context 'app' does not exist" in capsys.readouterr().err
    capsys.readouterr()
    assert main(["image", "ls", "-q"]) == 0, "with one of its words after it, it is the group"
    assert len(capsys.readouterr().out.split()) == 3


def test_docker_s_words_for_building_and_pruning(pybuild: Program) -> None:
    def run(*words: str) -> str:
        return pybuild(*words).succeeded().out

    dockerfile = pybuild.folder / "Dockerfile"
    for name, words in (("a", ["image", "build"]), ("b", ["buildx", "build"]), ("c", ["bud"])):
        dockerfile.write_text(f"FROM scratch\nCOPY Dockerfile /{name}\n")
        run(*words, "-q", "-t", name, ".")
    dockerfile.write_text("FROM scratch\nCOPY Dockerfile /again\n")
    run("builder", "build", "-q", "-t", "c", ".")
    run("container", "create", "--name", "kk", "a", "x")
    assert len(run("image", "ls", "-a").splitlines()) == 5, "three names and the dangling image"

    pruned = run("image", "prune", "-f")
    assert pruned.startswith("Deleted Images:\ndeleted: sha256:")
    assert "\n\nTotal reclaimed space: " in pruned
    assert run("image", "prune").startswith("Total reclaimed space: 0B")
    assert [line.split()[0] for line in run("ls").splitlines()[1:]] == ["a", "b", "c"]

    assert run("builder", "prune", "-af").startswith("Deleted build cache records: 4\nTotal reclaimed space: ")
    assert len(run("images").splitlines()) == 4, "images stay"

    unused = run("image", "prune", "-a", "-f")
    untagged = [line for line in unused.splitlines() if line.startswith("untagged")]
    assert untagged == ["untagged: b:latest", "untagged: c:latest"], "a container stands on the first"

    everything = run("system", "prune", "-a", "-f", "--volumes")
    assert everything.startswith("Deleted Containers:\n")
    assert "\nDeleted Images:\nuntagged: a:latest\ndeleted: sha256:" in everything
    assert run("images", "-q", "-a") == run("container", "ls", "-aq") == ""
    assert list((pybuild.store / "blobs/sha256").iterdir()) == [], "nothing is left"
