"""Metadata instructions: the config and the history they leave (E-*, K-*, P-*, U-1)."""

from __future__ import annotations

import pytest

from builder.errors import SourceError
from builder.oci.config import DEFAULT_PATH, Healthcheck, RuntimeConfig
from builder.plan.history import go_duration
from builder.plan.plan import Plan
from tests.plan.planning import created_by, plan_of, refused, rules
from tests.plan.resolver import image_config


def runtime_of(text: str) -> RuntimeConfig:
    return plan_of(f"FROM scratch\n{text}").image.config.runtime


def recorded(text: str) -> list[str]:
    plan: Plan = plan_of(f"FROM scratch\n{text}")
    assert all(record.step is None and record.comment == "pybuild.dockerfile.v0" for record in plan.image.history)
    return created_by(plan)


@pytest.mark.rule("E-1")
def test_env_replaces_in_place_and_appends() -> None:
    assert runtime_of("ENV a=1 b=2\nENV c=3 a=4\n").env == (f"PATH={DEFAULT_PATH}", "a=4", "b=2", "c=3")
    assert recorded("ENV a=1 \"b c\"='d e'\nENV k rest of  line\n") == ["ENV a=1 b c=d e", "ENV k=rest of  line"]


@pytest.mark.rule("E-1")
def test_a_variable_whose_name_expands_to_nothing_is_refused() -> None:
    assert refused("FROM scratch\nENV $nothing=1\n").message == "ENV names can not be blank"


@pytest.mark.rule("E-3")
def test_a_label_whose_name_expands_to_nothing_has_none_and_is_warned_of() -> None:
    plan = plan_of("FROM scratch\nLABEL a=b $nothing=1\n")
    assert plan.image.config.runtime.labels == (("a", "b"), ("", "1"))
    assert created_by(plan) == ["LABEL a=b =1"]
    assert rules(plan) == ["EmptyName"]


@pytest.mark.rule("E-2")
def test_path_has_a_default_unless_the_base_has_one() -> None:
    assert runtime_of("").env == (f"PATH={DEFAULT_PATH}",)
    bare = {"x": image_config(runtime=RuntimeConfig(env=("A=1",)))}
    assert plan_of("FROM x\n", images=bare).image.config.runtime.env == ("A=1", f"PATH={DEFAULT_PATH}")
    own = {"x": image_config(runtime=RuntimeConfig(env=("PATH=/mine",)))}
    assert plan_of("FROM x\nENV P=$PATH\n", images=own).image.config.runtime.env == ("PATH=/mine", "P=/mine")


@pytest.mark.rule("E-3")
def test_labels_of_the_user_come_last() -> None:
    plan = plan_of("FROM scratch\nLABEL a=1 b=2\nLABEL a=3\n", labels={"b": "mine", "c": "new"})
    assert plan.image.config.runtime.labels == (("a", "3"), ("b", "mine"), ("c", "new"))
    assert created_by(plan) == ["LABEL a=1 b=2", "LABEL a=3"]


@pytest.mark.rule("K-1")
@pytest.mark.parametrize(
    ("text", "entrypoint", "cmd"),
    [
        ("CMD a b\n", None, ("/bin/sh", "-c", "a b")),
        ('CMD ["a", "b"]\n', None, ("a", "b")),
        ("CMD a\nENTRYPOINT b\n", ("/bin/sh", "-c", "b"), ("/bin/sh", "-c", "a")),
        ("CMD a\nCMD b\n", None, ("/bin/sh", "-c", "b")),
        ('SHELL ["/bin/bash", "-ec"]\nCMD a\nENTRYPOINT b\n', ("/bin/bash", "-ec", "b"), ("/bin/bash", "-ec", "a")),
        ("ENTRYPOINT []\n", None, None),
        ('ENTRYPOINT ["e"]\nENTRYPOINT []\n', None, None),
        ("CMD []\n", None, ()),
        ("CMD $x\n", None, ("/bin/sh", "-c", "$x")),
    ],
)
def test_cmd_and_entrypoint(text: str, entrypoint: tuple[str, ...] | None, cmd: tuple[str, ...] | None) -> None:
    runtime = runtime_of(text)
    assert (runtime.entrypoint, runtime.cmd) == (entrypoint, cmd)
    assert runtime.args_escaped == ("CMD" in text)


