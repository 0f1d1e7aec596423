"""Who has one user id only, as far as files tell."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from builder.linux.single_id import one_id_only


def test_root_never_has_one_id_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert not one_id_only()


def test_a_user_whom_no_file_names_has_one_id_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    assert one_id_only()


def test_asking_loads_no_ctypes() -> None:
    asked = (
        "import os, sys; os.geteuid = lambda: 4_000_000_000\n"
        "from builder.linux.single_id import one_id_only\n"
        "print(one_id_only(), 'ctypes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True).stdout == b"True False\n"
