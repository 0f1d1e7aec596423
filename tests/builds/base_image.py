"""The base image of the cases: busybox and a few places to copy to, the same bytes on every machine but for busybox.

It is written as an OCI layout and as an archive that every builder can take. What comes in is one static busybox
(fixtures/demo/fetch_busybox.py finds it); expected.json never mentions its bytes, so that its version is free.

    bin/busybox, bin/<applet> -> /bin/busybox        etc/passwd, etc/group: root daemon app tester nobody
    srv/data/            1:1 0750, holds sub/ (2:3 0711) and sub/old (2:3 0640)
    srv/relative -> data        srv/absolute -> /srv/data       srv/dangling -> /nowhere/yet
    srv/file             4:5 0600                                srv/file-link -> file
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = "pybuild-fixtures/busybox-base"
BASE_MTIME = 1_500_000_000
FETCH = Path(__file__).resolve().parents[2] / "fixtures" / "demo" / "fetch_busybox.py"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "ppc64le": "ppc64le"}
APPLETS = """
    adduser addgroup ash awk basename cat chgrp chmod chown cmp cp cut date dd df dirname du echo env expr false find
    getopt grep gzip head hostname id ifconfig install ip kill ln ls md5sum mkdir mkfifo mknod mktemp mount mv nc od
    printf ps pwd readlink realpath rev rm rmdir sed seq setsid sh sha256sum sleep sort stat sync tail tar tee test
    touch tr true truncate tty uname uniq vi wc wget whoami xargs yes
"""
FOLDERS = "bin dev etc home proc root run sbin srv sys tmp usr usr/bin usr/lib usr/sbin var var/lib"
PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
app:x:1000:1000:application:/home/app:/bin/sh
tester:x:1001:1002:tester:/home/tester:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = """\
root:x:0:
daemon:x:1:
app:x:1000:
testers:x:1002:
extra:x:2000:app,tester
more:x:2001:tester
nobody:x:65534:
"""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """The base, in a folder of its own."""

    layout: Path
    """An OCI layout; the image is tagged `latest` there."""
    archive: Path
    """The same as one file that docker, podman and skopeo load."""
    manifest_digest: str
    diff_id: str
    busybox_sha256: str

    @property
    def name(self) -> str:
        """A name that says which bytes it has, so that a peer's stale copy is never used."""
        return f"{REPOSITORY}:{self.manifest_digest.removeprefix('sha256:')[:16]}"


def architecture() -> str:
    """Return this machine's architecture in the words of OCI (GOARCH)."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def find_base_image(folder: Path) -> BaseImage:
    """As `make_base_image`; a test is skipped that cannot have it."""
    try:
        return make_base_image(folder)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no static busybox can be had: {error.stderr.strip()}")


def make_base_image(folder: Path) -> BaseImage:
    """Write the base below `folder`. Raises CalledProcessError when no static busybox can be had."""
    busybox = Path(os.environ.get("PYBUILD_TEST_BUSYBOX", folder / "busybox"))
    if not busybox.exists():
        subprocess.run([sys.executable, str(FETCH), str(busybox)], check=True, capture_output=True, text=True)
    program = busybox.read_bytes()
    layer = base_layer(program)
    diff_id = digest(layer)
    config = to_json(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": "2017-07-14T02:40:00Z",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": "2017-07-14T02:40:00Z", "created_by": "ADD rootfs.tar / # fixture"}],
        }
    )
    manifest = to_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        }
    )
    base = BaseImage(
        layout=folder / "base-layout",
        archive=folder / "base.tar",
        manifest_digest=digest(manifest),
        diff_id=diff_id,
        busybox_sha256=hashlib.sha256(program).hexdigest(),
    )
    write_layout(base, config, manifest, layer)
    write_archive(base)
    return base


def write_layout(base: BaseImage, *blobs: bytes) -> None:
    folder = base.layout / "blobs" / "sha256"
    folder.mkdir(parents=True, exist_ok=True)
    for blob in blobs:
        (folder / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
    config, manifest, layer = blobs
    entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    entry["annotations"] = {
        "org.opencontainers.image.ref.name": "latest",
        "io.containerd.image.name": f"docker.io/{base.name}",
    }
    (base.layout / "index.json").write_bytes(to_json({"schemaVersion": 2, "manifests": [entry]}))
    (base.layout / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))
    names = [f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}" for blob in (config, layer)]
    described = [{"Config": names[0], "RepoTags": [base.name], "Layers": [names[1]]}]
    (base.layout / "manifest.json").write_bytes(to_json(described))


def write_archive(base: BaseImage) -> None:
    with tarfile.open(base.archive, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(base.layout.rglob("*")):
            archive.add(path, path.relative_to(base.layout).as_posix(), recursive=False)


def base_layer(program: bytes) -> bytes:
    """Return the one layer of the base, uncompressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in FOLDERS.split():
            add(archive, name, mode={"tmp": 0o1777, "root": 0o700}.get(name, 0o755))
        add(archive, "bin/busybox", program, mode=0o755)
        for applet in APPLETS.split():
            add(archive, f"bin/{applet}", link="/bin/busybox")
        add(archive, "etc/passwd", PASSWD.encode())
        add(archive, "etc/group", GROUP.encode())
        add(archive, "home/app", mode=0o750, owner=(1000, 1000))
        add(archive, "var/run", link="/run")
        add(archive, "lib", link="usr/lib")
        add(archive, "srv/data", mode=0o750, owner=(1, 1))
        add(archive, "srv/data/sub", mode=0o711, owner=(2, 3))
        add(archive, "srv/data/sub/old", b"old\n", mode=0o640, owner=(2, 3))
        add(archive, "srv/relative", link="data")
        add(archive, "srv/absolute", link="/srv/data")
        add(archive, "srv/dangling", link="/nowhere/yet")
        add(archive, "srv/file", b"file of the base\n", mode=0o600, owner=(4, 5))
        add(archive, "srv/file-link", link="file")
    return buffer.getvalue()


def add(
    archive: tarfile.TarFile,
    name: str,
    content: bytes | None = None,
    *,
    link: str = "",
    mode: int = 0o644,
    owner: tuple[int, int] = (0, 0),
) -> None:
    member = tarfile.TarInfo(name)
    member.uid, member.gid = owner
    member.mtime = BASE_MTIME
    if link:
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, link, 0o777
    elif content is None:
        member.type, member.mode = tarfile.DIRTYPE, mode
    else:
        member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content or b""))


def descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}


def digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def to_json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
