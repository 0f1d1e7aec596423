"""--add-host: what docker takes, and what it makes of it (each line compared with docker 28)."""

from __future__ import annotations

import pytest

from builder.cli.rare_options import parse_hosts
from tests.cli.program import Program

TAKEN = {
    "a:1.2.3.4": [("a", "1.2.3.4")],
    "a=1.2.3.4": [("a", "1.2.3.4")],
    "a:::1": [("a", "::1")],
    "a:[::1]": [("a", "::1")],
    "a=[::1]": [("a", "::1")],
    "a=[1.2.3.4]": [("a", "1.2.3.4")],
    "a:FE80::1": [("a", "fe80::1")],
    "a:2001:DB8:0:0:1:0:0:1": [("a", "2001:db8::1:0:0:1")],
    "a:::ffff:1.2.3.4": [("a", "1.2.3.4")],
    "A_b:1.2.3.4": [("a_b", "1.2.3.4")],
    "a b:1.2.3.4": [("a b", "1.2.3.4")],
    '"a:1.2.3.4"': [("a", "1.2.3.4")],
    "a:1.2.3.4,b:1.2.3.5": [("a", "1.2.3.4"), ("b", "1.2.3.5")],
    "a:1.2.3.4,a:1.2.3.5": [("a", "1.2.3.4"), ("a", "1.2.3.5")],
    "[a]:1.2.3.4": [("[a]", "1.2.3.4")],
    "a:host-gateway": [("a", "host-gateway")],
    "": [],
}


@pytest.mark.parametrize("word", TAKEN)
def test_a_host_is_read_as_docker_reads_it(word: str) -> None:
    assert list(parse_hosts([word])) == TAKEN[word]


def test_hosts_reach_a_run_and_a_container(runs: Program) -> None:
    hosts = ("--add-host", "a:[::1],B=1.2.3.4", "--add-host", "gate:host-gateway", "--network", "host")
    outcome = runs.build("FROM base\nRUN tail -n 3 /etc/hosts | tr '\\t\\n' ' ;'\n", *hosts, "-t", "i").succeeded()
    assert "::1 a;1.2.3.4 b;127.0.0.1 gate;" in outcome.err
    assert runs("run", *hosts, "i", "tail", "-n", "1", "/etc/hosts").out == "127.0.0.1\tgate\n"


def test_a_host_name_that_is_no_text_is_kept(runs: Program) -> None:
    outcome = runs.build("FROM base\nRUN tail -n 1 /etc/hosts | od -c\n", "--add-host", "\udcff:1.2.3.4")
    assert "377" in outcome.succeeded().err
