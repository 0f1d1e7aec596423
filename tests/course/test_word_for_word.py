"""An introductory course on docker images, word for word, with the program's name replaced."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.course.classroom import Desk
from tests.crash.watch import verified
from tests.support.docker_registry import PASSWORD, USER

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def test_two_tags_share_what_they_share(desk: Desk) -> None:
    first = desk.ok("docker pull {hub}/web:1.0")
    assert first.startswith("1.0: Pulling from web\n")
    assert first.count(": Pull complete\n") == 3
    assert re.search(r"^Digest: sha256:[0-9a-f]{64}\nStatus: Downloaded newer image for \S+/web:1.0\n", first, re.M)
    before = _blobs_asked_for(desk)
    second = desk.ok("docker pull {hub}/web:2.0")
    assert second.count(": Already exists\n") == 2
    assert second.count(": Pull complete\n") == 1
    assert _blobs_asked_for(desk) - before == 2, "a config, and the layer that differs"
    assert "Status: Image is up to date" in desk.ok("docker pull {hub}/web:1.0")
    head, *rows = desk.ok("docker images").splitlines()
    assert head.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    found = {(row.split()[0], row.split()[1]): row.split()[2] for row in rows}
    hub = desk.names["hub"]
    assert set(found) == {(f"{hub}/web", "1.0"), (f"{hub}/web", "2.0")}
    assert len(set(found.values())) == 2


def test_a_container_keeps_what_it_wrote(desk: Desk) -> None:
    _pull(desk, "1.0")
    desk.type_at("docker run -it --name c1 {hub}/web:1.0 sh", b"unset HISTFILE; echo hola > /f; exit\n")
    own, virtual = _sizes(desk)
    assert own == "5B"
    desk.type_at("docker start -ai c1", b"unset HISTFILE; cat /f; head -c 74 /dev/zero >> /f; exit\n")
    assert _sizes(desk) == ("79B", virtual)
    assert desk.ok("docker diff c1") == "A /f\n"
    refused = desk("docker rmi {hub}/web:1.0")
    container = desk.ok("docker ps -aq").strip()
    refused.failed(
        1, "conflict: unable to remove repository reference", "(must force)", f"container {container} is using"
    )
    assert desk.ok("docker rm c1") == "c1\n"


def test_an_image_is_published_and_comes_back_by_its_digest(desk: Desk) -> None:
    _pull(desk, "1.0")
    desk("docker pull {private}/me/web:1.0").failed(1, "pull access denied", "login")
    desk.ok("docker tag {hub}/web:1.0 {private}/me/web:1.0")
    desk("docker push {private}/me/web:1.0").failed(1, "push access denied", "login")
    desk(f"docker login -u {USER} --password-stdin {{private}}", b"guess").failed(1, "does not accept")
    said = desk.ok(f"docker login -u {USER} --password-stdin {{private}}", PASSWORD.encode())
    assert said.startswith("Login Succeeded")
    assert PASSWORD not in said

    pushed = desk.ok("docker push {private}/me/web:1.0")
    assert "The push refers to repository [" + desk.names["private"] + "/me/web]" in pushed
    assert pushed.count(": Pushed\n") == 4, "three layers and a config"
    desk.ok("docker tag {private}/me/web:1.0 {private}/me/web:latest")
    again = desk.ok("docker push {private}/me/web")
    assert again.count(": Layer already exists\n") == 4
    assert ": Pushed" not in again
    (digest,) = {DIGEST.search(line)[0] for line in (pushed + again).splitlines() if "digest: " in line}  # type: ignore[index]
    assert digest in desk.ok("docker images --digests {private}/me/web")

    assert "Untagged: " in desk.ok("docker rmi {private}/me/web:1.0 {private}/me/web:latest {hub}/web:1.0")
    desk("docker run --rm {private}/me/web@" + digest + " true")
    pulled = desk.ok("docker pull {private}/me/web@" + digest)
    assert f"Digest: {digest}\n" in pulled
    assert desk.ok(f"docker run --rm {{private}}/me/web@{digest} cat /v") == "1.0\n"
    assert desk.ok("docker logout {private}").startswith("Removing login credentials for ")
    desk("docker pull {private}/me/web:1.0").failed(1, "pull access denied")


@pytest.mark.parametrize("place", ["docker-archive:{0}/a.tar", "oci-archive:{0}/a.tar", "oci:{0}/l:web", "dir:{0}/d"])
def test_an_image_goes_to_each_place_and_comes_back(desk: Desk, tmp_path: Path, place: str) -> None:
    _there_and_back(desk, place.format(tmp_path))


def test_an_image_goes_to_a_docker_daemon_and_comes_back(desk: Desk, docker: str) -> None:
    _there_and_back(desk, "docker-daemon:pybuild-course:1")


def test_an_image_goes_to_the_store_of_podman_and_comes_back(desk: Desk, skopeo: str, tmp_path: Path) -> None:
    _there_and_back(desk, f"containers-storage:[vfs@{tmp_path}/storage+{tmp_path}/run]pybuild-course:1")


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_an_image_is_saved_and_loaded(desk: Desk, tmp_path: Path, kind: str) -> None:
    _pull(desk, "2.0")
    identifier = _image_id(desk, "{hub}/web:2.0")
    desk.ok(f"docker save --format {kind} -o {tmp_path}/web.tar {{hub}}/web:2.0")
    desk.ok("docker rmi {hub}/web:2.0")
    said = desk.ok(f"docker load -i {tmp_path}/web.tar")
    assert said.endswith(f"Loaded image: {desk.names['hub']}/web:2.0\n")
    assert _image_id(desk, "{hub}/web:2.0") == identifier
    assert desk.ok("docker run --rm {hub}/web:2.0 cat /v /common") == "2.0\ncommon\n"
    verified(desk.program)


def _pull(desk: Desk, tag: str) -> None:
    """Have an image, whether or not the lesson before was given to this process."""
    desk.ok(f"docker pull -q {{hub}}/web:{tag}")


def _there_and_back(desk: Desk, place: str) -> None:
    _pull(desk, "2.0")
    desk.ok(f"pybuild copy -q {{hub}}/web:2.0 '{place}'")
    desk.ok(f"pybuild copy -q '{place}' back:1")
    assert _image_id(desk, "back:1") == _image_id(desk, "{hub}/web:2.0"), "the config has kept its bytes"
    assert desk.ok("docker run --rm back:1 cat /v /common") == "2.0\ncommon\n"
    desk.ok("docker rmi back:1")
    verified(desk.program)


def _image_id(desk: Desk, name: str) -> str:
    return str(json.loads(desk.ok(f"docker images --json {name}"))[0]["id"])


def _sizes(desk: Desk) -> tuple[str, str]:
    """Return what `ps` says of the only container: its own bytes and the virtual ones."""
    head, row = desk.ok("docker ps -a -s").splitlines()
    assert head.split()[-1] == "SIZE"
    found = re.search(r"(\S+) \(virtual (\S+)\)$", row)
    assert found is not None, row
    return found[1], found[2]


def _blobs_asked_for(desk: Desk) -> int:
    return Path(desk.names["hublog"]).read_text().count('"GET /v2/web/blobs/')
