"""A class: a public registry with an image in two versions, a private one with a password, and a desk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.builds.base_image import BaseImage
from tests.cli.conftest import base_image, pybuild
from tests.course.classroom import Desk, new_desk
from tests.sandbox.conftest import users
from tests.support.docker_registry import registry_program, running, with_password

__all__ = ["base_image", "pybuild", "users"]


@pytest.fixture(scope="session", name="registry_program")
def found_registry_program() -> str:
    return registry_program()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, base_image: BaseImage, registry_program: str) -> Iterator[Desk]:
    """A desk with an empty store; `{hub}/web:1.0` and `:2.0` can be pulled, `{private}` wants a password.

    Its `{hublog}` is the file in which the public registry writes down what it is asked.
    """
    folder = tmp_path_factory.mktemp("class")
    with ExitStack() as stack:
        hosts = {}
        for name in ("hub", "private"):
            (folder / name).mkdir()
            settings = with_password(folder / name) if name == "private" else ""
            hosts[name] = stack.enter_context(running(registry_program, folder / name, settings))
        names = {**hosts, "hublog": f"{folder}/hub/log", "base": f"oci-layout://{base_image.layout}:latest"}
        teacher = replace(new_desk(folder / "teacher", ""), names=names)
        teacher.write(
            "Dockerfile", "FROM base AS common\nRUN echo common > /common\nFROM common\nARG V\nRUN echo $V > /v\n"
        )
        for version in ("1.0", "2.0"):
            teacher.ok(
                f"docker build -q --build-context base={{base}} --build-arg V={version} -t {{hub}}/web:{version} ."
            )
            teacher.ok(f"docker push -q {{hub}}/web:{version}")
        yield replace(new_desk(folder / "student", ""), names=names)
