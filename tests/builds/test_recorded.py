"""pybuild makes of every case what the peer made of it: no peer needed."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path

import pytest

from tests.builds.base_image import BaseImage
from tests.builds.cases import Case, case_names, load_case
from tests.builds.compare import report
from tests.builds.verdict import judge_pybuild


@pytest.mark.parametrize("name", case_names())
def test_pybuild_makes_what_the_peer_made(name: str, base: BaseImage) -> None:
    case = load_case(name)
    reason = why_not_here(case)
    if reason:
        pytest.skip(reason)
    differences = judge_pybuild(case, base)
    if differences:
        pytest.fail(report(case, f"{len(differences)} differences", differences), pytrace=False)


@pytest.mark.parametrize("name", case_names())
def test_every_case_says_what_is_expected(name: str) -> None:
    case = load_case(name)
    settled = case.fails is not None or case.checks or case.expected_file.exists() or case.oracle == "none"
    assert case.rule
    assert settled, f"{name} has no expected.json: python -m tests.builds.differential --refresh {name}"
    assert all(case.differences.values()), "each wanted difference needs its reason"


def test_there_are_two_hundred_cases_at_least() -> None:
    assert len(case_names()) >= 200


def why_not_here(case: Case) -> str:
    """Say what a case needs that this user lacks."""
    if os.geteuid() == 0:
        return ""
    if "root" in case.needs:
        return f"{case.name} needs root"
    if "ids" in case.needs and not has_subordinate_ids():
        return f"{case.name} makes files of several owners: give this user a range in /etc/subuid and /etc/subgid"
    return ""


def has_subordinate_ids() -> bool:
    """Tell whether a user namespace of this user can hold more than one id (man 5 subuid)."""
    own = (getpass.getuser(), str(os.getuid()))
    try:
        lines = Path("/etc/subuid").read_text().splitlines()
    except OSError:
        return False
    return shutil.which("newuidmap") is not None and any(line.split(":")[0] in own for line in lines)
