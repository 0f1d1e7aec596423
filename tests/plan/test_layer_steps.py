"""RUN, WORKDIR, COPY and ADD as steps, with their history."""

from __future__ import annotations

from typing import Any

import pytest

from builder.plan.step import (
    ContextSource,
    CopyOp,
    GitSource,
    HttpSource,
    ImageOp,
    InlineSource,
    Paths,
    RunOp,
    StepID,
    StepSource,
    WorkdirOp,
)
from tests.plan.planning import created_by, ops_of, plan_of, refused, rules, run_of, steps_of
from tests.plan.resolver import image_config


def copy_of(text: str, **options: Any) -> CopyOp:
    return ops_of(plan_of(f"FROM scratch\n{text}", **options), CopyOp)[-1]


def test_a_shell_form_is_given_to_the_shell_unexpanded() -> None:
    assert run_of("ENV a=1\nRUN echo $a '$a'\n").argv == ("/bin/sh", "-c", "echo $a '$a'")
    assert run_of('SHELL ["awk"]\nRUN BEGIN {}\n').argv == ("awk", "BEGIN {}")
    assert run_of('RUN ["/bin/x", "$a"]\n').argv == ("/bin/x", "$a")


@pytest.mark.rule("H-12")
def test_a_heredoc_alone_is_the_command_or_a_script() -> None:
    assert run_of("RUN <<E\na\n b\nE\n").argv == ("/bin/sh", "-c", "a\n b\n")
    assert run_of("RUN <<-E\n\ta\n\tE\n").argv[-1] == "a\n"
    step = run_of("RUN <<E\n#!/bin/x\nbody\nE\n")
    assert step.argv == ("/bin/sh", "-c", "/dev/pipes/E")
    assert (step.script, step.script_path) == ("#!/bin/x\nbody\n", "/dev/pipes/E")


@pytest.mark.rule("H-13")
def test_a_heredoc_among_other_words_is_the_shells() -> None:
    assert run_of('RUN cat <<A <<"B"\na\nA\nb\nB\n').argv[-1] == 'cat <<A <<"B"\na\nA\nb\nB'


def test_a_run_has_the_user_directory_and_variables_of_its_stage() -> None:
    step = run_of("USER u:g\nWORKDIR /w\nENV b=2\nARG a=1\nRUN c\n")
    assert (step.user, step.cwd) == ("u:g", "/w")
    assert step.env == ("PATH=/usr/bin:/bin", "b=2", "a=1")


@pytest.mark.rule("R-1")
@pytest.mark.parametrize(
    ("flag", "option", "network"),
    [("", "default", "default"), ("", "none", "none"), ("--network=host", "none", "host"),
     ("--network=default", "host", "host"), ("--network=none", "default", "none")],
)  # fmt: skip
def test_the_network_of_a_run_is_its_own_or_the_builds(flag: str, option: str, network: str) -> None:
    assert run_of(f"RUN {flag} c\n", network=option).network == network


@pytest.mark.rule("R-2")
def test_security_is_carried() -> None:
    assert run_of("RUN --security=insecure c\n").security == "insecure"
    assert run_of("RUN c\n").security == "sandbox"


@pytest.mark.rule("R-3")
def test_devices_are_refused_clearly() -> None:
    assert refused("FROM x\nRUN --device=vendor/class=d c\n").message == "RUN --device is not supported"


def test_the_arguments_in_a_run_record_are_deduplicated_with_current_values() -> None:
    text = "FROM x\nARG foo=bar\nARG bar=123\nARG foo=bar2\nARG none\nENV bar=env\nRUN ls /etc/\n"
    assert created_by(plan_of(text))[-1] == "RUN |3 foo=bar2 bar=env none= /bin/sh -c ls /etc/ # pybuild"
    assert created_by(plan_of('FROM x\nRUN ["ls"]\n')) == ["RUN ls # pybuild"]


@pytest.mark.rule("W-1")
@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ("WORKDIR a\n", "/a"),
        ("WORKDIR /a\nWORKDIR b/../c\n", "/a/c"),
        ("WORKDIR /a\nWORKDIR ..\n", "/"),
        ("WORKDIR /a/\n", "/a/"),
        ("WORKDIR /a//b/../c\n", "/a//b/../c"),
        ("ENV d=/x\nWORKDIR $d/y\n", "/x/y"),
        ("WORKDIR /a b\n", "/a b"),
    ],
)
def test_working_directories(lines: str, path: str) -> None:
    plan = plan_of(f"FROM scratch\n{lines}")
    assert plan.image.config.runtime.working_dir == path
    assert created_by(plan)[-1] == f"WORKDIR {path}"
    if path != "/":
        assert ops_of(plan, WorkdirOp)[-1].path == path


