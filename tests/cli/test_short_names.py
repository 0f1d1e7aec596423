"""Names without a registry and without a tag: aliases of registries.conf, said aloud; `latest`, explained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.engine import images, transfers
from builder.engine.copying import copy_between, save_images
from builder.engine.verify import verify_image
from builder.errors import StoreError
from tests.cli.program import Program
from tests.support.registry import FakeRegistry, make_image


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def aliases(program: Program, **names: str) -> dict[str, str | None]:
    """The environment in which these short names have aliases."""
    path = program.folder.parent / "registries.conf"
    path.write_text("[aliases]\n" + "".join(f'"{short}" = "{long}"\n' for short, long in names.items()))
    return {"CONTAINERS_REGISTRIES_CONF": str(path)}


def test_an_alias_decides_for_pull_and_from_and_is_said_aloud(pybuild: Program, registry: FakeRegistry) -> None:
    registry.add_image("os/fedora", "latest", make_image([{"etc/": b"", "etc/os": b"fedora"}]))
    registry.add_image("other/fedora", "latest", make_image([{"other": b"fedora"}]))
    env = aliases(pybuild, fedora=f"{registry.host}/os/fedora")
    told = f"fedora stands for {registry.host}/os/fedora: an alias of registries.conf"
    text = "FROM fedora\nCOPY --from=fedora /etc/os /copied\n"
    built = pybuild.build(text, env=env).succeeded()
    assert built.err.count(told) == 1
    assert f"FROM {registry.host}/os/fedora" in built.err
    assert "CACHED" in pybuild.build(text, env=env).succeeded().err
    pulled = pybuild("pull", "fedora", env=env).succeeded()
    assert told in pulled.err
    assert pulled.out.splitlines()[-1] == f"{registry.host}/os/fedora:latest"
    container = pybuild("create", "fedora", "/x", env=env).succeeded()
    assert told in container.err
    # What comes into the store under the name itself goes before the alias, for a receipt and for a kept plan alike.
    pybuild("tag", pybuild.build("FROM scratch\nCOPY Dockerfile /\n", "-q").succeeded().out.strip(), "fedora")
    pybuild.build(text, env=env).failed(1, '"/etc/os": not found')
    pybuild("rmi", "fedora").succeeded()
    pybuild.build(text, env=env).succeeded()
    # Another alias is another base: neither receipt nor plan holds.
    changed = aliases(pybuild, fedora=f"{registry.host}/other/fedora")
    pybuild.build(text, env=changed).failed(1, '"/etc/os": not found')


def test_what_was_pulled_by_an_alias_is_known_by_it(
    pybuild: Program, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with podman: by all that reads an image of the store; names that are given are never aliases."""
    image, long = make_image(), f"{registry.host}/os/fedora"
    registry.add_image("os/fedora", "1", image)
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(aliases(pybuild, fedora=long)["CONTAINERS_REGISTRIES_CONF"]))
    root = str(pybuild.store)
    pybuild("pull", "-q", "fedora:1").succeeded()
    (described,) = images.describe_images(root, ["fedora:1"], notify=print)
    assert described["RepoTags"] == [f"{long}:1"]
    assert list(images.read_documents(root, ["fedora:1"], notify=print)) == [image.manifest]
    assert images.image_history(root, "fedora:1", notify=print).steps
    assert all(check.is_good is not False for check in verify_image(root, "fedora:1", notify=print))
    copy_between("fedora:1", f"dir:{tmp_path}/flat", root, notify=print)
    save_images(root, ["fedora:1"], f"{tmp_path}/x.tar", notify=print)
    with pytest.raises(StoreError, match="not exist locally with the tag: fedora:1") as unknown:
        list(transfers.push(root, "fedora:1", notify=print))
    assert f"alias here of {long}:1" in unknown.value.hint
    images.tag_image(root, "fedora:1", ["fedora:1"], notify=print)
    names = [one.name for one in images.list_images(root, notify=print)]
    assert names == [f"{long}:1", "docker.io/library/fedora:1"]
    for name in ("docker.io/library/fedora:1", f"{long}:1"):
        (removed,) = images.remove_images(root, ["fedora:1"], notify=print)
        assert f"Untagged: {name.removeprefix('docker.io/library/')}" in removed.lines
    pybuild("rmi", "fedora:1").failed(1, "no such image: fedora:1")


def test_what_is_here_under_a_short_name_needs_no_alias(pybuild: Program, registry: FakeRegistry) -> None:
    env = aliases(pybuild, base=f"{registry.host}/gone/base")
    pybuild.build("FROM scratch\nCOPY Dockerfile /\n", "-t", "base", env=env).succeeded()
    assert "stands for" not in pybuild.build("FROM base\n", env=env).succeeded().err
    pybuild.build("FROM base:2\n", env=env).failed(1, f"base:2 stands for {registry.host}/gone/base:2", "not found")
    wrong = aliases(pybuild, other="Not/A/Name.")
    pybuild.build("FROM other\n", env=wrong).failed(1, "registries.conf: the alias of other: invalid reference format")


def test_latest_is_explained_where_nobody_said_it(pybuild: Program, registry: FakeRegistry) -> None:
    registry.owned = set()
    name = f"{registry.host}/team/app"
    built = pybuild.build("FROM scratch\nCOPY Dockerfile /\n", "-t", name, "-t", f"{name}:1").succeeded()
    assert f"tagged {name}:latest (no tag given: latest)\ntagged {name}:1\n" in built.err
    for verb in ("push", "pull"):
        assert pybuild(verb, name).succeeded().out.splitlines()[0] == "Using default tag: latest"
        for words in ((f"{name}:latest",), ("-q", name), ("-a", name)):
            assert "Using default tag" not in pybuild(verb, *words).out


def test_of_a_build_that_fails_the_base_alone_stays_under_the_name_it_was_pulled_by(
    pybuild: Program, registry: FakeRegistry
) -> None:
    registry.add_image("os/fedora", "latest", make_image([{"etc/": b""}]))
    env = aliases(pybuild, fedora=f"{registry.host}/os/fedora")
    pybuild.build("FROM fedora\nCOPY nothing /\n", "-t", "app", env=env).failed(1, "nothing")
    assert pybuild("ls", "--format", "{{.Repository}}").succeeded().out == f"{registry.host}/os/fedora\n"
