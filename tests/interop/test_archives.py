"""Archives and layouts that pybuild writes are taken by skopeo, umoci, podman and docker, unchanged."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.builds.builders import pybuild_command, run
from tests.builds.images import read_image
from tests.builds.results import result_of
from tests.interop.conftest import EXIT_CODE, SPOKEN, Shop, must

COMPRESSIONS = ("gzip", "zstd", "uncompressed")


def archive(shop: Shop, kind: str, compression: str = "gzip", tag: str = "shop/interop:v1") -> Path:
    """Build once more (all cached) into an archive."""
    place = shop.folder / f"{kind}-{compression}.tar"
    if not place.exists():
        shop.build("-t", tag, "-o", f"type={kind},dest={place},compression={compression}")
    return place


def raw_manifest(place: str) -> bytes:
    return must(["skopeo", "inspect", "--raw", place]).encode()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_archive_is_well_formed_and_holds_the_same_tree(shop: Shop, kind: str, compression: str) -> None:
    image = read_image(archive(shop, kind, compression))
    result = result_of(image, shop.base)
    assert result["faults"] == []
    assert result["tree"]["app/greeting"] | {"mtime": 0} == {
        "type": "file",
        "owner": "1000:1000",
        "mode": "0640",
        "text": "greetings\n",
        "mtime": 0,
    }
    assert "app/data/gone" not in result["tree"]
    assert result["removed"] == ["srv/data/sub", "srv/data/sub/old"]
    assert result["tree"]["app/data/kept"]["links"] == ["app/linked"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_skopeo_inspects_an_oci_archive(shop: Shop, skopeo: str, compression: str) -> None:
    found = json.loads(must([skopeo, "inspect", f"oci-archive:{archive(shop, 'oci', compression)}"]))
    assert found["Labels"] == {"org.opencontainers.image.title": "interop"}
    assert "NAME=world" in found["Env"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_skopeo_copies_an_oci_archive_and_keeps_its_digests(shop: Shop, skopeo: str, compression: str) -> None:
    source = f"oci-archive:{archive(shop, 'oci', compression)}"
    target = shop.folder / f"copied-{compression}"
    must([skopeo, "copy", "-q", "--preserve-digests", source, f"dir:{target}"])
    assert raw_manifest(source) == (target / "manifest.json").read_bytes()


def test_skopeo_reads_the_docker_archive_as_both_formats(shop: Shop, skopeo: str) -> None:
    place = archive(shop, "docker")
    for transport in (f"docker-archive:{place}", f"oci-archive:{place}"):
        found = json.loads(must([skopeo, "inspect", transport]))
        assert "NAME=world" in found["Env"], transport


def test_the_store_is_an_oci_layout_for_skopeo(shop: Shop, skopeo: str) -> None:
    names = names_in_store(shop.store)
    assert names, "index.json names nothing"
    name = next(name for name in names if "interop" in name)
    target = shop.folder / "from-store"
    must([skopeo, "copy", "-q", "--preserve-digests", f"oci:{shop.store}:{name}", f"dir:{target}"])
    assert json.loads((target / "manifest.json").read_bytes())["schemaVersion"] == 2


def names_in_store(store: Path) -> list[str]:
    entries = json.loads((store / "index.json").read_bytes())["manifests"]
    found = [(entry.get("annotations") or {}).get("org.opencontainers.image.ref.name", "") for entry in entries]
    return [name for name in found if name]


def test_an_oci_directory_is_a_layout(shop: Shop, skopeo: str) -> None:
    place = shop.folder / "layout"
    shop.build("-t", "shop/interop:v1", "-o", f"type=oci,tar=false,dest={place}")
    assert json.loads((place / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert result_of(read_image(place), shop.base)["faults"] == []
    must([skopeo, "inspect", f"oci:{place}"])


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_umoci_unpacks_the_same_tree(shop: Shop, umoci: str, skopeo: str, compression: str) -> None:
    layout, bundle = shop.folder / f"umoci-{compression}", shop.folder / f"bundle-{compression}"
    must([skopeo, "copy", "-q", f"oci-archive:{archive(shop, 'oci', compression)}", f"oci:{layout}:v1"])
    must([umoci, "unpack", "--image", f"{layout}:v1", str(bundle)])
    rootfs = bundle / "rootfs"
    assert (rootfs / "app/greeting").read_text() == "greetings\n"
    assert not (rootfs / "app/data/gone").exists()
    assert list((rootfs / "srv/data").iterdir()) == []
    assert (rootfs / "app/linked").stat().st_ino == (rootfs / "app/data/kept").stat().st_ino
    local, tar = shop.folder / f"local-{compression}", shop.folder / f"rootfs-{compression}.tar"
    shop.build("-o", f"type=local,dest={local}", "-o", f"type=tar,dest={tar}")
    assert listing(local) == listing(rootfs)
    assert owners_in_tar(tar) == owners(rootfs)


def owners_in_tar(place: Path) -> dict[str, tuple[int, int]]:
    with tarfile.open(place) as archive:
        named = {member.name.removeprefix("./").rstrip("/"): (member.uid, member.gid) for member in archive}
    return {name: owner for name, owner in named.items() if name not in ("", ".")}


def owners(root: Path) -> dict[str, tuple[int, int]]:
    found = {path.relative_to(root).as_posix(): path.lstat() for path in root.rglob("*")}
    return {name: (status.st_uid, status.st_gid) for name, status in found.items()}


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Describe a tree on disk: type and mode, link target or content; a local output belongs to whoever asked."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = path.read_bytes()
        found[path.relative_to(root).as_posix()] = (oct(status.st_mode), content)
    return found


def built_from(shop: Shop, place: str) -> str:
    """Build on an image that a peer has, with an empty store; return a file that came from it."""
    folder = shop.folder / place.partition(":")[0]
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM base AS one\nFROM scratch\nCOPY --from=one /app/greeting /copied\n")
    words = ["--build-context", f"base={place}", "-o", f"type=local,dest={folder}/out", str(folder)]
    must([*pybuild_command(), "--root", f"{folder}/store", "--progress", "plain", *words])
    return (folder / "out/copied").read_text()


@pytest.mark.parametrize("kind", ["docker", "oci"])
def test_podman_loads_and_runs(shop: Shop, podman: str, kind: str) -> None:
    must([podman, "load", "-q", "-i", str(archive(shop, kind))])
    done = run([podman, "run", "--rm", "--network", "host", "--cgroups", "disabled", "shop/interop:v1"], {})
    if kind == "oci":
        assert built_from(shop, "containers-storage:shop/interop:v1") == "greetings\n"
    run([podman, "rmi", "-f", "shop/interop:v1"], {})
    assert (done.returncode, done.stdout) == (EXIT_CODE, SPOKEN)


def test_docker_loads_and_runs(shop: Shop, docker: str) -> None:
    must([docker, "load", "-q", "-i", str(archive(shop, "docker"))])
    found = json.loads(must([docker, "image", "inspect", "shop/interop:v1"]))[0]
    done = run([docker, "run", "--rm", "--network", "host", "shop/interop:v1"], {})
    assert built_from(shop, "docker-daemon:shop/interop:v1") == "greetings\n"
    run([docker, "rmi", "-f", "shop/interop:v1"], {})
    assert found["Config"]["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
    assert (done.returncode, done.stdout) == (EXIT_CODE, SPOKEN)


def test_a_tar_of_the_root_file_system_is_imported_by_docker(shop: Shop, docker: str) -> None:
    place = shop.folder / "rootfs.tar"
    shop.build("-o", f"type=tar,dest={place}")
    must([docker, "import", str(place), "shop/imported:v1"])
    command = [docker, "run", "--rm", "--network", "host", "shop/imported:v1", "/bin/cat", "/app/greeting"]
    done = run(command, {})
    run([docker, "rmi", "-f", "shop/imported:v1"], {})
    assert done.stdout == "greetings\n"
