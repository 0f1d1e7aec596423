"""RUN --mount of binds, tmpfs, secrets and agents: what each shows, what may be written, what stays (nothing)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import StepFailed
from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    SecretMount,
    SshMount,
    StepID,
    StepSource,
    TmpfsMount,
)
from tests.sandbox.host import Host
from tests.solve.site import STAGE, Site, at_site, failure, names

CONTEXT = {"app/main.c": "int main;", "app/secret.env": "KEY=1", "top.txt": "top", "link-target/x": "x"}
MAIN = ContextSource()


# --- bind -------------------------------------------------------------------------------------------------------------


def test_a_bind_of_the_context_shows_it_and_leaves_nothing(any_host: Host) -> None:
    def work(site: Site) -> tuple[str, list[str]]:
        mount = BindMount(source=MAIN, subpath="", target="/src")
        entries = site.run("cat /src/top.txt; echo; stat -c %u:%g /src/top.txt /src/app", mounts=(mount,))
        return site.output, names(entries)

    assert at_site(any_host, work, context=CONTEXT) == ("top\n0:0\n0:0", [])


def test_ignored_files_are_not_in_a_bind_of_the_context(any_host: Host) -> None:
    def work(site: Site) -> str:
        mount = BindMount(source=MAIN, subpath="", target="src")
        site.run("find . -type f | sort", cwd="/src", mounts=(BindMount(source=MAIN, subpath="", target="/src"),))
        first = site.output
        site.run("find /job/src -type f | sort", cwd="/job", mounts=(mount,))
        assert site.output.replace("/job/src", ".") == first
        return first

    found = at_site(any_host, work, context=CONTEXT, ignore="**/*.env\n")
    assert found == "./app/main.c\n./link-target/x\n./top.txt"


def test_one_file_of_the_context_can_be_bound(host: Host) -> None:
    def work(site: Site) -> str:
        mount = BindMount(source=MAIN, subpath="app/main.c", target="/tmp/given.c")
        site.run("cat /tmp/given.c; ls /tmp", mounts=(mount,))
        return site.output

    assert at_site(host, work, context=CONTEXT, ignore="*.txt") == "int main;given.c"


def test_files_of_another_owner_in_the_context_appear_as_roots(root_host: Host) -> None:
    def work(site: Site) -> str:
        context = site.rig.root / "context"
        os.chown(context / "top.txt", 1234, 1234)
        site.run("stat -c %u:%g /src/top.txt", mounts=(BindMount(source=MAIN, subpath="", target="/src"),))
        return site.output

    assert at_site(root_host, work, context=CONTEXT) == "0:0"


@pytest.mark.parametrize("ignore", ["", "nothing-of-this-name"])
def test_a_read_only_bind_refuses_writes(host: Host, ignore: str) -> None:
    def work(site: Site) -> tuple[str, str]:
        mount = BindMount(source=MAIN, subpath="", target="/src")
        site.run(
            "touch /src/new 2>/dev/null || echo refused; (echo x > /src/top.txt) 2>/dev/null || echo too",
            mounts=(mount,),
        )
        return site.output, (site.rig.root / "context/top.txt").read_text()

    assert at_site(host, work, context=CONTEXT, ignore=ignore) == ("refused\ntoo", "top")


@pytest.mark.parametrize("ignore", ["", "nothing-of-this-name"])
def test_attack_a_run_never_writes_to_the_users_context(any_host: Host, ignore: str) -> None:
    def work(site: Site) -> tuple[str, list[str], str]:
        mount = BindMount(source=MAIN, subpath="", target="/src", readonly=False)
        command = "cd /src && echo changed > top.txt && touch new && rm -r app && chmod 777 . && cat top.txt"
        entries = site.run(command, mounts=(mount,))
        again = BindMount(source=MAIN, subpath="", target="/src", readonly=False)
        output = site.output
        site.run("cat /src/top.txt; ls /src", mounts=(again,))
        assert site.output.split() == ["topapp", "link-target", "top.txt"]
        context = site.rig.root / "context"
        files = sorted(str(path.relative_to(context)) for path in context.rglob("*") if path.is_file())
        return output, [*names(entries), *files], (context / "top.txt").read_text()

    output, files, text = at_site(any_host, work, context=CONTEXT, ignore=ignore)
    assert (output, files, text) == ("changed", sorted(CONTEXT), "top")


def test_attack_a_link_in_the_context_leads_nowhere_outside(any_host: Host) -> None:
    def work(site: Site) -> tuple[str, str]:
        outside = site.rig.root / "outside"
        outside.mkdir()
        (outside / "canary").write_text("canary")
        (site.rig.root / "context/link").symlink_to(outside)
        message, _ = failure(site, "cat /src/canary", mounts=(BindMount(source=MAIN, subpath="link", target="/src"),))
        (site.rig.root / "context/up").symlink_to("../outside")
        second, _ = failure(site, "cat /src/canary", mounts=(BindMount(source=MAIN, subpath="up", target="/src"),))
        return message, second

    for message in at_site(any_host, work, context=CONTEXT):
        assert "not found" in message


def test_a_bind_of_what_is_not_there_or_is_ignored_says_so(root_host: Host) -> None:
    def work(site: Site) -> tuple[tuple[str, str], ...]:
        return tuple(
            failure(site, "true", mounts=(BindMount(source=MAIN, subpath=path, target="/src"),))
            for path in ("nothing", "app/secret.env")
        )

    missing, ignored = at_site(root_host, work, context=CONTEXT, ignore="**/*.env")
    assert missing[0].endswith('"/nothing": not found')
    assert ".dockerignore line 1" in ignored[1]


def test_a_bind_from_a_stage_shows_its_tree(any_host: Host) -> None:
    def work(site: Site) -> tuple[str, list[str]]:
        mount = BindMount(source=StepSource(StepID(0)), subpath="latest", target="/stage")
        entries = site.run("/stage/tool; ls /stage", mounts=(mount,))
        return site.output, names(entries)

    assert at_site(any_host, work, stages=[STAGE]) == ("tool\nowned\ntool", [])


def test_writes_to_a_writable_bind_from_a_stage_are_gone_afterwards(host: Host) -> None:
    def work(site: Site) -> str:
        mount = BindMount(source=StepSource(StepID(0)), subpath="", target="/stage", readonly=False)
        site.run("echo changed > /stage/opt/tool; rm /stage/opt/owned; cat /stage/opt/tool", mounts=(mount,))
        first = site.output
        site.run("cat /stage/opt/tool; ls /stage/opt", mounts=(mount,))
        return first + "|" + site.output

    assert at_site(host, work, stages=[STAGE]) == "changed|#!/bin/sh\necho tool\nowned\ntool"


def test_a_bind_from_scratch_is_an_empty_directory(host: Host) -> None:
    def work(site: Site) -> str:
        mount = BindMount(source=StepSource(None), subpath="", target="/empty")
        site.run("ls -A /empty; echo end", mounts=(mount,))
        return site.output

    assert at_site(host, work) == "end"


def test_a_mount_may_lie_inside_another(host: Host) -> None:
    def work(site: Site) -> str:
        mounts = (
            CacheMount(identifier="inner", target="/src/app"),
            BindMount(source=MAIN, subpath="", target="/src"),
        )
        site.run("ls /src; ls /src/app | wc -l", mounts=mounts)
        return site.output

    assert at_site(host, work, context=CONTEXT) == "app\nlink-target\ntop.txt\n0"


# --- tmpfs, secrets, agents -------------------------------------------------------------------------------------------


def test_a_tmpfs_is_empty_and_gone_afterwards(host: Host) -> None:
    def work(site: Site) -> tuple[str, list[str]]:
        entries = site.run("touch /scratch/x && ls /scratch", mounts=(TmpfsMount("/scratch", 1 << 20),))
        return site.output, names(entries)

    assert at_site(host, work) == ("x", [])


def test_a_secret_is_a_file_and_a_variable_hidden_in_the_output_and_in_no_layer(any_host: Host) -> None:
    def work(site: Site) -> tuple[str, list[str]]:
        site.sources.secrets = {"token": b"s3cr3t-value\n"}
        mounts = (
            SecretMount(identifier="token", target="/run/secrets/token"),
            SecretMount(identifier="token", variable="TOKEN"),
        )
        command = 'stat -c %a /run/secrets/token; cat /run/secrets/token; echo "<$TOKEN>"; test $TOKEN = s3cr3t-value'
        entries = site.run(command, mounts=mounts)
        return site.output, names(entries)

    assert at_site(any_host, work) == ("400\n***\n<***\n>", [])


def test_a_missing_secret_is_absent_unless_it_is_required(root_host: Host) -> None:
    def work(site: Site) -> tuple[str, tuple[str, str]]:
        mount = SecretMount(identifier="token", target="/run/secrets/token", variable="TOKEN")
        site.run('test -e /run/secrets/token || echo "absent:$TOKEN"', mounts=(mount,))
        required = SecretMount(identifier="token", target="/t", required=True)
        return site.output, failure(site, "true", mounts=(required,))

    output, (message, hint) = at_site(root_host, work)
    assert output == "absent:"
    assert message == "secret token: not found"
    assert "--secret id=token" in hint


def test_a_secret_that_fails_the_step_is_hidden_in_the_error(root_host: Host) -> None:
    def work(site: Site) -> str:
        site.sources.secrets = {"token": b"s3cr3t-value"}
        with pytest.raises(StepFailed) as caught:
            site.run("cat /t; exit 1", mounts=(SecretMount(identifier="token", target="/t"),))
        return repr(caught.value.__dict__)

    assert "s3cr3t" not in at_site(root_host, work)


def test_a_missing_agent_is_absent_unless_it_is_required(root_host: Host) -> None:
    def work(site: Site) -> tuple[str, tuple[str, str]]:
        site.run('echo "<$SSH_AUTH_SOCK>"', mounts=(SshMount(identifier="default", target="/agent"),))
        required = SshMount(identifier="default", target="/agent", required=True)
        return site.output, failure(site, "true", mounts=(required,))

    output, (message, hint) = at_site(root_host, work)
    assert output == "<>"
    assert "default" in message
    assert "--ssh" in hint


def test_a_context_is_written_once_for_many_steps(root_host: Host) -> None:
    def work(site: Site) -> int:
        for _ in range(3):
            site.run("cat /src/top.txt", mounts=(BindMount(source=MAIN, subpath="", target="/src"),))
        return len(list(Path(site.rig.root / "tmp").glob("*-context")))

    assert at_site(root_host, work, context=CONTEXT, ignore="**/*.env") == 1
