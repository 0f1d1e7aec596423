"""What the interop tests share: one build of pybuild's in every form, the peers, and a registry on loopback.

A peer that is missing skips its tests with the reason; with CI=true that is a failure.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builds.base_image import BaseImage, make_base_image
from tests.builds.builders import pybuild_command, run

DOCKERFILE = """\
FROM busybox-base
RUN mkdir -p /app/data && echo kept > /app/data/kept && echo gone > /app/data/gone && ln /app/data/kept /app/linked
RUN rm /app/data/gone && rm -rf /srv/data && mkdir /srv/data && ln -s /app /srv/link
COPY --chown=1000:1000 --chmod=640 greeting /app/greeting
ENV NAME=world
WORKDIR /app
LABEL org.opencontainers.image.title=interop
HEALTHCHECK --interval=30s CMD true
CMD ["/bin/sh", "-c", "echo hello $NAME from $(pwd); cat greeting; exit 7"]
"""
SPOKEN = "hello world from /app\ngreetings\n"
EXIT_CODE = 7


@dataclass(frozen=True, slots=True)
class Shop:
    """A store with the image `shop/interop:v1`, and how to call pybuild on it."""

    folder: Path
    store: Path
    context: Path
    base: BaseImage

    def pybuild(self, *arguments: str) -> str:
        """Run one pybuild command; its failure fails the test."""
        return must([*pybuild_command(), *arguments], {"PYBUILD_ROOT": str(self.store)})

    def build(self, *options: str, context: Path | None = None) -> str:
        given = f"busybox-base=oci-layout://{self.base.layout}@{self.base.manifest_digest}"
        options = ("--build-context", given, "--progress", "plain", *options)
        return self.pybuild(*options, str(context or self.context))


def must(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a program; return what it printed, or fail the test with it."""
    done = run(command, environment or {})
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stdout[-3000:]}", pytrace=False)
    return done.stdout


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("interop")
    for place in (folder, folder.parent):
        place.chmod(0o755)
    context = folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "greeting").write_text("greetings\n")
    made = Shop(folder, folder / "store", context, make_base_image(folder))
    made.build("-t", "shop/interop:v1")
    return made


@pytest.fixture(scope="session")
def registry_program() -> str:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not on the PATH")
    return str(program)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, registry_program: str) -> Iterator[str]:
    """A real docker-registry on a free port, for as long as the tests run; yields `127.0.0.1:PORT`."""
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        f'http: {{addr: "{address}"}}\n'
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [registry_program, "serve", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            wait_for(f"http://{address}/v2/")
            yield address
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    print(f"{url} does not answer", file=sys.stderr)
