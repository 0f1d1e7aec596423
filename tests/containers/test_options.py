"""What `run` and `create` take: folders of this machine, variables, names; and what they refuse, with what to use."""

from __future__ import annotations

import re

import pytest

from tests.containers.world import IMAGE, World
from tests.support.terminal import Terminal


def test_folders_of_this_machine_are_seen_as_they_are(any_world: World) -> None:
    folder = any_world.folder / "shared"
    any_world.sh("true", "--rm")  # so that the folder is made by whoever owns the place
    any_world("create", "--name", "maker", IMAGE)
    any_world("cp", "maker:/data", "./shared").succeeded()
    read = any_world.sh("cat /s/one; touch /s/no 2>/dev/null || echo refused", "-v", f"{folder}:/s:ro")
    assert read.succeeded().out.startswith("one\n")
    assert not (folder / "no").exists()
    mount = ("--mount", f"type=bind,source={folder},target=/s")
    written = any_world.sh("echo w > /s/w; cat /s/one", *mount)
    if "chroot" in any_world.isolation:
        written.failed(125, "isolation chroot cannot show", "read-only")
        return
    assert written.succeeded().out == "one\n"
    assert (folder / "w").read_text() == "w\n"
    assert (folder / "w").stat().st_uid == folder.stat().st_uid
    assert any_world.sh("cat /file", "--rm", "-v", "./shared/one:/file").succeeded().out == "one\n"
    any_world.sh("echo x > /s/w", "--name", "c2", *mount).succeeded()
    assert any_world("diff", "c2").succeeded().out == "", "what is written there is not the container's"


def test_a_tmpfs_is_empty_and_gone_afterwards(any_world: World) -> None:
    script = "ls /t; echo x > /t/x; cat /t/x"
    assert any_world.sh(script, "--name", "c1", "--mount", "type=tmpfs,target=/t,tmpfs-size=1m").out == "x\n"
    assert any_world("start", "c1").succeeded().out == "x\n"
    assert any_world("diff", "c1").succeeded().out == ""
    assert any_world.sh(script, "--rm", "--tmpfs", "/t:size=1m").out == "x\n"


def test_variables_come_from_words_and_files(world: World) -> None:
    (world.folder / "vars").write_text("# comment\n\nA=file\nB=file with blanks \nFROM_HERE\n")
    outcome = world.sh('echo "$A|$B|$FROM_HERE"', "--rm", "--env-file", "vars", "-e", "A=word")
    assert outcome.succeeded().out == "word|file with blanks |\n"
    world.sh("true", "--env-file", "nowhere").failed(125, "--env-file nowhere: no such file")


def test_the_host_name_is_the_beginning_of_the_id(world: World) -> None:
    name = world.sh("hostname", "--name", "c1").succeeded().out.strip()
    assert world("ps", "-aq").out == f"{name}\n"


def test_names_ids_and_beginnings_mean_a_container(world: World) -> None:
    first, second = (world("create", IMAGE).succeeded().out.strip() for _ in range(2))
    names = world("ps", "-a", "--format", "{{.Names}}").out.split()
    assert len(set(names)) == 2
    assert all(re.fullmatch("[a-z]+_[a-z]+[0-9]*", name) for name in names)
    shortest = next(first[:length] for length in range(1, 65) if not second.startswith(first[:length]))
    for text in (first, first[:12], shortest, names[1]):
        assert first in world("container", "inspect", text).succeeded().out, text
    world("diff", "").failed(1, "No such container")
    world("create", "--name", names[0], IMAGE).failed(
        1, f'Conflict. The container name "/{names[0]}" is already in use by container "{second}"'
    )
    world("create", "--name", "no/name", IMAGE).failed(1, "Invalid container name (no/name)")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-d",), "podman run"),
        (("-itd",), "podman run"),
        (("--detach=true",), "podman run"),
        (("-p", "80:80"), "podman run -p"),
        (("--restart=always",), "podman run"),
        (("--network", "mine"), "podman and docker have them"),
        (("-v", "named:/x"), "no named volumes"),
        (("-v", "/nowhere:/x"), "/nowhere does not exist"),
        (("-v", "/tmp:x"), "no absolute path"),
        (("--mount", "type=volume,target=/x"), "type=bind or type=tmpfs"),
        (("--mount", "type=bind,source=/tmp,target=/x,what=1"), "unknown key 'what'"),
        (("-v", "/tmp:/x", "--tmpfs", "/x"), "Duplicate mount point: /x"),
        (("--rm=maybe",), "takes true or false"),
        (("--frobnicate",), "unknown flag"),
    ],
)
def test_what_is_not_done_here_is_refused_with_what_to_use(world: World, words: tuple[str, ...], said: str) -> None:
    world("run", *words, IMAGE, "true").failed(125, said)
    assert world("ps", "-aq").out == ""


@pytest.mark.parametrize("verb", ["logs", "exec", "stop", "attach", "network"])
def test_commands_of_a_container_manager_say_what_to_use(world: World, verb: str) -> None:
    world(verb, "c1").failed(2, f"there is no 'pybuild {verb}'", "hint: ")


def test_dockers_group_is_another_spelling(world: World) -> None:
    assert world("container", "run", "--name", "c1", IMAGE, "echo", "hi").succeeded().out == "hi\n"
    assert world("container", "ls", "-aq").out == world("ps", "-aq").out != ""
    assert world("--root", str(world.program.store), "container", "ls", "-aq").out == world("ps", "-aq").out
    world("container", "rm", "c1").succeeded()
    assert "inspect" in world("container").succeeded().out
    world("container", "logs", "c1").failed(2, "there is no 'pybuild container logs'")


def test_lists_are_filtered_and_formatted(world: World) -> None:
    world.sh("exit 3", "--name", "one", "-l", "k=v")
    world("create", "--name", "two", "--label", "k", IMAGE).succeeded()

    def names(*words: str) -> str:
        return world("ps", "--format", "{{.Names}}", *words).succeeded().out

    assert (names(), names("-a"), names("-l")) == ("", "two\none\n", "two\n")
    assert names("-f", "status=exited") == names("-f", "exited=3") == "one\n"
    assert names("-a", "-f", "label=k=v") == names("-a", "-f", "name=on") == "one\n"
    assert names("-a", "-f", "label=k", "-f", f"ancestor={IMAGE}") == "two\none\n"
    table = world("ps", "-a", "--format", r"table {{.Names}}\t{{.State}}").out.splitlines()
    assert [line.split() for line in table] == [["NAMES", "STATE"], ["two", "created"], ["one", "exited"]]
    assert '"Names": "two"' in world("ps", "-a", "--format", "json").out
    assert world("ps", "-a", "--format", "{{json .Names}}").out == '"two"\n"one"\n'
    world("ps", "--format", "{{.Nonsense}}").failed(2, "{{.Nonsense}}", ".Names")
    world("ps", "-f", "what=1").failed(2, "--filter 'what=1'")


def test_a_container_has_the_terminal_again(world: World) -> None:
    words = world.words("run", "-it", "--name", "c1", IMAGE)
    for number, command in enumerate((words, world.words("start", "-ai", "c1"))):
        terminal = Terminal(command, world.program.environment(), str(world.folder))
        terminal.wait_for(b"# ")
        terminal.type(b"test -t 0 && echo x >> /written; wc -l < /written; exit 7\n")
        terminal.wait_for(f"{number + 1}\r\n".encode())
        assert terminal.end(30) == 7
    assert "A /written" in world("diff", "c1").succeeded().out.splitlines()
