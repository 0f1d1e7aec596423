"""Root of a user namespace that was entered before pybuild started: `unshare -r`, a rootless container."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builder.linux.single_id import one_id_only
from builder.sandbox.namespace import BuildNamespace, MappedRoot, SingleIdRoot
from builder.sandbox.runner import Sandbox
from tests.sandbox.host import Host, Outcome, run_in

Kind = type[MappedRoot] | type[SingleIdRoot]


@pytest.mark.parametrize(("user", "kind"), [("ranges", MappedRoot), ("single", SingleIdRoot)])
def test_root_inside_is_known_for_what_it_is(hosts: dict[str, Host], user: str, kind: Kind) -> None:
    host = replace(hosts[user], is_inside=True)

    def work(sandbox: Sandbox, namespace: BuildNamespace) -> tuple[BuildNamespace, bool]:
        return namespace, one_id_only()

    namespace, single = host.do(work)
    assert isinstance(namespace, kind)
    assert single is (kind is SingleIdRoot)


@pytest.mark.parametrize(("user", "owner"), [("ranges", "5 6"), ("single", "0 0")])
def test_root_inside_runs_isolated(hosts: dict[str, Host], user: str, owner: str) -> None:
    host = replace(hosts[user], is_inside=True)

    def work(sandbox: Sandbox, namespace: BuildNamespace) -> tuple[str, Outcome]:
        script = "id -u; echo $$; touch /made && chown 5:6 /made && stat -c '%u %g' /made; touch /dev/null && echo dev"
        return sandbox.name, run_in(sandbox, host, argv=("/bin/sh", "-c", script))

    name, outcome = host.do(work)
    assert name == "native"
    assert outcome.error == ""
    assert outcome.out == f"0\n1\n{owner}\ndev\n", outcome.err
    assert outcome.upper == ("made",)
