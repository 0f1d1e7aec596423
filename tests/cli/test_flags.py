"""Every flag with a value that it does not take: exit code 2, the flag's name, and nothing built."""

from __future__ import annotations

import pytest

from builder.cli.options import parse_disk_size, parse_memory_size
from builder.cli.verbs.prune import max_bytes_of, prune_parser
from builder.errors import UsageError
from tests.cli.program import Program

WRONG = [
    (["--tag=Foo:b"], "invalid tag 'Foo:b'"),
    (["--tag=a@sha256:1"], "invalid tag"),
    (["--build-arg="], "--build-arg '' has no name"),
    (["--build-arg==x"], "--build-arg '=x' has no name"),
    (["--build-context=x"], "--build-context 'x' is not KEY=VALUE"),
    (["--label="], "--label"),
    (["--label==x"], "--label"),
    (["--platform=foo"], "--platform 'foo'"),
    (["--platform=linux/a/b/c"], "--platform 'linux/a/b/c' is not a platform"),
    (["--platform=windows/amd64"], "only images for linux are built, not for windows"),
    (["--platform=linux/amd64,darwin"], "only images for linux are built, not for darwin"),
    (["--network=foo"], "invalid network mode 'foo'"),
    (["--network=bridge"], "invalid network mode 'bridge'"),
    (["--network=HOST"], "invalid network mode 'HOST'"),
    (["--network=container:x"], "invalid network mode 'container:x'"),
    (["--secret=id"], "--secret 'id'"),
    (["--secret=src=/etc/passwd"], "has no id"),
    (["--secret=id=x,src=/nonexistent"], "cannot read /nonexistent"),
    (["--secret=id=x,env=NOT_THERE"], "the environment variable NOT_THERE is not set"),
    (["--secret=id=x,what=y"], "unknown key 'what'"),
    (["--add-host=x"], "--add-host 'x'"),
    (["--add-host=x:y"], "'y' is not an IP address"),
    (["--add-host=a:[::1"], "'[::1' is not an IP address"),
    (["--add-host=a:::1]"], "'::1]' is not an IP address"),
    (["--add-host=a=[::1"], "'[::1' is not an IP address"),
    (["--add-host=a:[]"], "'[]' is not an IP address"),
    (["--add-host=a:fe80::1%eth0"], "'fe80::1%eth0' is not an IP address"),
    (["--add-host=a:01.2.3.4"], "'01.2.3.4' is not an IP address"),
    (["--add-host=a= 1.2.3.4"], "' 1.2.3.4' is not an IP address"),
    (["--add-host=a:1.2.3.4,"], "has no host name"),
    (["--add-host=:1.2.3.4"], "has no host name"),
    (["--add-host=a:HOST-GATEWAY"], "'HOST-GATEWAY' is not an IP address"),
    (['--add-host=a"b:1.2.3.4,c"d"e:1.2.3.4', '--add-host="a"b:1.2.3.4'], "--add-host"),
    (['--add-host="a\nb:1.2.3.4"'], "has no host name"),
    (["--shm-size=x"], "--shm-size 'x' is not a size"),
    (["--shm-size=-1"], "--shm-size '-1' is not a size"),
    (["--ulimit=x"], "--ulimit 'x' is not TYPE=SOFT[:HARD]"),
    (["--ulimit=nofile=b"], "must be whole numbers"),
    (["--ulimit=nofile=10:5"], "soft limit is above the hard one"),
    (["--output=type=foo"], "unknown type 'foo'"),
    (["-o", "type=local"], "dest is missing"),
    (["--output=type=oci,dest=x,compression=foo"], "unknown compression 'foo'"),
    (["--progress=foo"], "--progress 'foo' is none of"),
    (["--timestamp=x"], "invalid --timestamp"),
    (["--timestamp=-1"], "invalid --timestamp"),
    (["--isolation=foo"], "invalid isolation 'foo'"),
    (["--jobs=x"], "--jobs"),
    (["--jobs=-1"], "--jobs -1 is negative"),
    (["--allow=foo"], "--allow 'foo' is not known"),
    (["--ssh=foo"], "--ssh 'foo'"),
    (["--no-cache=maybe"], "--no-cache takes true or false"),
    (["--pull=foo"], "--pull takes true or false"),
    (["--cache-from=x"], "--cache-from is not supported"),
    (["--push"], "a name is needed to push an image"),
    (["--push=maybe"], "--push takes true or false"),
    (["--frobnicate"], "unknown flag: --frobnicate"),
    (["--tagg=x"], "unknown flag: --tagg (did you mean --tag?)"),
    (["--call=foo"], "--call 'foo' is none of"),
    (["--format=json"], "--format goes with --check"),
    (["other"], "too many arguments"),
]


