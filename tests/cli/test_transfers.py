"""The verbs between the store and registries, as people call them: pull, push, login, search, and build --push."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.program import Program
from tests.support.registry import FakeRegistry, Fault, make_image, make_index

TEXT = "FROM scratch\nCOPY Dockerfile /file\nCOPY Dockerfile /again\n"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def test_a_pulled_image_is_here_with_its_layers(pybuild: Program, registry: FakeRegistry) -> None:
    image = make_image([{"a": b"a"}, {"b": b"b"}])
    name = registry.add_image("demo", "v1", image)
    said = pybuild("pull", name).succeeded().out.splitlines()
    assert said[0] == "v1: Pulling from demo"
    assert sum(line.endswith(": Pull complete") for line in said) == 2
    assert said[-3:] == [f"Digest: {image.digest}", f"Status: Downloaded newer image for {name}", name]
    again = pybuild("pull", name).succeeded().out.splitlines()
    assert again[-2] == f"Status: Image is up to date for {name}"
    assert not any("complete" in line for line in again)


def test_a_mirror_that_lies_is_told_once_and_the_image_comes_from_the_registry(
    pybuild: Program, registry: FakeRegistry
) -> None:
    image = make_image([{"a": b"a"}, {"b": b"b"}])
    registry.add_image("team/demo", "v1", image)
    path = pybuild.folder.parent / "registries.conf"
    with FakeRegistry() as mirror:
        mirror.add_image("copies/demo", "v1", image)
        for digest in mirror.blobs:
            mirror.blobs[digest] = b"evil" + mirror.blobs[digest][4:]
        path.write_text(
            f'[[registry]]\nprefix = "r.example/team"\nlocation = "{registry.host}/team"\n'
            f'[[registry.mirror]]\nlocation = "{mirror.host}/copies"\n'
        )
        env: dict[str, str | None] = {"CONTAINERS_REGISTRIES_CONF": str(path)}
        told = f"mirror {mirror.host} is not asked any more: blob sha256:"
        built = pybuild.build("FROM r.example/team/demo:v1\nCOPY --from=r.example/team/demo:v1 /a /c\n", env=env)
        assert built.succeeded().err.count(told) == 1
        copied = pybuild("copy", "docker://r.example/team/demo:v1", "oci-archive:-", env=env)
        assert copied.succeeded().err.count(told) == 1


def test_a_tag_that_moved_says_what_it_was(pybuild: Program, registry: FakeRegistry) -> None:
    first, second = make_image([{"a": b"a"}]), make_image([{"a": b"a"}, {"b": b"b"}])
    name = registry.add_image("demo", "v1", first)
    pybuild("pull", name).succeeded()
    registry.add_image("demo", "v1", second)
    said = pybuild("pull", name).succeeded().out
    assert f"Digest: {second.digest}" in said
    assert f"Moved: {name} was {first.digest}" in said
    assert said.count("Pull complete") == 1, "only the layer that differs comes down"


def test_all_tags_of_a_repository_are_pulled(pybuild: Program, registry: FakeRegistry) -> None:
    for tag in ("v1", "v2"):
        registry.add_image("demo", tag, make_image([{tag: b"x"}]))
    pybuild("pull", "-a", f"{registry.host}/demo").succeeded()
    rows = json.loads(pybuild("images", "--json").succeeded().out)
    assert {row["name"].rpartition(":")[2] for row in rows} == {"v1", "v2"}
    pybuild("pull", "-a", f"{registry.host}/demo:v1").failed(2, "--all-tags goes with a name without a tag")


def test_a_platform_is_chosen(pybuild: Program, registry: FakeRegistry) -> None:
    arm, amd = make_image(architecture="arm64"), make_image(architecture="amd64")
    name = registry.add_image("demo", "all", make_index([amd, arm]), [amd, arm])
    pybuild("pull", "-q", "--platform=linux/arm64", name).succeeded()
    assert json.loads(pybuild("inspect", name).succeeded().out)[0]["Architecture"] == "arm64"
    pybuild("pull", "--platform=linux/s390x", name).failed(1, "no match for platform linux/s390x", "linux/amd64")


def test_a_pushed_image_has_the_digest_that_is_shown(pybuild: Program, registry: FakeRegistry) -> None:
    name = f"{registry.host}/team/app:1"
    pybuild.build(TEXT, "-t", name).succeeded()
    assert "<none>" in pybuild("images", "--digests").succeeded().out
    said = pybuild("push", name).succeeded().out
    pushed = said.rpartition("digest: ")[2].split()[0]
    assert said.startswith(f"The push refers to repository [{registry.host}/team/app]\n")
    assert said.count(": Pushed") == 3, "two layers and the config"
    assert pushed in pybuild("images", "--digests").succeeded().out
    assert json.loads(pybuild("inspect", name).succeeded().out)[0]["RepoDigests"] == [
        f"{registry.host}/team/app@{pushed}"
    ]
    pybuild("rmi", name).succeeded()
    assert pybuild("pull", f"{registry.host}/team/app@{pushed}").succeeded().out.endswith(f"@{pushed}\n")


def test_what_is_there_is_not_sent_again(pybuild: Program, registry: FakeRegistry) -> None:
    name = f"{registry.host}/app:1"
    pybuild.build(TEXT, "-t", name, "-t", f"{registry.host}/app:2").succeeded()
    first = pybuild("push", name).succeeded().out
    before = len(registry.requests)
    second = pybuild("push", f"{registry.host}/app:2").succeeded().out
    assert second.count("Layer already exists") == 3
    assert first.splitlines()[-1].split()[2] == second.splitlines()[-1].split()[2], "one image has one digest"
    assert not [path for method, path, _ in registry.requests[before:] if method in ("POST", "PATCH")]


def test_a_layer_is_mounted_from_another_repository(pybuild: Program, registry: FakeRegistry) -> None:
    registry.owned = set()  # each repository has its own blobs
    pybuild.build(TEXT, "-t", f"{registry.host}/one:1", "-t", f"{registry.host}/two:1").succeeded()
    pybuild("push", f"{registry.host}/one:1").succeeded()
    pybuild("push", f"{registry.host}/two:1").succeeded()
    assert any("mount=" in path and "from=one" in path for _, path, _ in registry.requests)


@pytest.mark.parametrize("words", [("--push",), ("-o", "type=registry"), ("-o", "type=image,push=true")])
def test_a_build_pushes(pybuild: Program, registry: FakeRegistry, words: tuple[str, ...]) -> None:
    pybuild.build(TEXT, "-t", f"{registry.host}/app:1", *words).succeeded()
    assert ("app", "1") in registry.manifests
    pybuild.build(TEXT, *words).failed(2, "a name is needed to push an image")


@pytest.mark.parametrize("words", [("--push=false",), ("--load",), ("--push=false", "--load=true")])
def test_a_build_does_not_push_unasked(pybuild: Program, registry: FakeRegistry, words: tuple[str, ...]) -> None:
    pybuild.build(TEXT, "-t", f"{registry.host}/app:1", *words).succeeded()
    assert not registry.manifests


def test_what_is_not_here_is_not_pushed(pybuild: Program, registry: FakeRegistry) -> None:
    pybuild("push", f"{registry.host}/app:9").failed(1, "does not exist locally with the tag")
    pybuild("push", f"{registry.host}/app@sha256:{'0' * 64}").failed(2, "has a digest")


def test_a_registry_that_refuses_is_believed(pybuild: Program, registry: FakeRegistry) -> None:
    name = f"{registry.host}/app:1"
    pybuild.build(TEXT, "-t", name).succeeded()
    registry.faults.append(Fault("blobs/uploads", status=403, times=9))
    outcome = pybuild("push", name)
    assert outcome.code != 0
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert ("app", "1") not in registry.manifests
    assert pybuild("info", "--verify").succeeded()


def test_the_tags_of_a_repository_are_listed(pybuild: Program, registry: FakeRegistry) -> None:
    for tag in ("v1", "v2"):
        registry.add_image("demo", tag, make_image())
    lines = pybuild("search", "--list-tags", f"{registry.host}/demo").succeeded().out.splitlines()
    assert [line.split()[-1] for line in lines] == ["TAG", "v1", "v2"]


def test_logging_in_needs_a_user_and_keeps_nothing_that_is_wrong(pybuild: Program, registry: FakeRegistry) -> None:
    pybuild("login", "--password-stdin", registry.host, stdin=b"x").failed(2, "--password-stdin needs --username")
    pybuild("login", "-u", "me", registry.host).failed(2, "no terminal to ask for a password on")
    home = {"HOME": str(pybuild.folder.parent), "DOCKER_CONFIG": None, "REGISTRY_AUTH_FILE": None}
    said = pybuild("login", "-u", "me", "--password-stdin", registry.host, stdin=b"secret\n", env=home).succeeded()
    assert said.out.startswith("Login Succeeded")
    assert "secret" not in said.out + said.err
    assert "Removing login credentials" in pybuild("logout", registry.host, env=home).succeeded().out
    assert "Not logged in" in pybuild("logout", registry.host, env=home).succeeded().out