@pytest.mark.rule("K-1")
def test_an_entrypoint_takes_an_inherited_cmd_away() -> None:
    base = {"x": image_config(runtime=RuntimeConfig(cmd=("sh",), entrypoint=("old",)))}
    assert plan_of('FROM x\nENTRYPOINT ["e"]\n', images=base).image.config.runtime.cmd is None
    assert plan_of('FROM x\nCMD ["c"]\nENTRYPOINT ["e"]\n', images=base).image.config.runtime.cmd == ("c",)
    stage = 'FROM x AS a\nCMD ["c"]\nFROM a\nENTRYPOINT ["e"]\n'
    assert plan_of(stage, images=base).image.config.runtime.cmd is None
    assert plan_of("FROM x\n", images=base).image.config.runtime.cmd == ("sh",)


@pytest.mark.rule("K-2")
def test_shell_is_inherited_and_stored() -> None:
    assert runtime_of('SHELL ["a", "b"]\n').shell == ("a", "b")
    base = {"x": image_config(runtime=RuntimeConfig(shell=("/bin/zsh", "-c")))}
    assert plan_of("FROM x\nCMD y\n", images=base).image.config.runtime.cmd == ("/bin/zsh", "-c", "y")


@pytest.mark.rule("P-1")
@pytest.mark.parametrize(
    ("words", "ports"),
    [
        ("80", ("80/tcp",)),
        ("80/udp 80/TCP", ("80/udp", "80/tcp")),
        ("8000-8002", ("8000/tcp", "8001/tcp", "8002/tcp")),
        ("127.0.0.1:8080:80", ("80/tcp",)),
        ("[::1]:8080:80/sctp", ("80/sctp",)),
        ("$p $q", ("1/tcp", "2/udp", "3/udp")),
        ("80 80", ("80/tcp",)),
    ],
)
def test_exposed_ports(words: str, ports: tuple[str, ...]) -> None:
    assert set(runtime_of(f'ENV p=1 q="2-3/udp"\nEXPOSE {words}\n').exposed_ports) == set(ports)


@pytest.mark.rule("P-1")
def test_ports_are_recorded_sorted_as_they_were_written() -> None:
    assert recorded("EXPOSE 2375 5000 1234/udp\n") == ["EXPOSE [1234/udp 2375/tcp 5000/tcp]"]
    assert runtime_of("EXPOSE 2\nEXPOSE 1 2\n").exposed_ports == ("2/tcp", "1/tcp")


@pytest.mark.rule("P-1")
@pytest.mark.parametrize("word", ["abc", "70000", "90-80", "80/icmp", "1-2:1-3", "x:80:80", "/tcp"])
def test_a_port_that_is_none_is_refused_at_its_place(word: str) -> None:
    error = refused(f"FROM scratch\nEXPOSE 1 {word}\n")
    assert error.message.startswith("invalid ")
    assert error.location is not None
    assert (error.location.line, error.location.column) == (2, 10)


@pytest.mark.rule("P-2")
def test_volumes_accumulate() -> None:
    assert runtime_of('ENV d=x\nVOLUME /a /$d\nVOLUME ["/a", "/b c"]\n').volumes == ("/a", "/x", "/b c")
    assert recorded("VOLUME /a /b\n") == ["VOLUME [/a /b]"]
    assert refused("FROM scratch\nVOLUME $nothing\n").message == "VOLUME specified can not be an empty string"


@pytest.mark.rule("P-3")
@pytest.mark.parametrize("signal", ["9", "-1", "SIGTERM", "term", "RTMIN+3", "SIGRTMAX-14", "99"])
def test_stop_signals(signal: str) -> None:
    assert runtime_of(f"STOPSIGNAL {signal}\n").stop_signal == signal


