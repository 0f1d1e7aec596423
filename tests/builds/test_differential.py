"""expected.json is still what the peers make of the cases: needs docker, and buildah for a few.

The records seldom change, and asking the peers takes ten minutes: some of the cases are asked for, always the same, and
all of them with THOROUGH=1 (tests/conftest.py). pybuild itself is compared with the records in test_recorded.py.
"""

from __future__ import annotations

import pytest

from tests.builds.base_image import BaseImage
from tests.builds.builders import docker_exports
from tests.builds.cases import Case, case_names, load_case
from tests.builds.compare import report
from tests.builds.verdict import judge_peer


def names_judged_by(peer: str) -> list[str]:
    return [name for name in case_names() if load_case(name).oracle == peer]


@pytest.mark.parametrize("name", names_judged_by("docker"))
def test_docker_still_makes_what_is_recorded(name: str, base: BaseImage, docker: str) -> None:
    case = load_case(name)
    if "containerd" in case.needs and not docker_exports():
        pytest.skip("this docker keeps images in its old store, which answers otherwise")
    check(case, docker, base)


@pytest.mark.parametrize("name", names_judged_by("buildah"))
def test_buildah_still_makes_what_is_recorded(name: str, base: BaseImage, buildah: str) -> None:
    check(load_case(name), buildah, base)


def check(case: Case, peer: str, base: BaseImage) -> None:
    differences = judge_peer(case, peer, base)
    if differences:
        pytest.fail(report(case, f"{peer} has changed its mind", differences), pytrace=False)
