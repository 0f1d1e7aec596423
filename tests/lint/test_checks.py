"""BuildKit's 22 build checks: rule, message and line (B-*)."""

from __future__ import annotations

from typing import Any

import pytest

from builder.lint.finding import BaseImage
from tests.lint.checking import findings, found, names

ONLY_THE_LAST = "instructions should not be used in the same stage because only the last one will be used"
CASES: list[Any] = [
    pytest.param(
        "FROM scratch AS BadName\nFROM scratch AS good\n",
        [(1, "StageNameCasing", "Stage name 'BadName' should be lowercase")],
        id="B-1",
    ),
    pytest.param(
        "FROM scratch as a\nFROM scratch AS b\nFROM scratch As c\n",
        [
            (1, "FromAsCasing", "'as' and 'FROM' keywords' casing do not match"),
            (3, "FromAsCasing", "'As' and 'FROM' keywords' casing do not match"),
        ],
        id="B-2",
    ),
    pytest.param(
        "from scratch AS a\n", [(1, "FromAsCasing", "'AS' and 'from' keywords' casing do not match")], id="B-2-lower"
    ),
    pytest.param(
        "FROM scratch\nCOPY a \\\n\nb\nCOPY a \\\nb\n",
        [(4, "NoEmptyContinuation", "Empty continuation line")],
        id="B-3",
    ),
    pytest.param(
        "From scratch as a\nFROM scratch AS b\n",
        [
            (1, "ConsistentInstructionCasing",
             "Command 'From' should match the case of the command majority (uppercase)"),
        ],
        id="B-4",
    ),
    pytest.param(
        "arg A\nfrom scratch\nCOPY a b\ncopy c d\n",
        [
            (3, "ConsistentInstructionCasing",
             "Command 'COPY' should match the case of the command majority (lowercase)"),
        ],
        id="B-4-lower",
    ),
    pytest.param(
        "from scratch\nCOPY a b\n",
        [
            (1, "ConsistentInstructionCasing",
             "Command 'from' should match the case of the command majority (uppercase)"),
        ],
        id="B-4-tie",
    ),
    pytest.param("from scratch\ncopy a b\n", [], id="B-4-all-lower"),
    pytest.param(
        "FROM scratch AS b\nFROM scratch AS b\n",
        [(2, "DuplicateStageName", 'Duplicate stage name "b", stage names should be unique')],
        id="B-5",
    ),
    pytest.param(
        "FROM scratch AS scratch\nFROM scratch AS context\nFROM scratch\n",
        [
            (1, "ReservedStageName", 'Stage name should not use the same name as reserved stage "scratch"'),
            (2, "ReservedStageName", 'Stage name should not use the same name as reserved stage "context"'),
        ],
        id="B-6",
    ),
    pytest.param(
        "FROM scratch AS a\nCMD x\nENTRYPOINT y\nCMD [\"z\"]\nFROM a\nSHELL [\"s\"]\nCMD x\n",
        [
            (2, "JSONArgsRecommended",
             "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals"),
            (2, "MultipleInstructionsDisallowed",
             f"Multiple CMD {ONLY_THE_LAST}"),
            (3, "JSONArgsRecommended",
             "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals"),
        ],
        id="B-7",
    ),
    pytest.param("FROM scratch AS a\nSHELL [\"s\"]\nFROM a\nCMD x\nENTRYPOINT y\n", [], id="B-7-inherited-shell"),
    pytest.param(
        "FROM scratch\nMAINTAINER me\n",
        [(2, "MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label")],
        id="B-8",
    ),
    pytest.param(
        "ARG MY_OS=linux\nFROM --platform=$BULIDPLATFORM alpine\nFROM --platform=${MYOS}/amd64 a\nFROM x:$v\n",
        [
            (2, "UndefinedArgInFrom", "FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)"),
            (3, "UndefinedArgInFrom", "FROM argument 'MYOS' is not declared (did you mean MY_OS?)"),
            (4, "InvalidDefaultArgInFrom",
             "Default value for ARG x:$v results in empty or invalid base image name"),
            (4, "UndefinedArgInFrom", "FROM argument 'v' is not declared"),
        ],
        id="B-9",
    ),
    pytest.param(
        "ARG D\nARG E=\nFROM scratch${D}\nFROM scra${D:-tch}\nFROM scratch${E-@x}\nFROM --platform=$BUILDPLATFORM a\n",
        [],
        id="B-9-declared",
    ),
    pytest.param(
        "FROM scratch AS a\nWORKDIR app/\nWORKDIR b\nFROM a\nWORKDIR c\n"
        "FROM scratch AS d\nWORKDIR /e\nFROM d\nWORKDIR f\n",
        [(2, "WorkdirRelativePath",
          'Relative workdir "app/" can have unexpected results if the base image changes')],
        id="B-10",
    ),
    pytest.param(
        "FROM scratch\nARG foo\nCOPY a${foo} $bar ./\nENV A=${x:-y} PATH=$PAHT:/b\nRUN echo $no\nEXPOSE $port\n",
        [
            (3, "UndefinedVar", "Usage of undefined variable '$bar'"),
            (4, "UndefinedVar", "Usage of undefined variable '$PAHT' (did you mean $PATH?)"),
            (4, "UndefinedVar", "Usage of undefined variable '$x'"),
        ],
        id="B-11",
    ),
    pytest.param(
        "FROM scratch\nARG DIR_ASSETS=a/\nCOPY <<E $DIR_ASSET\n$body\nE\nRUN --mount=target=$t true\n",
        [
            (3, "UndefinedVar", "Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)"),
            (3, "UndefinedVar", "Usage of undefined variable '$body'"),
            (6, "UndefinedVar", "Usage of undefined variable '$t'"),
        ],
        id="B-11-bodies-and-mounts",
    ),
    pytest.param(
        "FROM scratch\nHEALTHCHECK NONE\nENTRYPOINT [\"a\"]\nHEALTHCHECK CMD x\nENTRYPOINT [\"b\"]\n",
        [
            (2, "MultipleInstructionsDisallowed",
             f"Multiple HEALTHCHECK {ONLY_THE_LAST}"),
            (3, "MultipleInstructionsDisallowed",
             f"Multiple ENTRYPOINT {ONLY_THE_LAST}"),
        ],
        id="B-12",
    ),
    pytest.param(
        "FROM scratch\nENV testkey value\nLABEL key value\nENV k=v\n",
        [
            (2, "LegacyKeyValueFormat", '"ENV key=value" should be used instead of legacy "ENV key value" format'),
            (3, "LegacyKeyValueFormat", '"LABEL key=value" should be used instead of legacy "LABEL key value" format'),
        ],
        id="B-13",
    ),
    pytest.param(
        "FROM --platform=$TARGETPLATFORM scratch\nFROM --platform=${TARGETPLATFORM} scratch\n"
        "FROM --platform=$TARGETOS/arm64 x\n",
        [
            (1, "RedundantTargetPlatform",
             "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"),
            (2, "RedundantTargetPlatform",
             "Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior"),
        ],
        id="B-15",
    ),
    pytest.param(
        "ARG TOKEN\nFROM scratch\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo sunflower=x\nENV git_key= PUBLIC_KEY=\n"
        "ARG AUTH_MODULE_VERSION password_file monkey\n",
        [
            (3, "SecretsUsedInArgOrEnv",
             'Do not use ARG or ENV instructions for sensitive data (ARG "SECRET_PASSPHRASE")'),
            (4, "SecretsUsedInArgOrEnv", 'Do not use ARG or ENV instructions for sensitive data (ENV "SUPER_Secret")'),
            (5, "SecretsUsedInArgOrEnv", 'Do not use ARG or ENV instructions for sensitive data (ENV "git_key")'),
        ],
        id="B-16",
    ),
    pytest.param(
        "ARG VERSION\nARG IMAGE\nARG VARIANT\nFROM busybox:$VERSION\nFROM $IMAGE\nFROM busybox:stable${VARIANT}\n",
        [
            (4, "InvalidDefaultArgInFrom",
             "Default value for ARG busybox:$VERSION results in empty or invalid base image name"),
            (5, "InvalidDefaultArgInFrom", "Default value for ARG $IMAGE results in empty or invalid base image name"),
        ],
        id="B-17",
    ),
    pytest.param(
        "FROM --platform=linux/amd64 scratch\nFROM --platform=linux/amd64 scratch AS my_amd64\n"
        "FROM --platform=linux/amd64 scratch AS linux\nFROM --platform=linux/arm64 scratch AS my_amd64_too\n",
        [
            (1, "FromPlatformFlagConstDisallowed",
             'FROM --platform flag should not use constant value "linux/amd64"'),
            (4, "FromPlatformFlagConstDisallowed",
             'FROM --platform flag should not use constant value "linux/arm64"'),
        ],
        id="B-18",
    ),
    pytest.param(
        "FROM scratch\nEXPOSE 80/TcP 8080/tcp 53/UDP\n",
        [
            (2, "ExposeProtoCasing", "Defined protocol '53/UDP' in EXPOSE instruction should be lowercase"),
            (2, "ExposeProtoCasing", "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase"),
        ],
        id="B-21",
    ),
    pytest.param(
        "FROM scratch\nEXPOSE 127.0.0.1:80:80 5000:5000 8000\n",
        [
            (2, "ExposeInvalidFormat",
             "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'"),
            (2, "ExposeInvalidFormat",
             "EXPOSE instruction should not define an IP address or host-port mapping, found '5000:5000'"),
        ],
        id="B-22",
    ),
]  # fmt: skip


