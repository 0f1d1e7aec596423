"""RUN, for real: what the command sees, what becomes of its output, and what is left of it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import Cancelled, Location, StepFailed
from builder.oci.run_options import RunOptions
from tests.sandbox.host import Host
from tests.solve.site import Site, at_site, names


def test_what_a_command_writes_is_its_layer(any_host: Host) -> None:
    def work(site: Site) -> list[str]:
        return names(site.run("echo hello > /home/file; mkdir /made"))

    assert at_site(any_host, work) == ["home", "home/file", "made"]


def test_a_command_that_changes_nothing_leaves_an_empty_layer(any_host: Host) -> None:
    def work(site: Site) -> list[str]:
        return names(site.run("cat /etc/hosts /etc/resolv.conf > /dev/null; ls /proc /sys > /dev/null; :"))

    assert at_site(any_host, work) == []


def test_a_step_sees_what_the_steps_before_it_did(any_host: Host) -> None:
    def work(site: Site) -> str:
        site.run("echo one > /a; mkdir /d; touch /d/x /d/y")
        site.run("rm /d/x; echo two >> /a")
        site.run("true")
        site.run("true")
        site.run("cat /a; ls /d")
        return site.output

    assert at_site(any_host, work) == "one\ntwo\ny"


def test_output_comes_as_lines_while_the_command_runs(root_host: Host) -> None:
    def work(site: Site) -> tuple[list[bytes], float]:
        timestamps: list[float] = []
        site.lines = _Watched(timestamps)
        site.run("echo first; sleep 1; printf 'without end'")
        return list(site.lines), timestamps[1] - timestamps[0]

    lines, between = at_site(root_host, work)
    assert lines == [b"first", b"without end"]
    assert between > 0.5


class _Watched(list[bytes]):
    def __init__(self, timestamps: list[float]) -> None:
        super().__init__()
        self.timestamps = timestamps

    def append(self, line: bytes) -> None:
        self.timestamps.append(time.monotonic())
        super().append(line)


def test_a_failing_command_says_which_and_with_what_code(any_host: Host) -> None:
    def work(site: Site) -> tuple[object, ...]:
        with pytest.raises(StepFailed) as caught:
            site.run("echo about to fail; exit 3", location=Location("Dockerfile", 7), title="[2/3] RUN …")
        error = caught.value
        left = list((site.rig.root / "snapshots").glob("*run*"))
        return error.message, error.command_exit_code, error.tail, error.location, error.step, left

    message, code, tail, location, step, left = at_site(any_host, work)
    assert message == ('process "/bin/sh -c echo about to fail; exit 3" did not complete successfully: exit code: 3')
    assert (code, tail, location, step) == (3, ("about to fail",), Location("Dockerfile", 7), "[2/3] RUN …")
    assert left == []


def test_a_shell_that_is_not_in_the_image_is_explained(root_host: Host) -> None:
    def work(site: Site) -> tuple[int | None, str]:
        with pytest.raises(StepFailed) as caught:
            site.run("", argv=("/bin/bash", "-c", "true"))
        return caught.value.command_exit_code, caught.value.hint

    code, hint = at_site(root_host, work)
    assert code == 127
    assert "/bin/bash" in hint


def test_cancelling_stops_the_command_and_leaves_no_debris(any_host: Host) -> None:
    def work(site: Site) -> tuple[float, int]:
        timer = threading.Timer(0.3, site.cancel.set)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            site.run("sleep 60")
        return time.monotonic() - started, len(list((site.rig.root / "tmp").glob("*-run")))

    seconds, left = at_site(any_host, work)
    assert seconds < 30  # of 60
    assert left == 0


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "0:0:root"),
        ("alice", "1000:1001:alice"),
        ("alice:wheel", "1000:10:alice"),
        ("1000", "1000:1001:alice"),
        ("4242", "4242:0:4242"),
    ],
)
def test_the_user_is_the_images(root_host: Host, user: str, expected: str) -> None:
    def work(site: Site) -> str:
        site.run('echo "$(id -u):$(id -g):$(id -un 2>/dev/null)"', user=user)
        return site.output

    assert at_site(root_host, work) == expected


def test_a_user_has_its_supplementary_groups(root_host: Host) -> None:
    def work(site: Site) -> str:
        site.run("id -G", user="alice")
        return site.output

    assert at_site(root_host, work) == "1001 10"


def test_an_unknown_user_fails_with_a_hint(root_host: Host) -> None:
    def work(site: Site) -> tuple[str, str, Location | None]:
        with pytest.raises(StepFailed) as caught:
            site.run("true", user="bob", location=Location("Dockerfile", 3))
        return caught.value.message, caught.value.hint, caught.value.location

    message, hint, location = at_site(root_host, work)
    assert "bob" in message
    assert hint
    assert location == Location("Dockerfile", 3)


@pytest.mark.parametrize(
    ("user", "env", "home"),
    [("", (), "/root"), ("alice", (), "/home/alice"), ("", ("HOME=/h",), "/h"), ("alice", ("HOME=",), "/home/alice")],
)
def test_home_comes_from_the_images_passwd_unless_it_is_set(
    root_host: Host, user: str, env: tuple[str, ...], home: str
) -> None:
    def work(site: Site) -> str:
        site.run("echo $HOME", user=user, env=("PATH=/bin", *env))
        return site.output

    assert at_site(root_host, work) == home


def test_proxies_come_in_both_spellings_and_do_not_replace_the_stages_own(root_host: Host) -> None:
    def work(site: Site) -> str:
        site.run(
            "env | sort | sed -n '/proxy=/p;/PROXY=/p'",
            env=("PATH=/bin", "NO_PROXY=own"),
            proxy_env=("HTTP_PROXY=http://p:1", "no_proxy=given"),
        )
        return site.output

    assert at_site(root_host, work) == "HTTP_PROXY=http://p:1\nNO_PROXY=own\nhttp_proxy=http://p:1\nno_proxy=given"


def test_a_missing_working_directory_is_made(root_host: Host) -> None:
    def work(site: Site) -> str:
        site.run("echo $PWD", cwd="/deep/er")
        return site.output

    assert at_site(root_host, work) == "/deep/er"


@pytest.mark.parametrize("isolation", ["native", "chroot"])
def test_a_heredoc_script_is_found_and_leaves_nothing(root_host: Host, isolation: str) -> None:
    def work(site: Site) -> tuple[str, list[str]]:
        entries = site.run(
            "", argv=("/dev/pipes/EOF",), script="#!/bin/sh\necho from the script\n", script_path="/dev/pipes/EOF"
        )
        return site.output, names(entries)

    assert at_site(replace(root_host, isolation=isolation), work) == ("from the script", [])


def test_extra_hosts_are_seen_and_not_kept(any_host: Host) -> None:
    def work(site: Site) -> tuple[str, list[str]]:
        site.tools["options"] = RunOptions(add_hosts=(("registry.test", "10.1.2.3"),))
        entries = site.run("cat /etc/hosts")
        return site.output, names(entries)

    output, entries = at_site(any_host, work)
    assert "10.1.2.3" in output
    assert entries == []


def test_owners_in_the_layer_are_those_inside(host: Host) -> None:
    def work(site: Site) -> tuple[bool, list[tuple[str, int, int]]]:
        site.run("touch /home/alice/mine; chown 1000:1001 /home/alice/mine")
        entries = site.run("chmod 600 /home/alice/mine; touch /new")
        return not site.sources.owners, [(entry.path, entry.uid, entry.gid) for entry in entries]

    single, found = at_site(host, work)
    assert found[0] == ("home", 0, 0)
    assert found[1] == ("home/alice", 1000, 1001)  # from the base, also where there is only one id
    assert found[2] == ("home/alice/mine", *((0, 0) if single else (1000, 1001)))
    assert found[3] == ("new", 0, 0)


def test_files_that_nobody_may_read_get_into_the_layer(host: Host) -> None:
    def work(site: Site) -> int:
        entries = site.run("mkdir -m 0 /closed; echo secret > /shadow; chmod 0 /shadow")
        return next(entry.size for entry in entries if entry.path == "shadow")

    assert at_site(host, work) == 7


def test_an_interrupted_build_leaves_layers_that_can_be_used(root_host: Host) -> None:
    def work(site: Site) -> list[str]:
        site.run("touch /one")
        layers = list(site.layers)
        with pytest.raises(StepFailed):
            site.run("touch /two; exit 1")
        assert site.layers == layers
        site.run("ls / | sed -n '/one/p;/two/p'")
        assert Path(site.rig.place.snapshots).is_dir()
        return site.output.split()

    assert at_site(root_host, work) == ["one"]
