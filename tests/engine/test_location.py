"""Where the store is when nobody says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.engine import location
from builder.engine.location import store_root

HOME = {"HOME": "/home/x"}


def test_what_is_said_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert store_root("here", {"PYBUILD_ROOT": "/there"}) == f"{tmp_path}/here"
    assert store_root(None, {"PYBUILD_ROOT": "/there", **HOME}) == "/there"


@pytest.mark.parametrize(
    ("uid", "environment", "root"),
    [
        (0, HOME, "/var/lib/pybuild"),
        (0, {"XDG_DATA_HOME": "/data", **HOME}, "/data/pybuild"),
        (1000, HOME, "/home/x/.local/share/pybuild"),
        (1000, {"XDG_DATA_HOME": "/data", **HOME}, "/data/pybuild"),
    ],
)
def test_root_has_the_systems_and_others_their_own(
    monkeypatch: pytest.MonkeyPatch, uid: int, environment: dict[str, str], root: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(location, "_is_ours", lambda directory: True)
    assert store_root(None, environment) == root


def test_root_of_a_namespace_that_does_not_own_the_system_has_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a directory away")
    os.chown(tmp_path, 1000, 1000)
    monkeypatch.setattr(location, "_SYSTEM", str(tmp_path))
    assert store_root(None, HOME) == "/home/x/.local/share/pybuild"
    os.chown(tmp_path, 0, 0)
    assert store_root(None, HOME) == f"{tmp_path}/pybuild"
