"""registries.conf: which places are asked, in which order, and which are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import RegistryError
from builder.oci.digest import Digest
from builder.oci.reference import parse_reference
from builder.registry.client import RegistryClient
from builder.registry.configuration import find_alias, load_configuration
from builder.registry.connection import Connection
from builder.registry.endpoint import endpoint_of, pull_endpoints
from builder.store.store import Store
from builder.transport.destination import copy_blob
from builder.transport.places.registry import RegistrySource
from tests.registry.asking import BLOB, NOBODY, client, descriptor_of, opener
from tests.support.registry import FakeRegistry, Fault, make_image, sha256

NAME = "r.example/team/app:1"


@pytest.fixture
def mirror() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def conf(directory: Path, text: str) -> dict[str, str]:
    path = directory / "registries.conf"
    path.write_text(text)
    return {"CONTAINERS_REGISTRIES_CONF": str(path)}


def mirrored(directory: Path, registry: FakeRegistry, mirror: FakeRegistry, more: str = "") -> dict[str, str]:
    """r.example, which is at `registry`, below other/, and mirrored by `mirror`, below mirror/."""
    return conf(
        directory,
        f'[[registry]]\nprefix = "r.example"\nlocation = "{registry.host}/other"\n'
        f'[[registry.mirror]]\nlocation = "{mirror.host}/mirror"\n{more}',
    )


def test_a_mirror_is_asked_first_and_by_its_own_name(
    tmp_path: Path, registry: FakeRegistry, mirror: FakeRegistry
) -> None:
    image = make_image()
    mirror.add_image("mirror/team/app", "1", image)
    environ = mirrored(tmp_path, registry, mirror)
    assert client(environ).get_manifest(parse_reference(NAME)).digest == image.digest
    assert mirror.paths() == ["/v2/mirror/team/app/manifests/1"]
    assert registry.requests == []


def test_what_a_mirror_lacks_comes_from_the_registry(
    tmp_path: Path, registry: FakeRegistry, mirror: FakeRegistry, store: Store
) -> None:
    image = make_image()
    registry.add_image("other/team/app", "1", image)
    one = client(mirrored(tmp_path, registry, mirror))
    assert one.resolve_tag(parse_reference(NAME)) == image.digest
    with store.blobs.ingest(Digest(sha256(BLOB)), len(BLOB)) as sink:
        one.fetch_blob(parse_reference(NAME), descriptor_of(BLOB), sink)
        sink.commit()
    assert len(mirror.requests) == 2  # one that only lacks something is asked again


@pytest.mark.parametrize("status", [403, 500])
def test_a_mirror_that_fails_is_asked_once(
    tmp_path: Path, registry: FakeRegistry, mirror: FakeRegistry, status: int
) -> None:
    registry.add_image("other/team/app", "1", make_image())
    mirror.faults.append(Fault("", status=status, times=100))
    one = client(mirrored(tmp_path, registry, mirror))
    one.get_manifest(parse_reference(NAME))
    before = len(mirror.requests)
    one.get_manifest(parse_reference(NAME))
    assert len(mirror.requests) == before


def test_a_mirror_whose_manifest_is_another_or_none_is_passed_over(
    tmp_path: Path, registry: FakeRegistry, mirror: FakeRegistry
) -> None:
    image, evil = make_image(), make_image([{"evil": b""}])
    registry.add_image("other/team/app", "1", image)
    mirror.manifests["mirror/team/app", image.digest] = (evil.manifest, evil.media_type)
    mirror.manifests["mirror/team/app", "1"] = (b'{"schemaVersion": 2, "lay', evil.media_type)
    for name in (f"r.example/team/app@{image.digest}", NAME):
        one = client(mirrored(tmp_path, registry, mirror))
        assert one.get_manifest(parse_reference(name)).data == image.manifest


WRONG = bytes(len(BLOB))


@pytest.mark.parametrize("goes_on", [False, True], ids=["kept", "passed on"])
@pytest.mark.parametrize(
    ("faults", "asked_from"),
    [
        ([Fault("blobs", cut_after=100_000), Fault("blobs", status=404, body=b"")], ["bytes=100000-"]),
        ([Fault("blobs", body=WRONG)], [""]),
        ([Fault("blobs", body=BLOB + b"more")], [""]),
        # Nobody sees that the beginning is wrong before the end is there, which is another's.
        (
            [Fault("blobs", body=WRONG, cut_after=100_000), Fault("blobs", status=403, body=b"")],
            ["bytes=100000-", ""],
        ),
        ([Fault("blobs", cut_after=70_000), Fault("blobs", cut_after=0, times=50)], ["bytes=70000-"]),
    ],
    ids=["breaks off", "other bytes", "too many bytes", "other bytes at first", "dies"],
)
def test_what_a_mirror_does_to_a_blob_costs_its_bytes_and_never_the_pull(
    tmp_path: Path,
    registry: FakeRegistry,
    mirror: FakeRegistry,
    store: Store,
    faults: list[Fault],
    asked_from: list[str],
    goes_on: bool,
) -> None:
    registry.blobs[sha256(BLOB)] = mirror.blobs[sha256(BLOB)] = BLOB
    mirror.faults += [replace(fault) for fault in faults]
    notes: list[str] = []
    environ = {**NOBODY, **mirrored(tmp_path, registry, mirror)}
    one = RegistryClient(Connection(sleep=lambda seconds: None, environ=environ), environ, notify=notes.append)
    source, moved, taken = RegistrySource(parse_reference(NAME), one), Moved(), bytearray()
    if goes_on:  # as into a pipe: what is written cannot be had back
        copy_blob(source, descriptor_of(BLOB), taken.extend)
        assert taken == BLOB
    else:
        with store.blobs.ingest(Digest(sha256(BLOB)), len(BLOB)) as sink:
            one.fetch_blob(parse_reference(NAME), descriptor_of(BLOB), sink, moved)
            sink.commit()
        assert moved.bytes == len(BLOB)
    assert [headers.get("range", "") for _, _, headers in registry.requests] == asked_from
    is_lacking = any(fault.status == 404 for fault in faults)
    assert len(notes) == (0 if is_lacking else 1), notes
    assert all(f"mirror {mirror.host} is not asked any more: " in note for note in notes)


def test_the_next_mirror_is_asked_before_the_registry(
    tmp_path: Path, registry: FakeRegistry, mirror: FakeRegistry, store: Store
) -> None:
    with FakeRegistry() as second:
        mirror.blobs[sha256(BLOB)], second.blobs[sha256(BLOB)] = WRONG, BLOB
        again = f'[[registry.mirror]]\nlocation = "{second.host}/mirror"\n'
        one = client(mirrored(tmp_path, registry, mirror, again))
        for _ in range(2):
            with store.blobs.ingest(Digest(sha256(BLOB)), len(BLOB), replace=True) as sink:
                one.fetch_blob(parse_reference(NAME), descriptor_of(BLOB), sink)
                sink.commit()
    assert (len(mirror.requests), len(second.requests), registry.requests) == (1, 2, [])


class Moved:
    """A progress that counts."""

    bytes = 0

    def __call__(self, count: int) -> None:
        self.bytes += count


def test_pushes_go_to_the_registry_itself(tmp_path: Path, registry: FakeRegistry, mirror: FakeRegistry) -> None:
    text = f'[[registry]]\nlocation = "{registry.host}"\n[[registry.mirror]]\nlocation = "{mirror.host}"\n'
    one = client(conf(tmp_path, text))
    one.push_blob(parse_reference(f"{registry.host}/team/app"), descriptor_of(BLOB), opener(BLOB))
    assert registry.requests
    assert mirror.requests == []


@pytest.mark.parametrize(
    ("said", "by_tag", "by_digest"),
    [
        ('pull-from-mirror = "all"', True, True), ('pull-from-mirror = "digest-only"', False, True),
        ('pull-from-mirror = "tag-only"', True, False), ("", True, True),
    ],
)  # fmt: skip
def test_a_mirror_may_serve_tags_or_digests_only(
    tmp_path: Path, registry: FakeRegistry, mirror: FakeRegistry, said: str, by_tag: bool, by_digest: bool
) -> None:
    environ = mirrored(tmp_path, registry, mirror, said)
    reference = parse_reference(NAME)
    for wanted, each in ((by_tag, reference), (by_digest, reference.with_digest(Digest(sha256(b""))))):
        places = pull_endpoints(each, environ)
        assert [place.is_mirror for place in places] == ([True, False] if wanted else [False])


def test_mirrors_by_digest_only_are_an_old_word_for_it(tmp_path: Path) -> None:
    text = '[[registry]]\nlocation = "r.example"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m"\n'
    assert load_configuration(conf(tmp_path, text)).rules[0].mirrors[0].pull_from == "digest-only"


def test_the_longest_prefix_counts_and_hosts_may_have_any_beginning(tmp_path: Path) -> None:
    environ = conf(
        tmp_path,
        '[[registry]]\nprefix = "*.example.com"\nlocation = "all.example.com/sub"\n'
        '[[registry]]\nprefix = "a.example.com/team"\nlocation = "team.example.com/x"\n'
        '[[registry]]\nprefix = "*.plain.com"\ninsecure = true\n',
    )

    def place(name: str) -> str:
        (found,) = pull_endpoints(parse_reference(name), environ)
        return f"{found.host}/{found.repository}{' insecure' if found.insecure else ''}"

    assert place("a.example.com/team/app") == "team.example.com/x/app"
    assert place("a.example.com/teams/app") == "all.example.com/sub/teams/app"
    assert place("b.c.example.com/app") == "all.example.com/sub/app"
    assert place("example.com/app") == "example.com/app"
    assert place("a.plain.com/app") == "a.plain.com/app insecure"
    assert place("docker.io/library/app") == "registry-1.docker.io/library/app"


def test_docker_hub_may_be_elsewhere(tmp_path: Path) -> None:
    environ = conf(tmp_path, '[[registry]]\nprefix = "docker.io"\nlocation = "hub.corp/proxy"\n')
    (found,) = pull_endpoints(parse_reference("busybox"), environ)
    assert found.path("manifests/latest") == "https://hub.corp/v2/proxy/library/busybox/manifests/latest"
    assert endpoint_of("docker.io", "library/busybox", environ).host == "registry-1.docker.io"


def test_what_is_blocked_is_neither_pulled_nor_pushed_even_on_loopback(tmp_path: Path, registry: FakeRegistry) -> None:
    one = client(conf(tmp_path, f'[[registry]]\nlocation = "{registry.host}"\nblocked = true\n'))
    reference = parse_reference(f"{registry.host}/team/app")
    with pytest.raises(RegistryError, match="is blocked"):
        one.get_manifest(reference)
    with pytest.raises(RegistryError, match="is blocked"):
        one.push_blob(reference, descriptor_of(BLOB), opener(BLOB))
    assert registry.requests == []


def test_short_names_come_from_all_files_and_later_ones_win(tmp_path: Path) -> None:
    home = tmp_path / ".config/containers"
    (home / "registries.conf.d").mkdir(parents=True)
    (home / "registries.conf").write_text(
        'unqualified-search-registries = ["docker.io", "quay.io"]\n'
        '[aliases]\nfedora = "old.example/fedora"\ngone = "x.y/z"\n'
    )
    (home / "registries.conf.d/10.conf").write_text('[aliases]\nfedora = "r.example/fedora"\ngone = ""\n')
    environ = {"HOME": str(tmp_path)}
    assert find_alias("fedora", environ) == "r.example/fedora"
    assert find_alias("fedora:40", environ) == "r.example/fedora:40"
    assert find_alias("docker.io/library/fedora", environ) == "", "whoever says where means it"
    assert find_alias("gone", environ) == ""
    assert find_alias("other", environ) == ""
    assert load_configuration(environ).search == ("docker.io", "quay.io")


def test_later_files_take_the_place_of_rules_with_the_same_prefix(tmp_path: Path) -> None:
    home = tmp_path / ".config/containers"
    (home / "registries.conf.d").mkdir(parents=True)
    (home / "registries.conf").write_text('[[registry]]\nlocation = "r.example"\nblocked = true\n')
    (home / "registries.conf.d/10.conf").write_text('[[registry]]\nlocation = "r.example"\ninsecure = true\n')
    assert endpoint_of("r.example", "x", {"HOME": str(tmp_path)}).insecure


@pytest.mark.parametrize(
    "text",
    [
        "[[registry]]\n", '[registry]\nlocation = "x"\n', "[[registry]]\nlocation = 5\n", "aliases = 5\n",
        '[aliases]\nx = ["y"]\n', 'unqualified-search-registries = "x"\n', "unqualified-search-registries = [1]\n",
        '[[registry]]\nlocation = "https://r.example"\n', '[[registry]]\nlocation = "x"\n[[registry.mirror]]\n',
        '[[registry]]\nlocation = "x"\n[[registry.mirror]]\nlocation = "y"\npull-from-mirror = "never"\n',
    ],
)  # fmt: skip
def test_what_means_nothing_is_said_with_its_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(RegistryError, match=r"registries\.conf: .* means nothing there"):
        endpoint_of("r.example", "x", conf(tmp_path, text))


def test_a_directory_that_cannot_be_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("builder.registry.configuration.os.listdir", refused)
    with pytest.raises(RegistryError, match=r"registries.conf.d cannot be read: .*Permission denied"):
        endpoint_of("r.example", "x", {"HOME": str(tmp_path)})
