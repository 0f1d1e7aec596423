"""Images that cannot be had, taken in or sent: one clear line and its exit code, and a store that still verifies."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.program import Outcome, Program
from tests.cli.test_places import mounted, needs_root
from tests.support.registry import FakeImage, FakeRegistry, Fault, make_image, make_index
from tests.transport.test_docker_archive import contradicting, listing, old_docker, write

HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"
PAGE = {"Content-Type": "text/html; charset=utf-8"}
SECRET = "not-the-password"
ALWAYS = 999
PULLS = ("pull", "copy", "inspect", "FROM")
PUSHES = ("push", "copy", "build --push")


def words_of(verb: str, name: str, program: Program) -> list[str]:
    """The command line that wants the image `name` of a registry."""
    (program.folder / "Dockerfile").write_text(f"FROM {name}\nLABEL a=b\n")
    return {
        "pull": ["pull", name],
        "copy": ["copy", f"docker://{name}", "copied:1"],
        "inspect": ["inspect", f"docker://{name}"],
        "FROM": ["--progress=plain", "-t", "built", "."],
    }[verb]


def login(program: Program, host: str) -> dict[str, str | None]:
    """The environment of somebody who has a wrong password."""
    folder = program.folder.parent / "home"
    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(f"me:{SECRET}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder), "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}


def failed(outcome: Outcome, code: int, said: str) -> None:
    """Assert that it ended with one error that says so, and neither secrets nor insides."""
    outcome.failed(code, said)
    assert SECRET not in outcome.err
    assert outcome.err.count("error: ") == 1, outcome.err


class Case:
    """What a registry does, and what is said: by those who want the whole image, and by `inspect`, if that fails."""

    def __init__(self, name: str, faults: Callable[[FakeImage], list[Fault]], said: str, inspect: str | None = "",
                 **registry: str) -> None:  # fmt: skip
        self.name, self.faults, self.said, self.registry = name, faults, said, registry
        self.inspect = said if inspect == "" else inspect


def layer_of(image: FakeImage) -> str:
    return str(json.loads(image.manifest)["layers"][0]["digest"])


def on_layer(**how: object) -> Callable[[FakeImage], list[Fault]]:
    return lambda image: [Fault(f"blobs/{layer_of(image)}", times=ALWAYS, **how)]  # type: ignore[arg-type]


def on(path: str, **how: object) -> Callable[[FakeImage], list[Fault]]:
    return lambda image: [Fault(path, times=ALWAYS, **how)]  # type: ignore[arg-type]


def no_fault(_: FakeImage) -> list[Fault]:
    return []


def expired(_: FakeImage) -> list[Fault]:
    body = b'{"errors":[{"code":"UNAUTHORIZED","message":"the identity token has expired"}]}'
    return [Fault("/token", times=ALWAYS, status=401, body=body)]


def lying(image: FakeImage) -> list[Fault]:
    headers = {"Content-Type": image.media_type, "Docker-Content-Digest": f"sha256:{'0' * 64}"}
    return [Fault("manifests", times=ALWAYS, status=200, body=image.manifest, headers=headers)]


DENIED = "pull access denied, repository does not exist or may require authorization"
CASES = [
    Case("wrong credentials for a token", no_fault, DENIED, auth="bearer", user="me", password="right"),
    Case("wrong password", no_fault, DENIED, auth="basic", user="me", password="right"),
    Case("an expired login", expired, DENIED, auth="bearer"),
    Case("a token service that sends HTML", on("/token", status=200, body=HTML, headers=PAGE), "is not JSON",
         auth="bearer"),
    Case("HTML for a manifest", on("manifests", status=200, body=HTML, headers=PAGE), "which is not a manifest"),
    Case("HTML for a layer", on_layer(status=200, body=HTML, headers=PAGE), "breaks off after", None),
    Case("dies in a manifest", on("manifests", cut_after=9), "the answer was cut short"),
    Case("dies in a layer", on_layer(cut_after=90), "breaks off after", None),
    Case("lies about the digest of a manifest", lying, "has other bytes than its digest"),
    Case("lies about a layer", lambda image: on_layer(status=200, body=b"x" * len(image.blobs[layer_of(image)]))(image),
         "has other bytes", None),
    Case("sends a layer that is longer", lambda image: on_layer(
        status=200, body=image.blobs[layer_of(image)] + b"x")(image), "is longer than", None),
    Case("has lost a layer", on_layer(status=404), "not", None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_registry_does_is_one_error_of_each_verb(pybuild: Program, case: Case) -> None:
    image = make_image([{"data": os.urandom(3000)}])
    with FakeRegistry(**case.registry) as registry:  # type: ignore[arg-type]
        name = registry.add_image("demo", "v1", image)
        env = login(pybuild, registry.host)
        for verb in PULLS:
            registry.faults[:] = case.faults(image)
            outcome = pybuild(*words_of(verb, name, pybuild), env=env)
            said = case.inspect if verb == "inspect" else case.said
            if said is None:  # `inspect` needs no layer
                outcome.succeeded()
            else:
                failed(outcome, 1, said)
            if verb != "FROM":  # a base has its name as soon as its config is known: not every build needs its layers
                assert json.loads(pybuild("images", "--json").succeeded().out) == [], verb
    pybuild("info", "--verify").succeeded()


def test_a_pull_that_fails_leaves_the_name_where_it_was(pybuild: Program) -> None:
    first, second = (make_image([{"data": os.urandom(3000)}]) for _ in range(2))
    with FakeRegistry() as registry:
        name = registry.add_image("demo", "v1", first)
        pybuild("pull", name).succeeded()
        registry.add_image("demo", "v1", second)
        registry.faults[:] = on_layer(cut_after=90)(second)
        failed(pybuild("pull", name), 1, "breaks off after")
        (kept,) = json.loads(pybuild("images", "--json").succeeded().out)
        assert kept["digest"] == first.digest
        registry.faults.clear()
        assert second.digest in pybuild("pull", name).succeeded().out


NAMES = {
    "demo:nope": ("not found in registry", "It has the tags: multi, v1."),
    "demo:multi": ("no match for platform linux/", "It offers: linux/mips, linux/s390x."),
    "nope:v1": ("not found in registry", ""),
    "Demo:v1": ("the repository part must be lower-case", "/demo:v1?"),
    "demo@sha256:abc": ("is not a digest", ""),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_stands_for_nothing_is_one_error_of_each_verb(pybuild: Program, name: str) -> None:
    said, hint = NAMES[name]
    others = [make_image([{one: b"x"}], architecture=one) for one in ("s390x", "mips")]
    with FakeRegistry() as registry:
        registry.add_image("demo", "v1", make_image())
        registry.add_image("demo", "multi", make_index(others), others)
        for verb in PULLS:
            if (verb, name) == ("inspect", "demo:multi"):
                continue  # of what lies elsewhere the first image is shown
            outcome = pybuild(*words_of(verb, f"{registry.host}/{name}", pybuild))
            failed(outcome, 1, said)
            assert hint in outcome.err
    pybuild("info", "--verify").succeeded()


BAD_PUSHES = [
    Case("wrong credentials for a token", no_fault, "push access denied", auth="bearer", user="me", password="right"),
    Case("wrong password", no_fault, "push access denied", auth="basic", user="me", password="right"),
    Case("HTML for an upload", on("uploads", status=200, body=HTML, headers=PAGE), "the answer is none of a registry"),
    Case("HTML for a manifest", on("manifests", status=200, body=HTML, headers=PAGE, method="PUT"),
         "the answer is none of a registry"),
    Case("dies in an upload", on("uploads", cut_request=100), "closed the connection"),
    Case("is full", on("uploads", status=507), "the registry has no space left"),
    Case("finds it too large", on("manifests", status=413, body=HTML, headers=PAGE, method="PUT"), "too large"),
    Case("stores another digest", no_fault, f"sha256:{'0' * 64}"),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD_PUSHES, ids=lambda case: case.name)
def test_what_a_registry_does_to_a_push_is_one_error_of_each_verb(pybuild: Program, case: Case) -> None:
    with FakeRegistry(**case.registry) as registry:  # type: ignore[arg-type]
        if case.name == "stores another digest":
            registry.stated_digest = f"sha256:{'0' * 64}"
        env, name = login(pybuild, registry.host), f"{registry.host}/demo:v1"
        pybuild.build("FROM scratch\nCOPY Dockerfile /\n", "-t", name).succeeded()
        for verb in PUSHES:
            registry.faults[:] = case.faults(make_image())
            words = {
                "push": ["push", name],
                "copy": ["copy", name, f"docker://{name}"],
                "build --push": ["--progress=plain", "-t", name, "--push", "."],
            }[verb]
            failed(pybuild(*words, env=env), 1, case.said)
        assert registry.stated_digest or ("demo", "v1") not in registry.manifests
    pybuild("info", "--verify").succeeded()


def tar_with(*files: tuple[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files:
            assert isinstance(content, bytes)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def archives() -> dict[str, tuple[bytes, str]]:
    files = old_docker()
    whole = tar_with(*files.items())
    return {
        "cut short": (whole[:1300], "cut short"),
        "cut short before its list": (whole[: whole.index(b"manifest.json")], "no manifest.json"),
        "empty": (b"", "holds no files"),
        "a page": (HTML * 20, "a header of the archive has"),
        "two contradicting images": (tar_with(*contradicting().items()), "two different images"),
        "two contradicting lists": (
            tar_with(*files.items(), ("manifest.json", listing(["10/layer.tar", "00/layer.tar"]))),
            "holds 'manifest.json' twice",
        ),
        "a layer of other bytes": (tar_with(*{**files, "10/layer.tar": b"x" * 512}.items()), "has other bytes"),
        "a config of other bytes": (
            tar_with(*{name: b"{}" if name.endswith("0.json") or len(name) == 69 else data
                       for name, data in files.items()}.items()),
            "other bytes",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", archives())
def test_a_bad_archive_is_one_error_of_each_verb(pybuild: Program, kind: str) -> None:
    data, said = archives()[kind]
    path = pybuild.folder / "x.tar"
    path.write_bytes(data)
    place = f"docker-archive:{path}"
    failed(pybuild("load", "-i", str(path)), 1, said)
    failed(pybuild("load", stdin=data), 1, said)
    failed(pybuild("copy", place, "x:1"), 1, said)
    if kind != "a layer of other bytes":  # `inspect` reads none
        failed(pybuild("inspect", place), 1, said)
    assert json.loads(pybuild("images", "--json").succeeded().out) == []
    pybuild("info", "--verify").succeeded()


@needs_root
def test_a_full_disk_is_one_error_of_each_verb(pybuild: Program, tmp_path: Path) -> None:
    image = make_image([{"data": os.urandom(3 << 20)}])
    disk = tmp_path / "disk"
    write(tmp_path / "x.tar", old_docker())
    with FakeRegistry() as registry, mounted(disk, "-t", "tmpfs", "-o", "size=3m", "none"):
        name = registry.add_image("demo", "v1", image)
        full = replace(pybuild, store=disk / "store")
        for verb in ("pull", "copy", "FROM"):
            failed(full(*words_of(verb, name, full)), 1, "no space left on device")
            full("info", "--verify").succeeded()
        large = make_image([{"data": os.urandom(3 << 20)}], compress=False)
        layout = tmp_path / "large"
        pybuild("copy", f"docker://{registry.add_image('demo', 'large', large)}", "large:1").succeeded()
        pybuild("save", "-o", str(layout), "large:1").succeeded()
        failed(full("load", "-i", str(layout)), 1, "no space left on device")
        failed(pybuild("save", "-o", str(disk / "x.tar"), "large:1"), 1, "no space left on device")
        failed(pybuild("copy", "large:1", f"oci:{disk}/layout:x"), 1, "no space left on device")
        assert sorted(path.name for path in disk.iterdir() if path.is_file()) == [], "no part of an archive is left"
        full("info", "--verify").succeeded()
        pybuild("info", "--verify").succeeded()
