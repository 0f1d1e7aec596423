"""What limits of memory and processors write, as values."""

from __future__ import annotations

from typing import Any

import pytest

from builder.oci.run_options import RunOptions, numbers_of
from builder.sandbox.limit_settings import cpu_weight, settings_of
from builder.sandbox.oci.bundle import config
from builder.sandbox.process.hierarchies import Version
from builder.sandbox.spec import DirectoryRoot, SandboxSpec
from tests.sandbox.fake_groups import ALL, MIB


@pytest.mark.parametrize(
    ("asked", "first", "second"),
    [
        ({"memory_bytes": 8}, {"memory.limit_in_bytes": "8", "memory.memsw.limit_in_bytes": "16"},
         {"memory.max": "8", "memory.swap.max": "8"}),
        ({"memory_bytes": 8, "memory_swap_bytes": 8},
         {"memory.limit_in_bytes": "8", "memory.memsw.limit_in_bytes": "8"},
         {"memory.max": "8", "memory.swap.max": "0"}),
        ({"memory_bytes": 8, "memory_swap_bytes": -1},
         {"memory.limit_in_bytes": "8", "memory.memsw.limit_in_bytes": "-1"},
         {"memory.max": "8", "memory.swap.max": "max"}),
        ({"cpu_quota": 5000}, {"cpu.cfs_quota_us": "5000"}, {"cpu.max": "5000 100000"}),
        ({"cpu_period": 5000}, {"cpu.cfs_period_us": "5000"}, {"cpu.max": "max 5000"}),
        ({"cpuset_mems": "0,2"}, {"cpuset.mems": "0,2"}, {"cpuset.mems": "0,2"}),
        ({"cgroup_parent": "x"}, {}, {}),
    ],
)  # fmt: skip
def test_what_one_option_writes(asked: dict[str, Any], first: dict[str, str], second: dict[str, str]) -> None:
    versions: tuple[tuple[Version, dict[str, str]], ...] = ((1, first), (2, second))
    for version, expected in versions:
        settings = settings_of(RunOptions(**asked), version)
        assert [(setting.file, setting.value) for setting in settings] == list(expected.items())


def test_shares_are_weights_in_version_2() -> None:
    assert [cpu_weight(shares) for shares in (1, 2, 1024, 262_144, 999_999)] == [1, 1, 39, 10_000, 10_000]


def test_a_list_of_the_kernels_is_a_set_of_numbers() -> None:
    assert numbers_of("0-2,4") == {0, 1, 2, 4}
    assert numbers_of("") == frozenset()


def test_a_bundle_names_the_limits() -> None:
    def resources(options: RunOptions) -> object:
        spec = SandboxSpec(rootfs=DirectoryRoot("/r"), argv=("true",), options=options)
        document = config(spec, "/r", (), user_namespace=False, single_id=False, terminal=None)
        linux = document["linux"]
        assert isinstance(linux, dict)
        return linux.get("resources")

    assert resources(ALL) == {
        "memory": {"limit": 64 * MIB, "swap": 96 * MIB},
        "cpu": {"shares": 512, "period": 50_000, "quota": 25_000, "cpus": "0-1", "mems": "0"},
    }
    assert resources(RunOptions(cpu_shares=2)) == {"cpu": {"shares": 2}}
    assert resources(RunOptions()) is None
