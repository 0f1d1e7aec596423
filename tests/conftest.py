"""What all tests share: markers, the peers, and an empty store."""

from __future__ import annotations

import os
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from builder.store.store import Store, open_store
from tests.support.peers import FIXTURES, MISSING, is_required, peer, real_registry, tool

THINNED = {
    "tests/builds/test_differential.py": 16,
    "tests/builds/test_recorded.py": 12,
    "tests/cli/test_bad_dockerfiles.py": 2,
    "tests/cli/test_bad_images.py": 2,
    "tests/cli/test_build_args.py": 2,
    "tests/cli/test_cache_rules.py": 2,
    "tests/cli/test_contexts.py": 2,
    "tests/cli/test_credentials.py": 2,
    "tests/cli/test_damage.py": 3,
    "tests/cli/test_deep_trees.py": 3,
    "tests/cli/test_foreign_flags.py": 4,
    "tests/cli/test_reasons.py": 5,
    "tests/containers/test_hostile.py": 3,
    "tests/containers/test_life.py": 3,
    "tests/containers/test_options.py": 3,
    "tests/course/test_other_desks.py": 7,
    "tests/sandbox/test_isolation.py": 3,
    "tests/sandbox/test_lent.py": 3,
    "tests/sandbox/test_mount_attacks.py": 3,
    "tests/sandbox/test_mounts.py": 3,
    "tests/sandbox/test_network.py": 3,
    "tests/sandbox/test_results.py": 2,
    "tests/sandbox/test_standard_streams.py": 3,
    "tests/solve/run/test_execute.py": 2,
    "tests/solve/run/test_mounts.py": 2,
}
"""Of long tables the first row and one in so many are tried, always the same ones; THOROUGH=1 tries all."""


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("pybuild", deadline=None)  # a busy machine is no finding
    settings.load_profile("pybuild")
    config.addinivalue_line("markers", "rule(id): the rule of the Dockerfile language that this test proves")
    config.addinivalue_line(
        "markers", "alone: this test compares times, or shares a browser; it runs when no other does"
    )
    config.addinivalue_line(
        "markers", "peers: this test needs what `make test-peers` installs or makes; set by fixture"
    )


# Before pytest's own hook, which selects by markers (-m).
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("peers")
    if os.environ.get("THOROUGH") == "1" or config.option.keyword or any("::" in word for word in config.args):
        return
    kept = _thinned([item.nodeid for item in items])
    left_out = [item for item in items if item.nodeid not in kept]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item.nodeid in kept]


def _thinned(nodes: Sequence[str]) -> set[str]:
    """Return the rows of tables that are tried, and all tests that are none: of each function at least one."""
    first = {node.partition("[")[0]: node for node in reversed(nodes)}
    return {
        node
        for node in nodes
        if node == first[node.partition("[")[0]]
        or zlib.crc32(node.encode()) % THINNED.get(node.partition("::")[0], 1) == 0
    }


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let nothing be skipped in CI for want of a program: CI installs what a test needs."""
    report = yield
    if is_required() and report.skipped and isinstance(report.longrepr, tuple) and MISSING.search(report.longrepr[2]):
        report.outcome, report.longrepr = "failed", f"{report.longrepr[2]}; CI must have it"
    return report


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture(scope="session")
def docker() -> str:
    """The path of docker, whose daemon answers; so the others, and each skips where it is missing."""
    return peer("docker")


@pytest.fixture(scope="session")
def buildah() -> str:
    return peer("buildah")


@pytest.fixture(scope="session")
def podman() -> str:
    return peer("podman")


@pytest.fixture(scope="session")
def skopeo() -> str:
    return peer("skopeo")


@pytest.fixture(scope="session")
def umoci() -> str:
    return peer("umoci")


@pytest.fixture(scope="session")
def shared_registry() -> str:
    """The host of the real registry that .ci/peers has started on loopback."""
    return real_registry()


@pytest.fixture(scope="session")
def zsh() -> str:
    return tool("zsh")


@pytest.fixture(scope="session")
def fish() -> str:
    return tool("fish")


@pytest.fixture(scope="session")
def chromium() -> str:
    return tool("chromium")


@pytest.fixture(scope="session")
def groff() -> str:
    return tool("groff")


@pytest.fixture(scope="session")
def mandoc() -> str:
    return tool("mandoc")
