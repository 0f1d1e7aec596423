"""The three builders behind one function each: a staged case → an image archive, or what went wrong.

pybuild runs as a user would run it, from its command line, with a store of its own for each case. Docker's image
comes out as an OCI archive or through `docker save`, buildah's through `buildah push docker-archive:`; both leave
nothing behind.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.builds.base_image import BaseImage
from tests.builds.cases import BASE_NAME, Staged

CHECKOUT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Built:
    """The build worked; the image is in this archive or OCI layout."""

    image: Path
    log: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The build failed, with this exit code and output."""

    code: int
    log: str


Outcome = Built | Failed
Builder = Callable[[Staged, Path, BaseImage], Outcome]


def build_with_pybuild(staged: Staged, folder: Path, base: BaseImage) -> Outcome:
    archive = folder / "pybuild.tar"
    command = [
        *pybuild_command(),
        *common_options(staged, f"oci-layout://{base.layout}@{base.manifest_digest}"),
        *("--root", str(folder / "store"), "--progress", "plain", "-t", "case:latest"),
        *("-o", f"type=oci,dest={archive}", str(staged.context)),
    ]
    done = run(command, staged.case.environment)
    return Failed(done.returncode, done.stdout) if done.returncode else Built(archive, done.stdout)


def pybuild_command() -> list[str]:
    """Return how to run pybuild: $PYBUILD, else the one beside this Python, else the checkout's."""
    if os.environ.get("PYBUILD"):
        return shlex.split(os.environ["PYBUILD"])
    beside = Path(sys.executable).with_name("pybuild")
    if beside.exists():
        return [str(beside)]
    return program_of(CHECKOUT)


def program_of(checkout: Path) -> list[str]:
    """Return how to run the pybuild of a checkout with this Python."""
    code = f"import sys; sys.path.insert(0, {str(checkout)!r}); from builder.cli.main import main; sys.exit(main())"
    return [sys.executable, "-c", code]


def build_with_docker(staged: Staged, folder: Path, base: BaseImage) -> Outcome:
    archive, identity = folder / "docker.tar", folder / "docker.id"
    exports = docker_exports()
    done = run(
        [
            *("docker", "build", "--network", "host", "--no-cache", "--progress", "plain", "--provenance=false"),
            *(("-o", f"type=oci,dest={archive}") if exports else ("--iidfile", str(identity))),
            *common_options(staged, f"docker-image://{base.name}"),
            str(staged.context),
        ],
        staged.case.environment,
    )
    if done.returncode:
        return Failed(done.returncode, done.stdout)
    if not exports:
        image = identity.read_text()
        must(["docker", "save", "-o", str(archive), image])
        run(["docker", "rmi", "-f", image], {})
    return Built(archive, done.stdout)


@functools.cache
def docker_exports() -> bool:
    """Tell whether docker keeps images in containerd: only then it exports, and `--link` links."""
    return "io.containerd.snapshotter" in run(["docker", "info", "--format", "{{.DriverStatus}}"], {}).stdout


def build_with_buildah(staged: Staged, folder: Path, base: BaseImage) -> Outcome:
    identity = folder / "buildah.id"
    done = run(
        [
            *("buildah", "bud", "--isolation", "chroot", "--no-cache", "--layers=false", "--format", "docker"),
            *("--iidfile", str(identity)),
            *common_options(staged, f"docker-image://localhost/{base.name}"),
            str(staged.context),
        ],
        staged.case.environment,
    )
    if done.returncode:
        return Failed(done.returncode, done.stdout)
    archive, image = folder / "buildah.tar", identity.read_text().strip()
    must(["buildah", "push", "-q", image, f"docker-archive:{archive}:case:latest"])
    run(["buildah", "rmi", "-f", image], {})
    return Built(archive, done.stdout)


BUILDERS: dict[str, Builder] = {
    "pybuild": build_with_pybuild,
    "docker": build_with_docker,
    "buildah": build_with_buildah,
}


def common_options(staged: Staged, base: str) -> list[str]:
    """Return the options that mean the same to every builder."""
    case = staged.case
    options = ["--build-context", f"{BASE_NAME}={base}"]
    for name, source in case.contexts.items():
        options += ["--build-context", f"{name}={base if source == BASE_NAME else staged.contexts[name]}"]
    if staged.dockerfile is not None:
        options += ["-f", str(staged.dockerfile)]
    for name, value in staged.build_args.items():
        options += ["--build-arg", f"{name}={value}"]
    for identity, path in staged.secrets.items():
        options += ["--secret", f"id={identity},src={path}"]
    if case.target:
        options += ["--target", case.target]
    return [*options, *case.options]


@functools.cache
def peer_version(peer: str) -> str:
    """Return a peer's name and version; docker's two image stores count as two versions."""
    if peer == "docker":
        version = must(["docker", "version", "--format", "{{.Server.Version}}"]).stdout.strip()
        return f"docker {version}" + (" (containerd image store)" if docker_exports() else "")
    return f"{peer} {must([peer, '--version']).stdout.split()[2]}"


def give_base_to_peer(peer: str, base: BaseImage) -> None:
    """Make the base image known to a peer under its name."""
    if peer == "docker":
        if run(["docker", "image", "inspect", base.name], {}).returncode:
            must(["docker", "load", "-i", str(base.archive)])
    elif peer == "buildah" and run(["buildah", "inspect", "--type", "image", f"localhost/{base.name}"], {}).returncode:
        image = must(["buildah", "pull", "-q", f"oci:{base.layout}:latest"]).stdout.strip()
        must(["buildah", "tag", image, f"localhost/{base.name}"])


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one program to its end, output and errors together."""
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="surrogateescape",
        timeout=TIMEOUT_SECONDS,
    )


def must(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = run(command, {})
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stdout}")
    return done