@pytest.mark.parametrize(("words", "fragment"), WRONG, ids=lambda value: " ".join(value) if type(value) is list else "")
def test_a_wrong_flag_is_a_usage_error(pybuild: Program, words: list[str], fragment: str) -> None:
    outcome = pybuild.build("FROM scratch\nCOPY Dockerfile /\n", *words)
    outcome.failed(2, "error: ", fragment)
    assert not (pybuild.store / "index.json").exists() or '"digest"' not in (pybuild.store / "index.json").read_text()


def test_a_flag_without_its_value_is_a_usage_error(pybuild: Program) -> None:
    pybuild(".", "-t").failed(2, "-t/--tag: expected one argument")


def test_no_words_at_all_say_what_is_missing(pybuild: Program) -> None:
    pybuild().failed(2, "needs a context", "pybuild -t name .")


def test_the_dockerfile_and_the_context_cannot_both_be_stdin(pybuild: Program) -> None:
    pybuild("-f", "-", "-").failed(2, "standard input cannot be both")


@pytest.mark.parametrize("flag", ["--iidfile", "--metadata-file"])
def test_a_result_file_that_cannot_be_written_is_told_before_building(pybuild: Program, flag: str) -> None:
    outcome = pybuild.build("FROM scratch\nCOPY Dockerfile /\n", flag, "/nonexistent/file")
    outcome.failed(1, "cannot write /nonexistent/file: no such directory")
    assert "DONE" not in outcome.err


@pytest.mark.parametrize(
    "output",
    [
        "type=oci,dest=/nonexistent/dir/x.tar",
        "type=tar,dest=/",
        "type=local,dest=/etc/passwd/x",
        "type=docker,dest=/proc/x",
    ],
)
def test_an_output_to_an_impossible_place_fails_with_its_name(pybuild: Program, output: str) -> None:
    outcome = pybuild.build("FROM scratch\nCOPY Dockerfile /\n", "-o", output)
    outcome.failed(1, output.partition("dest=")[2])


def test_booleans_take_true_and_false_as_docker_does(pybuild: Program) -> None:
    assert "CACHED" not in pybuild.build("FROM scratch\nCOPY Dockerfile /\n").succeeded().err
    assert "CACHED" in pybuild.build(None, "--no-cache=false").succeeded().err
    assert "CACHED" not in pybuild.build(None, "--no-cache=true").succeeded().err


def test_quiet_prints_the_image_id_alone(pybuild: Program) -> None:
    outcome = pybuild("-q", ".") if pybuild.build("FROM scratch\nCOPY Dockerfile /\n") else None
    assert outcome is not None
    assert outcome.succeeded().err == ""
    assert outcome.out.startswith("sha256:")
    assert len(outcome.out) == len("sha256:") + 64 + 1


def test_help_and_version_need_no_store(pybuild: Program) -> None:
    for words in (["--help"], ["--version"], ["version"], ["run", "--help"], ["prune", "--help"], ["parse", "--help"]):
        assert pybuild(*words, env={"PYBUILD_ROOT": "/proc/nothing"}).succeeded().out


@pytest.mark.parametrize(
    ("text", "memory", "disk"),
    [
        *(("5GB", 5 << 30, 5_000_000_000), ("5g", 5 << 30, 5_000_000_000), ("5GiB", 5 << 30, 5 << 30)),
        *(("1.5 kb", 1536, 1500), ("64m", 64 << 20, 64_000_000), ("7", 7, 7), ("7B", 7, 7)),
    ],
)
def test_memory_is_counted_by_1024_and_the_disk_by_1000(text: str, memory: int, disk: int) -> None:
    assert (parse_memory_size(text, "--memory"), parse_disk_size(text, "--free")) == (memory, disk)
    one, other = (prune_parser().parse_args([word, text]) for word in ("--keep-storage", "--max-bytes"))
    assert (max_bytes_of(one), max_bytes_of(other)) == (memory, disk)
    with pytest.raises(UsageError, match="not allowed with"):
        prune_parser().parse_args(["--max-used-space", text, "--max-bytes", text])
