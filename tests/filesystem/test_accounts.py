"""Users and groups: what USER runs as, and what --chown gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import SandboxError
from builder.filesystem.accounts import Account, home_of, lookup_owner, lookup_user, parse_id

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# a comment:x:7:7
daemon:x:1:2:daemon:/usr/sbin:/bin/false
broken line
app:x:1000:1001:App,,,:/home/app:/bin/bash
nohome:x:50:50
huge:x:4294967296:0::/:
second:x:1000:1001::/home/second:/bin/sh
123:x:2000:2000::/home/digits:/bin/sh
"""
GROUP = b"""root:x:0:root
wheel:x:10:root,app
app:x:1001:
video:x:44:app, other
broken:x:nan:app
huge:x:4294967296:app
"""


@pytest.mark.rule("U-1")
@pytest.mark.parametrize(
    ("spec", "account"),
    [
        ("", Account(uid=0, gid=0, groups=(10,))),
        ("root", Account(uid=0, gid=0, groups=(10,))),
        ("0", Account(uid=0, gid=0, groups=(10,))),
        ("app", Account(uid=1000, gid=1001, groups=(10, 44))),
        ("1000", Account(uid=1000, gid=1001, groups=(10, 44))),
        ("app:wheel", Account(uid=1000, gid=10)),
        ("app:99", Account(uid=1000, gid=99)),
        ("app:", Account(uid=1000, gid=1001, groups=(10, 44))),
        ("4242", Account(uid=4242, gid=0)),
        ("4242:4243", Account(uid=4242, gid=4243)),
        ("4242:video", Account(uid=4242, gid=44)),
        ("nohome", Account(uid=50, gid=50)),
        ("123", Account(uid=123, gid=0)),
        ("4294967294", Account(uid=4294967294, gid=0)),
    ],
)
def test_whom_user_runs_as(spec: str, account: Account) -> None:
    assert lookup_user(PASSWD, GROUP, spec) == account


@pytest.mark.rule("E-2")
@pytest.mark.parametrize(
    ("uid", "home"),
    [(0, "/root"), (1, "/usr/sbin"), (1000, "/home/app"), (2000, "/home/digits"), (50, "/"), (123, "/"), (4242, "/")],
)
def test_home_is_that_of_the_first_user_with_the_number(uid: int, home: str) -> None:
    assert home_of(PASSWD, uid) == home


@pytest.mark.parametrize("spec", ["ghost", "app:ghost", "huge", "broken line", "-1", "1.0", "0x10", "app ", "+0"])
def test_an_unknown_name_is_an_error(spec: str) -> None:
    with pytest.raises(SandboxError, match=r"there is no (user|group)"):
        lookup_user(PASSWD, GROUP, spec)


@pytest.mark.parametrize("number", ["4294967295", "4294967296", "8589934592", "99999999999999999999"])
def test_an_id_out_of_range_does_not_become_root_cve_2024_40635(number: str) -> None:
    for spec in (number, f"0:{number}", f"{number}:0"):
        with pytest.raises(SandboxError, match="out of range"):
            lookup_user(PASSWD, GROUP, spec)
        with pytest.raises(SandboxError, match="out of range"):
            lookup_owner(PASSWD, GROUP, spec)


def test_without_files_numbers_and_root_still_work() -> None:
    assert lookup_user(b"", b"", "") == Account(uid=0, gid=0)
    assert lookup_user(b"", b"", "root") == Account(uid=0, gid=0)
    assert lookup_user(b"", b"", "5:6") == Account(uid=5, gid=6)


@pytest.mark.rule("C-17")
@pytest.mark.parametrize(
    ("spec", "owner"),
    [
        ("app", (1000, 1001)),
        ("app:wheel", (1000, 10)),
        ("1000", (1000, 1000)),
        ("1000:7", (1000, 7)),
        ("7:app", (7, 1001)),
        ("root", (0, 0)),
        ("root:root", (0, 0)),
        ("app:root", (1000, 0)),
        ("ghost", (0, 0)),
        ("ghost:wheel", (0, 10)),
        ("app:ghost", (1000, 1001)),
        ("5:ghost", (5, 5)),
        (":app", (0, 1001)),
        ("4294967294:0", (4294967294, 0)),
    ],
)
def test_whom_chown_gives_files_to(spec: str, owner: tuple[int, int]) -> None:
    assert lookup_owner(PASSWD, GROUP, spec) == owner


@given(st.binary(max_size=300), st.binary(max_size=300), st.text(max_size=20))
def test_any_files_and_any_spec_give_an_account_or_a_clear_error(passwd: bytes, group: bytes, spec: str) -> None:
    try:
        account = lookup_user(passwd, group, spec)
    except SandboxError:
        return
    assert 0 <= account.uid < 2**32 - 1
    assert 0 <= account.gid < 2**32 - 1


def test_leading_zeros_do_not_make_a_number_larger() -> None:
    assert parse_id("000000000000000000001") == 1
    assert parse_id("١") is None  # a digit elsewhere, but not in passwd(5)