@pytest.mark.rule("W-1")
def test_the_root_makes_no_step_and_others_belong_to_the_user() -> None:
    plan = plan_of("FROM scratch\nUSER u\nWORKDIR /\nWORKDIR /w\n")
    assert [(step.path, step.user) for step in ops_of(plan, WorkdirOp)] == [("/w", "u")]
    assert [record.step for record in plan.image.history] == [None, None, StepID(0)]


@pytest.mark.rule("C-2")
@pytest.mark.parametrize(
    ("destination", "path"),
    [
        ("/a", "/a"), ("/a/", "/a/"), ("a", "/w/a"), ("a/", "/w/a/"), (".", "/w/"), ("./", "/w/"), ("/a/.", "/a/"),
        ("..", "/"), ("/a/../b//c", "/b/c"), ("/", "/"), ("$nothing", "/w/"), ("//a", "/a"), ("/../a", "/a"),
    ],
)  # fmt: skip
def test_destinations_are_absolute_and_say_when_they_are_directories(destination: str, path: str) -> None:
    assert copy_of(f"WORKDIR /w\nCOPY f {destination}\n").destination == path


def test_sources_are_expanded_and_kept_as_written() -> None:
    step = copy_of("ENV e=txt\nCOPY /a ../b *.$e d/ /out/\n")
    assert step.sources == (Paths(ContextSource(), ("/a", "../b", "*.txt", "d/")),)


def test_a_source_that_expands_to_nothing_is_everything_and_is_reported() -> None:
    plan = plan_of("FROM scratch\nCOPY a $nothing /d/\n")
    assert ops_of(plan, CopyOp)[0].sources == (Paths(ContextSource(), ("a", ".")),)
    assert rules(plan) == ["EmptySource"]
    assert created_by(plan) == ["COPY a  /d/ # pybuild"]


def test_flags_of_copy_are_carried_and_recorded() -> None:
    text = "ENV u=1\nCOPY --parents --chown=$u:g --chmod=0644 --exclude=*.$u --exclude=b a b /d/\n"
    step = copy_of(text)
    assert (step.parents, step.chown, step.chmod, step.exclude) == (True, "1:g", "0644", ("*.$u", "b"))
    assert (
        created_by(plan_of(f"FROM scratch\n{text}"))[-1] == "COPY --parents --chown=1:g --chmod=0644 a b /d/ # pybuild"
    )


@pytest.mark.rule("C-19")
@pytest.mark.parametrize(("flags", "link"), [("--link", True), ("--link=false", False), ("--link --chmod=644", False)])
def test_a_link_is_a_link_unless_a_mode_is_asked_for(flags: str, link: bool) -> None:
    assert copy_of(f"COPY {flags} a /b\n").link is link


@pytest.mark.rule("C-18")
@pytest.mark.parametrize("mode", ["0", "644", "07777", "u=rw,go+X", "g=u", "+x", "a-w", "u+s,o+t"])
def test_modes_may_be_octal_or_symbolic(mode: str) -> None:
    assert copy_of(f"COPY --chmod={mode} a /b\n").chmod == mode


@pytest.mark.rule("C-18")
@pytest.mark.parametrize("mode", ["64a", "17777", "999"])
def test_a_number_that_is_no_mode_is_refused_with_the_familiar_words(mode: str) -> None:
    wanted = f"invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
    assert refused(f"FROM scratch\nCOPY --chmod={mode} a /b\n").message == wanted


@pytest.mark.rule("C-18")
@pytest.mark.parametrize("mode", ["u+q", "rw", "u=rw,", "u"])
def test_a_word_that_is_no_mode_is_refused(mode: str) -> None:
    assert "chmod" in refused(f"FROM scratch\nCOPY --chmod={mode} a /b\n").message


@pytest.mark.rule("Z-6")
def test_variables_may_choose_the_stage_that_is_copied_from() -> None:
    text = "FROM scratch AS one\nCOPY a /\nFROM scratch\nARG which=one\nCOPY --from=$which b /\n"
    first, second = steps_of(plan_of(text), CopyOp)
    assert second.op.sources == (Paths(StepSource(first.id), ("b",)),)
    image = plan_of(text, build_args={"which": "tool:2"})
    assert [step.reference for step in ops_of(image, ImageOp)] == ["docker.io/library/tool:2"]
    error = refused("FROM x\nCOPY --from=$nothing a b\n")
    assert error.message == "COPY --from=$nothing expands to nothing"
    assert error.hint == "nothing is not set here. Name a stage, a build context or an image."
    error = refused("FROM x\nENV e=\nCOPY --from=$e a b\n")
    assert error.hint.startswith("e is '', set by ENV in line 2.")