@pytest.mark.rule(
    "B-1", "B-2", "B-3", "B-4", "B-5", "B-6", "B-7", "B-8", "B-9", "B-10",
    "B-11", "B-12", "B-13", "B-15", "B-16", "B-17", "B-18", "B-21", "B-22",
)  # fmt: skip
@pytest.mark.parametrize(("text", "expected"), CASES)
def test_a_check_says_what_buildkit_says_where_it_says_it(text: str, expected: list[tuple[int, str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.rule("B-14")
def test_a_base_image_of_another_platform_is_found() -> None:
    base = BaseImage(platform="linux/arm64", expected_platform="linux/amd64")
    expected = 'Base image alpine was pulled with platform "linux/arm64", expected "linux/amd64" for current build'
    assert found("FROM alpine\nENV a=b\n", base_images={0: base}) == [(1, "InvalidBaseImagePlatform", expected)]
    assert found("FROM alpine\n", base_images={0: BaseImage(platform="a", expected_platform="a")}) == []


@pytest.mark.rule("B-20")
def test_a_comment_that_describes_something_else_is_found_when_asked_for() -> None:
    text = "# bar it is\nARG foo=bar\n# BasE it is\nFROM scratch AS base\n# no\nARG v=1\n# no\nARG foo=1 bar=2\n"
    text += "# v is\nARG v\n"
    rule = "InvalidDefinitionDescription"
    assert found(text) == []
    assert found("# check=experimental=InvalidDefinitionDescription\n" + text) == [
        (3, rule, "Comment for ARG should follow the format: `# foo <description>`"),
        (5, rule, "Comment for FROM should follow the format: `# base <description>`"),
        (7, rule, "Comment for ARG should follow the format: `# v <description>`"),
        (9, rule, "Comment for ARG should follow the format: `# <arg_key> <description>`"),
    ]
    assert len(found("# check=skip=all;experimental=all\n" + text)) == 4


@pytest.mark.rule("B-11")
def test_the_environment_of_the_base_image_defines_variables() -> None:
    text = "FROM x\nENV A=$FROM_BASE B=$MISSING\n"
    assert names(text, base_images={0: BaseImage(environment={"FROM_BASE": "1"})}) == [(2, "UndefinedVar")]
    assert names(text, base_images={}) == []


@pytest.mark.rule("B-11")
@pytest.mark.parametrize(
    ("word", "undefined"),
    [
        ("${X:-d}", ["X"]), ("${X-}", ["X"]), ("${X:+x}", ["X"]), ("${X+x}", ["X"]), ("${X-d}", ["X"]),
        ("${X#a}", ["X"]), ("${X%%a}", ["X"]), ("${X/a/b}", ["X"]), ("${X:-${Y}}", ["X", "Y"]),
        ("${X:-${Y:-d}}", ["X", "Y"]), ("${X:+${Y}}", ["X", "Y"]), ("${A:-${Y}}", ["Y"]), ("${A:+${Y}}", ["Y"]),
        ("${A:-d}${DECLARED:-d}", []), ("$X${X:-d}", ["X"]),
    ],
)  # fmt: skip
def test_a_fall_back_does_not_define_a_variable(word: str, undefined: list[str]) -> None:
    text = f"FROM scratch\nARG DECLARED\nENV A=a\nLABEL l={word}\n"
    said = {message.partition(" (")[0] for _, _, message in found(text)}
    assert said == {f"Usage of undefined variable '${name}'" for name in undefined}


@pytest.mark.rule("Z-5", "B-17")
@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch AS First\nENV A=1\nFROM First\nENV B=$A\n",
        "FROM scratch AS first\nENV A=1\nFROM FIRST\nENV B=$A\n",
        "ARG V=First\nFROM scratch AS First\nENV A=1\nFROM $V\nENV B=$A\n",
        "ARG V=irst\nFROM scratch AS First\nENV A=1\nFROM F${V}\nENV B=$A\n",
    ],
)
def test_a_stage_in_another_case_is_no_default_of_an_argument_and_its_variables_are_known(text: str) -> None:
    assert {rule for _, rule in names(text, base_images={})} <= {"StageNameCasing"}


@pytest.mark.rule("B-17")
def test_only_what_holds_an_argument_is_said_to_be_one() -> None:
    assert names("FROM Wrong\n") == []
    assert names("ARG V=Wrong\nFROM $V\n") == [(2, "InvalidDefaultArgInFrom")]
    assert names("ARG V=Later\nFROM $V\nFROM scratch AS Later\n") == [
        (2, "InvalidDefaultArgInFrom"), (3, "StageNameCasing"),
    ]  # fmt: skip


@pytest.mark.rule("A-10")
@pytest.mark.rule("B-11", "A-2")
def test_a_global_arg_is_undefined_in_a_stage_that_does_not_declare_it() -> None:
    assert names("ARG g=1\nFROM scratch\nENV x=$g\nARG g\nENV y=$g z=$TARGETARCH\n") == [
        (3, "UndefinedVar"),
        (5, "UndefinedVar"),
    ]


@pytest.mark.rule("B-7")
def test_a_base_image_with_its_own_shell_needs_no_json() -> None:
    assert found("FROM x\nCMD y\n", base_images={0: BaseImage(has_shell=True)}) == []


@pytest.mark.rule("B-17")
def test_a_build_argument_does_not_mend_an_invalid_default() -> None:
    text = "ARG VERSION\nFROM busybox:$VERSION\n"
    assert names(text, build_args={"VERSION": "latest"}) == [(2, "InvalidDefaultArgInFrom")]


def test_only_the_stages_that_are_built_get_stage_checks() -> None:
    text = "FROM scratch AS A\nENV k v\nFROM scratch\nENV k v\n"
    assert names(text, stages=frozenset({1})) == [(1, "StageNameCasing"), (4, "LegacyKeyValueFormat")]


def test_a_finding_points_at_the_words_and_knows_the_whole_instruction() -> None:
    (finding,) = findings("FROM scratch\nENV a=1 \\\n  b=$undefined\n")
    assert finding.location[1:] == (3, 5, 3, 15)
    assert finding.instruction[1:] == (2, 1, 3, 15)
    assert finding.short() == "UndefinedVar: Usage of undefined variable '$undefined' (line 2)"
    assert finding.rule.url == "https://docs.docker.com/go/dockerfile/rule/undefined-var/"
