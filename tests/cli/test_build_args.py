"""The arguments that speak to the builder: each one of the table does what it says there, or is warned of."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable

import pytest

from builder.plan.predefined import ATTESTATIONS, PREDEFINED, RULE
from tests.cli.program import Outcome, Program
from tests.solve.remotes import repository  # noqa: F401  # a fixture

RepositoryURL = str


def _arg(name: str, value: str) -> tuple[str, str]:
    return "--build-arg", f"{name}={value}"


def _caches(run: Program, name: str) -> None:
    text = "FROM base\nRUN --mount=type=cache,target=/c [ ! -e /c/made ] && touch /c/made #"
    run.build(f"{text}1\n", *_arg(name, "one")).succeeded()
    run.build(f"{text}2\n", *_arg(name, "two")).succeeded()
    assert run.build(f"{text}3\n", *_arg(name, "one")).code == 1


def _hostname(run: Program, name: str) -> None:
    run.build('FROM base\nRUN [ "$(hostname)" = box ]\n', *_arg(name, "box")).succeeded()


def _check(run: Program, name: str) -> None:
    text = "FROM scratch\nMAINTAINER x\n"
    assert run.build(text, "--check").code == 1
    run.build(text, "--check", *_arg(name, "skip=all")).succeeded()


def _syntax(run: Program, name: str) -> None:
    outcome = run.build("FROM scratch\n", *_arg(name, "example.org/other")).succeeded()
    assert "the frontend example.org/other is not run" in outcome.err
    assert "warning" not in run.build("FROM scratch\n", *_arg(name, "docker/dockerfile:1")).succeeded().err


def _epoch(run: Program, name: str) -> None:
    run.build("FROM scratch\nCOPY Dockerfile /\n", *_arg(name, "7"), "-o", "type=tar,dest=../t.tar").succeeded()
    with tarfile.open(run.folder.parent / "t.tar") as tar:
        assert {member.mtime for member in tar} == {7}


def _multi(run: Program, name: str) -> None:
    text = "FROM scratch\nCOPY Dockerfile /\n"
    run.build(text, *_arg(name, "1"), "--platform=linux/amd64", "-o", "type=local,dest=../out").succeeded()
    assert [path.name for path in (run.folder.parent / "out").iterdir()] == ["linux_amd64"]


def _git(run: Program, name: str) -> None:
    """Has a test of its own: the server is a fixture."""


EFFECTS: dict[str, Callable[[Program, str], None]] = {
    "BUILDKIT_CACHE_MOUNT_NS": _caches,
    "BUILDKIT_CONTEXT_KEEP_GIT_DIR": _git,
    "BUILDKIT_DOCKERFILE_CHECK": _check,
    "BUILDKIT_MULTI_PLATFORM": _multi,
    "BUILDKIT_SANDBOX_HOSTNAME": _hostname,
    "BUILDKIT_SYNTAX": _syntax,
    "SOURCE_DATE_EPOCH": _epoch,
}


@pytest.mark.rule("A-8")
def test_every_argument_has_an_effect_or_a_sentence() -> None:
    assert {name for name, found in PREDEFINED.items() if found.effect} == set(EFFECTS)
    assert all(bool(found.effect) != bool(found.missing) for found in PREDEFINED.values())


@pytest.mark.rule("A-8")
@pytest.mark.parametrize("name", EFFECTS)
def test_an_argument_with_an_effect_has_it(runs: Program, name: str) -> None:
    EFFECTS[name](runs, name)


WITHOUT = [name for name, found in PREDEFINED.items() if not found.effect]


@pytest.mark.rule("A-8")
@pytest.mark.parametrize("name", [*WITHOUT, f"{ATTESTATIONS}SBOM", f"{ATTESTATIONS}PROVENANCE"])
def test_an_argument_without_an_effect_is_warned_of_unless_it_asks_for_nothing(pybuild: Program, name: str) -> None:
    def warned(outcome: Outcome) -> bool:
        outcome.succeeded()
        assert "no ARG of the build uses it" not in outcome.err
        return f"warning: {RULE}: --build-arg {name} does nothing: " in outcome.err

    text = "FROM scratch\nCOPY Dockerfile /\n"
    for _ in range(2):  # the second time from the receipt
        assert warned(pybuild.build(text, *_arg(name, "1")))
    for value in ("", "0", "false"):
        assert not warned(pybuild.build(text, *_arg(name, value)))


@pytest.mark.rule("A-8")
@pytest.mark.parametrize(("value", "kept"), [("1", True), ("true", True), ("0", False), ("", False), ("maybe", False)])
def test_the_context_of_a_repository_keeps_its_git_directory(
    pybuild: Program,
    repository: RepositoryURL,  # noqa: F811
    value: str,
    kept: bool,
) -> None:
    words = ("-f", "-", *_arg("BUILDKIT_CONTEXT_KEEP_GIT_DIR", value), "-o", "../out")
    outcome = pybuild(*words, repository, stdin=b"FROM scratch\nCOPY . /\n").succeeded()
    assert (pybuild.folder.parent / "out" / ".git").exists() is kept
    assert (f"{RULE}: --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR" in outcome.err) is (value == "maybe")


@pytest.mark.rule("A-8")
def test_the_url_and_not_the_argument_decides_and_named_contexts_are_not_meant(
    pybuild: Program,
    repository: RepositoryURL,  # noqa: F811
) -> None:
    keep = _arg("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "1")
    dockerfile = b"FROM scratch\nCOPY . /\n"
    url = f"{repository}?keep-git-dir=false"
    pybuild(*keep, "-f", "-", "-o", "../out", url, stdin=dockerfile).succeeded()
    named = b"FROM scratch\nCOPY --from=n . /\n"
    pybuild(*keep, "--build-context", f"n={repository}", "-f", "-", "-o", "../out", ".", stdin=named).succeeded()
    assert (pybuild.folder.parent / "out" / "sub").exists()
    assert not (pybuild.folder.parent / "out" / ".git").exists()


@pytest.mark.rule("A-8")
@pytest.mark.parametrize("value", ["1", "t", "T", "true", "TRUE", "True"])
def test_one_platform_makes_an_index_when_it_is_asked_for(pybuild: Program, value: str) -> None:
    words = (*_arg("BUILDKIT_MULTI_PLATFORM", value), "--platform=linux/arm64")
    meta = pybuild.folder.parent / "meta"
    text = "FROM scratch\nCOPY Dockerfile /\n"
    outcome = pybuild.build(text, *words, "-o", "type=tar,dest=../t.tar", "--metadata-file", str(meta)).succeeded()
    assert "[linux/arm64" in outcome.err
    with tarfile.open(pybuild.folder.parent / "t.tar") as tar:
        assert tar.getnames() == ["linux_arm64", "linux_arm64/Dockerfile"]
    described = json.loads(meta.read_text())["containerimage.descriptor"]
    assert described["mediaType"] == "application/vnd.oci.image.index.v1+json"
    for _ in range(2):
        pybuild.build(text, *words, "-t", "n").succeeded()
        assert json.loads(pybuild("inspect", "n").succeeded().out)


@pytest.mark.rule("A-8")
def test_no_index_is_made_when_none_is_wanted_and_what_makes_no_sense_is_refused(pybuild: Program) -> None:
    text, name = "FROM scratch\nCOPY Dockerfile /\n", "BUILDKIT_MULTI_PLATFORM"
    pybuild.build(text, *_arg(name, "0"), "-o", "../out").succeeded()
    assert (pybuild.folder.parent / "out" / "Dockerfile").exists()
    pybuild.build(text, *_arg(name, "maybe")).failed(2, f"{name}=maybe: it is true or false")
    both = "--platform=linux/amd64,linux/arm64"
    pybuild.build(text, *_arg(name, "false"), both).failed(2, "no result but an index")