@pytest.mark.rule("P-3")
@pytest.mark.parametrize("signal", ["0", "SIGNONE", "1.5", "$nothing", "RTMIN+16"])
def test_a_signal_that_is_none_is_refused(signal: str) -> None:
    assert refused(f"FROM scratch\nSTOPSIGNAL {signal}\n").message.startswith("invalid signal: ")


@pytest.mark.rule("P-4")
def test_healthchecks() -> None:
    text = "HEALTHCHECK --interval=1s --timeout=10s --start-period=3s --start-interval=100ms --retries=5 CMD"
    second = 1_000_000_000
    wanted = Healthcheck(
        test=("CMD-SHELL", "exit $x"), interval=second, timeout=10 * second, start_period=3 * second,
        start_interval=second // 10, retries=5,
    )  # fmt: skip
    assert runtime_of(f"{text} exit $x\n").healthcheck == wanted
    assert runtime_of('HEALTHCHECK CMD ["a", "b"]\n').healthcheck == Healthcheck(test=("CMD", "a", "b"))
    assert runtime_of("HEALTHCHECK CMD a\nHEALTHCHECK NONE\n").healthcheck == Healthcheck(test=("NONE",))
    options = "Interval:1s Timeout:10s StartPeriod:3s StartInterval:100ms Retries:5"
    assert recorded(f'{text} ["bin", "-c"]\n') == [f"HEALTHCHECK {{Test:[CMD bin -c] {options}}}"]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"), (1, "1ns"), (1_500, "1.5µs"), (150_000_000, "150ms"), (1_000_000_000, "1s"),
        (90_000_000_000, "1m30s"), (7_200_000_000_000, "2h0m0s"), (3_661_500_000_000, "1h1m1.5s"),
        (-1_000_000_000, "-1s"), (999_999_999, "999.999999ms"),
    ],
)  # fmt: skip
def test_durations_are_printed_as_go_prints_them(nanoseconds: int, text: str) -> None:
    assert go_duration(nanoseconds) == text


@pytest.mark.rule("P-5")
def test_the_maintainer_is_the_author() -> None:
    plan = plan_of("FROM scratch\nMAINTAINER  Ada <a@b>\n")
    assert plan.image.config.author == "Ada <a@b>"
    assert created_by(plan) == ["MAINTAINER Ada <a@b>"]


@pytest.mark.rule("U-1")
def test_user_is_stored_verbatim() -> None:
    assert runtime_of("ENV u=app\nUSER $u:1000\n").user == "app:1000"
    assert recorded("USER a b\nUSER $nothing\n") == ["USER a b", "USER "]


def test_history_of_the_simple_instructions() -> None:
    text = 'STOPSIGNAL 9\nSHELL ["/bin/bash", "-c"]\nCMD ["a", "b c", "q\\""]\nENTRYPOINT e\nARG a=1 b\nLABEL x y z\n'
    assert recorded(text) == [
        "STOPSIGNAL 9",
        "SHELL [/bin/bash -c]",
        'CMD ["a" "b c" "q\\""]',
        'ENTRYPOINT ["/bin/bash" "-c" "e"]',
        "ARG a=1 b",
        "LABEL x=y z",
    ]


def test_what_a_base_says_about_its_own_making_is_not_inherited() -> None:
    config = image_config(
        runtime=RuntimeConfig(extra={"Hostname": "abc", "Image": "sha256:1", "StopTimeout": 10}, on_build=())
    )
    config = type(config)(
        platform=config.platform, created="2020", runtime=config.runtime, diff_ids=config.diff_ids,
        history=config.history,
        extra={"docker_version": "1", "container": "c", "comment": "imported", "os.features": ["f"]},
    )  # fmt: skip
    found = plan_of("FROM x\n", images={"x": config}).image.config
    assert found.created == ""
    assert found.runtime.extra == {"StopTimeout": 10}
    assert found.extra == {"os.features": ["f"]}
    assert (found.history, found.diff_ids) == (config.history, config.diff_ids)


def test_a_nul_character_in_a_variable_is_refused() -> None:
    with pytest.raises(SourceError):
        plan_of("FROM x\nARG a=\0\nRUN b\n")
