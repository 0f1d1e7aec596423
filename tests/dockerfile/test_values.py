"""Durations, signals and ports (P-1, P-3, P-4)."""

from __future__ import annotations

import pytest

from builder.dockerfile.ports import parse_port
from builder.dockerfile.values import check_stop_signal, parse_duration
from builder.errors import PlanError


@pytest.mark.rule("P-4")
@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0), ("1ns", 1), ("1us", 1000), ("1µs", 1000), ("1μs", 1000), ("1ms", 1_000_000), ("1s", 10**9),
        ("1m", 60 * 10**9), ("1h", 3600 * 10**9), ("1h30m", 5400 * 10**9), ("1.5s", 1_500_000_000),
        (".5s", 500_000_000), ("1.s", 10**9), ("-1s", -(10**9)), ("+1s", 10**9), ("0.000000001s", 1), 
        ("1h1m1s1ms1us1ns", 3661001001001), ("0s", 0), ("1s1s", 2 * 10**9),
    ],
)  # fmt: skip
def test_a_go_duration_is_nanoseconds(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.rule("P-4")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", 'time: invalid duration ""'),
        ("5", 'time: missing unit in duration "5"'),
        ("x", 'time: invalid duration "x"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        (".s", 'time: invalid duration ".s"'),
        ("-", 'time: invalid duration "-"'),
        ("1s2", 'time: missing unit in duration "1s2"'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        ("9999999999h", 'time: invalid duration "9999999999h"'),
    ],
)
def test_what_is_no_go_duration_is_refused_in_gos_words(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="time:") as caught:
        parse_duration(text)
    assert str(caught.value) == reason


@pytest.mark.rule("P-3")
@pytest.mark.parametrize("text", ["SIGTERM", "term", "9", "64", "99", "-1", "SigUsr1", "RTMIN+3", "SIGRTMAX-1"])
def test_a_signal_is_a_name_or_a_number(text: str) -> None:
    assert check_stop_signal(text) == text


@pytest.mark.rule("P-3")
@pytest.mark.parametrize("text", ["0", "", "SIG", "foo", "SIGSIGTERM", "1.5", "RTMIN+16", "٣"])
def test_other_signals_are_refused(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        check_stop_signal(text)
    assert caught.value.message == f"invalid signal: {text}"


@pytest.mark.rule("P-1")
@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", ("80/tcp",)), ("80/udp", ("80/udp",)), ("80/SCTP", ("80/sctp",)), ("80/", ("80/tcp",)),
        ("80-82", ("80/tcp", "81/tcp", "82/tcp")), ("80-80/udp", ("80/udp",)), ("0080", ("80/tcp",)),
        ("8080:80", ("80/tcp",)), ("127.0.0.1:8080:80", ("80/tcp",)), ("[::1]:8080:80/udp", ("80/udp",)),
        ("127.0.0.1::80", ("80/tcp",)), ("1000-1002:80-82", ("80/tcp", "81/tcp", "82/tcp")),
        ("1000-1009:80", ("80/tcp",)), ("0", ("0/tcp",)), ("65535", ("65535/tcp",)),
    ],
)  # fmt: skip
def test_a_port_is_a_number_or_a_range_with_a_protocol(text: str, ports: tuple[str, ...]) -> None:
    assert parse_port(text).ports() == ports


@pytest.mark.rule("P-1")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "invalid containerPort: a"),
        ("65536", "invalid containerPort: 65536"),
        ("3-1", "invalid containerPort: 3-1"),
        ("-1", "invalid containerPort: -1"),
        ("1-2-3", "invalid containerPort: 1-2-3"),
        ("80/foo", 'invalid port: "80/foo": invalid proto: foo'),
        ("/tcp", 'invalid port: "/tcp": no port specified'),
        ("80:", 'invalid port: "80:": no port specified'),
        ("a:80", "invalid hostPort: a"),
        ("1.2.3:4:5", "invalid IP address: 1.2.3"),
        ("1-2:3-5", "invalid ranges specified for container and host Ports: 3-5 and 1-2"),
    ],
)
def test_what_is_no_port_is_refused_in_buildkits_words(text: str, expected: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_port(text)
    assert caught.value.message == expected
