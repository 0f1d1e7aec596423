"""A status is believed once the next change to the file would show."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from builder.store import stat_cache
from builder.store.stat_cache import YOUNG_BY_OUR_CLOCK_NS, YOUNG_NS, devices_by_our_clock, is_settled

NOW = 1_700_000_000_123_456_789
OURS, OTHER = os.makedev(8, 1), os.makedev(0, 99)

MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:40 / /mnt/a\\040b rw - nfs4 server:/a rw
24 22 0:41 / /tmp rw - tmpfs tmpfs rw
25 22 8:17 / /usb rw - vfat /dev/sdb1 rw
"""


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat_cache, "devices_by_our_clock", lambda: frozenset({OURS}))


def status(*, mtime_ns: int, ctime_ns: int, device: int) -> os.stat_result:
    times = {"st_mtime_ns": mtime_ns, "st_ctime_ns": ctime_ns}
    return os.stat_result((0o100644, 1, device, 1, 0, 0, 0, 0, 0, 0), times)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("age_ns", "device", "expected"),
    [
        (YOUNG_NS, OURS, True),
        (YOUNG_NS, OTHER, True),
        (YOUNG_NS - 1, OTHER, False),
        (YOUNG_NS - 1, OURS, True),
        (YOUNG_BY_OUR_CLOCK_NS, OURS, True),
        (YOUNG_BY_OUR_CLOCK_NS - 1, OURS, False),
        (0, OURS, False),
        (-YOUNG_NS, OURS, False),
    ],
)
@pytest.mark.parametrize("other_age_ns", [0, YOUNG_NS])
def test_the_younger_of_both_times_counts(age_ns: int, device: int, expected: bool, other_age_ns: int) -> None:
    young, old = NOW - age_ns, NOW - age_ns - other_age_ns
    assert is_settled(status(mtime_ns=old, ctime_ns=young, device=device), NOW) == expected
    if other_age_ns == 0:
        assert is_settled(status(mtime_ns=young, ctime_ns=old, device=device), NOW) == expected


@pytest.mark.usefixtures("known")
def test_a_stamp_of_whole_milliseconds_may_be_coarse() -> None:
    whole = (NOW - YOUNG_BY_OUR_CLOCK_NS) // 1_000_000 * 1_000_000
    assert not is_settled(status(mtime_ns=whole, ctime_ns=whole, device=OURS), NOW)
    assert is_settled(status(mtime_ns=whole, ctime_ns=whole, device=OURS), NOW + YOUNG_NS)


def test_a_file_written_a_moment_ago_is_not_settled(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    now = file.stat().st_ctime_ns + 1
    assert not is_settled(file.stat(), now)
    assert is_settled(file.stat(), now + 3_000_000_000)
    # An old mtime does not help: ctime tells that it was set back just now.
    os.utime(file, (1, 1))
    assert not is_settled(file.stat(), now)


def test_devices_are_found_by_the_type_of_their_file_system(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTINFO)
    assert devices_by_our_clock(str(table)) == {os.makedev(8, 1), os.makedev(0, 41)}


@pytest.mark.parametrize("text", ["", "nonsense\n", "1 2 x:y / / rw - ext4 a b\n", " - ext4 \n"])
def test_a_table_that_nobody_understands_names_no_device(tmp_path: Path, text: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(text)
    assert devices_by_our_clock(str(table)) == frozenset()
    assert devices_by_our_clock(str(tmp_path / "none")) == frozenset()


def test_the_clock_of_such_a_file_system_shows_every_change_after_the_wait(tmp_path: Path) -> None:
    """The claim itself, on the file system at hand: after the wait, no change keeps the stamps of the one before."""
    file = tmp_path / "a"
    for number in range(20):
        file.write_text(str(number))
        before = file.stat()
        time.sleep(YOUNG_BY_OUR_CLOCK_NS / 1e9)
        file.write_text(str(number + 1))
        assert file.stat().st_ctime_ns != before.st_ctime_ns