@pytest.mark.rule("H-8")
@pytest.mark.rule("H-9")
def test_heredocs_are_sources_behind_the_paths() -> None:
    step = copy_of('ENV v=val\nCOPY <<A f <<"B" /d/\n"$v" \\$v\nA\n$v\nB\n')
    assert step.sources == (
        Paths(ContextSource(), ("f",)),
        InlineSource("A", '"val" $v\n'),
        InlineSource("B", "$v\n"),
    )
    plan = plan_of("FROM scratch\nCOPY <<A f <<B /d/\na\nA\nb\nB\n")
    assert created_by(plan) == ["COPY f <<A <<B /d/ # pybuild"]


@pytest.mark.rule("C-23")
def test_add_fetches_urls_and_repositories_in_their_order() -> None:
    text = "ADD a https://h/x.tgz b c https://h/r.git#main:sub git@h:o/r.git /d/\n"
    assert copy_of(text).sources == (
        Paths(ContextSource(), ("a",)),
        HttpSource("https://h/x.tgz"),
        Paths(ContextSource(), ("b", "c")),
        GitSource(remote="https://h/r.git", reference="main", subdirectory="sub"),
        GitSource(remote="git@h:o/r.git"),
    )
    assert copy_of(text).is_add


@pytest.mark.rule("C-24")
def test_options_of_repositories_come_from_flags_and_urls() -> None:
    source = copy_of(
        "ADD --keep-git-dir --checksum=0123abc https://h/r.git?submodules=false&mtime=commit /d/\n"
    ).sources[0]
    assert source == GitSource(
        remote="https://h/r.git", checksum="0123abc", keep_git_dir=True, submodules=False, mtime="commit"
    )
    assert refused("FROM scratch\nADD --keep-git-dir https://h/r.git?keep-git-dir=0 /d\n").message == (
        "inconsistent keep-git-dir configuration"
    )
    assert refused("FROM scratch\nADD --checksum=abcdef0 https://h/r.git?checksum=abcdef1 /d\n").message == (
        'checksum mismatch "abcdef0" != "abcdef1"'
    )
    assert refused("FROM scratch\nADD https://h/r.git?nope=1 /d\n").message == 'unexpected query "nope"'


@pytest.mark.rule("C-23")
@pytest.mark.parametrize(
    "url",
    ["https://[::1", "http://", "http://h:port/", "http://a..b/f", "http://h/%zz", f"http://h:{'9' * 400}/", "git://["],
)
def test_an_address_without_a_meaning_is_refused_where_it_stands(url: str) -> None:
    error = refused(f"FROM scratch\nADD {url} /d\n")
    assert "cannot be used as an address" in error.message
    assert error.location is not None
    assert (error.location.line, error.location.column) == (2, 5)


@pytest.mark.rule("C-26")
@pytest.mark.parametrize(("flag", "unpack"), [("", None), ("--unpack", True), ("--unpack=false", False)])
def test_unpacking_is_as_asked_for(flag: str, unpack: bool | None) -> None:
    assert copy_of(f"ADD {flag} a.tar /d/\n").unpack is unpack


DIGEST = "sha256:" + "0" * 64


@pytest.mark.rule("C-27")
def test_checksums_are_for_one_remote_source() -> None:
    assert copy_of(f"ENV c={DIGEST}\nADD --checksum=$c https://h/f /d\n").sources == (
        HttpSource("https://h/f", DIGEST),
    )
    cases = {
        f"ADD --checksum={DIGEST} https://h/f https://h/g /d/": "checksum can't be specified for multiple sources",
        f"ADD --checksum={DIGEST} f /d/": "checksum requires HTTP(S) or Git sources",
        "ADD --checksum=md5:00 https://h/f /d/": "invalid checksum",
        f"ADD --checksum={DIGEST} https://h/r.git /d/": "invalid checksum",
    }
    for line, message in cases.items():
        assert refused(f"FROM scratch\n{line}\n").message.startswith(message)


@pytest.mark.rule("C-28")
def test_copy_fetches_nothing() -> None:
    assert refused("FROM scratch\nCOPY http://h/f /d\n").message == "source can't be a URL for COPY"
    assert refused("FROM scratch\nCOPY https://h/r.git /d\n").message == "source can't be a git ref for COPY"


def test_an_image_without_layers_is_like_scratch() -> None:
    plan = plan_of("FROM x\nRUN a\n", images={"x": image_config(layers=0)})
    assert ops_of(plan, ImageOp) == []
    assert steps_of(plan, RunOp)[0].parent is None
