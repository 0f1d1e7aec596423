"""Who builds here, what they build on, and the image that everybody must get."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builds.base_image import BaseImage, find_base_image
from tests.places.container import contained, make_image
from tests.places.job import Circumstances, do_job
from tests.places.people import Person, people
from tests.sandbox.conftest import users

__all__ = ["users"]


@pytest.fixture(scope="session")
def base() -> Iterator[BaseImage]:
    """The base image, where everybody may read it: pytest's own folders belong to one user."""
    with tempfile.TemporaryDirectory(prefix="pybuild-places-") as folder:
        os.chmod(folder, 0o755)
        yield find_base_image(Path(folder))


@pytest.fixture(scope="session")
def find_person(users: dict[str, str]) -> Callable[[str], Person]:
    """Return the function that gives the person of a kind; skips where there is no docker for the container."""
    found = people(users)

    def find(kind: str) -> Person:
        if kind == "contained" and kind not in found:
            found[kind] = contained(make_image())
        return found[kind]

    return find


@pytest.fixture(scope="session")
def reference(base: BaseImage, find_person: Callable[[str], Person]) -> str:
    """The image ID that root gets on a quiet machine."""
    quiet = Circumstances(person=find_person("root"), isolation="native", load="one", terminal=False)
    outcome = do_job(quiet, base.layout)
    assert outcome.code == 0, outcome.said
    return outcome.image_id
