"""The notes: what each is made of, and what only looks like it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from builder.dockerfile.parser import parse_dockerfile
from builder.lint.finding import BaseImage, Finding, LintInputs
from builder.lint.linter import lint
from builder.lint.options import NOTES
from builder.lint.rules import RULES

DOCS = Path(__file__).parent.parent.parent / "docs"
FILES = ("a", "b", "x", "f.txt", "sub/x", "id_rsa")
"""What the build context holds, beside the folders `tree` and `sub`."""
UNKNOWN: Mapping[int, BaseImage] = {}


class Context:
    def kind(self, path: str) -> Literal["file", "directory", ""]:
        return "file" if path in FILES else "directory" if path in ("", "tree", "sub") else ""


def notes(
    text: str,
    *,
    base: BaseImage | None = BaseImage(),  # noqa: B008 - a frozen value
    folder: str = ".",
    build_args: Mapping[str, str] = {},
    stages: frozenset[int] | None = None,
) -> list[Finding]:
    """Return the notes; every base image is `base`, and None is one that nobody knows."""
    dockerfile = parse_dockerfile(text)
    bases = UNKNOWN if base is None else {stage.index: base for stage in dockerfile.stages}
    inputs = LintInputs(
        build_args=build_args,
        base_images=bases,
        context=Context(),
        dockerfile_folder=folder,
        stages=stages,
        enable=frozenset({NOTES}),
    )
    return [finding for finding in lint(dockerfile, inputs) if finding.level == "note"]


ALARMS = {
    "ArgOutsideStage": {
        "ARG V=1\nFROM b\nRUN echo $V": 3,
        "ARG V=1\nFROM b AS s\nCOPY ${V} /x": 3,
        'ARG V\nFROM b\nENV A=1\nRUN printf "%s" "${V%.*}" && echo \'$A\'': 4,
        "ARG V=1\nFROM b AS s\nARG V\nFROM b AS t\nLABEL v=$V": 5,
        "ARG V=1\nFROM b\nRUN <<E\necho $V\nE": 3,
    },
    "EntrypointDropsCmd": {
        'FROM b AS s\nCMD ["c"]\nFROM s\nENTRYPOINT ["echo", "E"]': 4,
        'FROM b AS s\nCMD c\nFROM s AS t\nFROM t\nENTRYPOINT ["e"]': 5,
        'FROM b AS s\nCMD ["c"]\nFROM s\nENTRYPOINT ["sh", "-c", "e \\"$@\\""]': 4,
    },
    "ShellEntrypointDropsCmd": {
        'FROM b\nENTRYPOINT echo E\nCMD ["C"]': 2,
        "FROM b\nCMD c\nENTRYPOINT exec program --flag": 3,
        'FROM b AS s\nENTRYPOINT echo E\nFROM s\nCMD ["C"]': 4,
    },
    "SourcesOnOneFile": {
        "FROM scratch\nCOPY a b /dst": 2,
        "FROM busybox:1\nCOPY a b /dst": 2,
        "FROM scratch\nWORKDIR /w\nCOPY a f.txt out": 3,
        "FROM docker.io/library/debian\nCOPY --chown=1 a <<E /dst\nx\nE": 2,
    },
    "SecretRemovedLater": {
        "FROM b\nCOPY id_rsa /id_rsa\nRUN rm /id_rsa": 3,
        "FROM b\nWORKDIR /w\nADD keys/server.key .netrc ./\nRUN build && rm -f .netrc": 4,
        "FROM b AS s\nCOPY mine /root/.ssh/id_rsa\nRUN clone; rm -rf /root/.ssh/id_rsa\nFROM s\nRUN x": 3,
        "FROM b\nCOPY id_rsa /root/.ssh\nRUN shred /root/.ssh/id_rsa": 3,
    },
    "CommandInEnv": {
        "FROM b\nENV X=$(date)": 2,
        "FROM b\nARG NOW=`date`": 2,
        'FROM b\nENV JAVA_HOME $(dirname "$(which java)")': 2,
        'FROM b\nLABEL built="$(date)"': 2,
        "FROM b\nENV P=\"$(python -c 'x')/bin\"": 2,
    },
    "TildeInPath": {
        "FROM b\nWORKDIR ~/x": 2,
        "FROM b\nCOPY f.txt ~/": 2,
        "FROM b\nADD ~/.ssh /x": 2,
        "FROM b\nWORKDIR ~": 2,
        'FROM b\nCOPY ["f.txt", "~/x"]': 2,
    },
    "VariableInJson": {
        'FROM b\nCMD ["echo", "$N"]': 2,
        'FROM b\nENTRYPOINT ["java", "-Dx=${X}", "-jar", "a.jar"]': 2,
        'FROM b\nRUN ["mkdir", "$HOME/x"]': 2,
        'FROM b\nENTRYPOINT ["serve"]\nCMD ["--port", "$PORT"]': 3,
        'FROM b\nCMD ["echo", "hi $N"]': 2,
    },
    "SingleQuotesInJson": {
        "FROM b\nCMD ['echo','hi']": 2,
        "FROM b\nENTRYPOINT ['python', \"main.py\"]": 2,
        "FROM b\nRUN [ 'a', 'b' ]": 2,
        "FROM b\nCMD ['python' '-m' 'x']": 2,
    },
    "RunOfCdOrExport": {
        "FROM b\nRUN cd /tmp": 2,
        "FROM b\nRUN cd /tmp && export X=1": 2,
        "FROM b\nRUN . venv/bin/activate": 2,
        "FROM b\nRUN set -e; export A=b": 2,
        "FROM b\nRUN source ~/.bashrc": 2,
    },
    "RunInBackground": {
        "FROM b\nRUN sleep 1000 &": 2,
        "FROM b\nRUN service nginx start": 2,
        "FROM b\nRUN apt-get install -y x && /etc/init.d/x restart": 2,
        "FROM b\nRUN server >log 2>&1 &": 2,
        "FROM b\nRUN systemctl start x || true": 2,
    },
    "ParentLandsOnOtherFile": {
        "FROM b\nCOPY ../x /y": 2,
        "FROM b\nADD sub/../../a /y": 2,
        "FROM b\nCOPY ../.. /y": 2,
    },
    "StageNotNeeded": {
        "FROM a\nRUN x\nFROM b": 1,
        "FROM b AS builder\nRUN x\nFROM b": 1,
        "FROM b AS deps\nFROM b AS s\nFROM b\nCOPY --from=s /x /x": 1,
    },
}
"""By rule, Dockerfiles, each with the line of its note."""

NEAR_MISSES = {
    "ArgOutsideStage": (
        "ARG V=1\nFROM b\nARG V\nRUN echo $V",
        "ARG V=1\nFROM b AS s\nARG V\nFROM s\nRUN echo $V",
        "ARG V=1\nFROM b\nRUN V=2 && echo $V",
        "ARG V=1\nFROM b\nRUN for V in a b; do echo $V; done",
        "ARG V=1\nFROM b\nRUN echo '$V' \\$V ${V:-2} # $V",
        "ARG V=1\nFROM b:$V\nENV V=2\nRUN echo $V",
        'ARG V=1\nFROM b\nCMD ["sh", "-c", "echo $V"]',
        "ARG UID=1\nFROM b\nRUN echo $UID",
        "ARG V=1\nFROM b\nRUN <<'E'\necho $V\nE",
    ),
    "EntrypointDropsCmd": (
        'FROM b AS s\nCMD ["c"]\nFROM s\nENTRYPOINT ["e"]\nCMD ["d"]',
        'FROM b AS s\nCMD ["c"]\nFROM s\nCMD []\nENTRYPOINT ["e"]',
        'FROM b\nENTRYPOINT ["e"]\nCMD ["c"]',
        'FROM b AS s\nCMD ["c"]\nFROM b\nENTRYPOINT ["e"]',
        'FROM b AS s\nCMD ["c"]\nFROM s\nENTRYPOINT e',
        'FROM b AS s\nCMD ["c"]\nFROM s\nENTRYPOINT ["sh", "-c", "e"]',
        'FROM b AS s\nCMD []\nFROM s\nENTRYPOINT ["e"]',
    ),
    "ShellEntrypointDropsCmd": (
        'FROM b\nENTRYPOINT ["echo", "E"]\nCMD ["C"]',
        "FROM b\nENTRYPOINT echo E",
        'FROM b\nENTRYPOINT exec program "$0" "$@"\nCMD ["C"]',
        'FROM b AS s\nCMD ["C"]\nFROM s\nENTRYPOINT echo E',
        "FROM b\nENTRYPOINT echo E\nCMD []",
        'FROM b\nSHELL ["powershell", "-c"]\nENTRYPOINT x\nCMD ["C"]',
    ),
    "SourcesOnOneFile": (
        "FROM scratch\nCOPY a b /dst/",
        "FROM scratch\nCOPY a b .",
        "FROM busybox\nWORKDIR /dst\nCOPY a b /dst",
        "FROM scratch\nCOPY a tree /dst",
        "FROM busybox\nCOPY a b /etc",
        "FROM busybox\nRUN mkdir -p /dst\nCOPY a b /dst",
        "FROM scratch\nCOPY tree /\nCOPY a b /dst/sub",
        "FROM scratch\nADD f.tar.gz /\nCOPY a b /dst",
        "FROM somebody/image\nCOPY a b /dst",
        "FROM scratch\nCOPY *.txt a /dst",
        "FROM busybox\nARG D=/dst\nWORKDIR $D\nCOPY a b /dst",
        "FROM scratch\nCOPY --parents a b /dst",
        "FROM busybox\nVOLUME /dst/x\nCOPY a b /dst",
        "FROM busybox\nCOPY tree /dst/x\nCOPY a b /dst",
    ),
    "SecretRemovedLater": (
        "FROM b AS s\nCOPY id_rsa /id_rsa\nRUN rm /id_rsa\nFROM b\nCOPY --from=s /x /x",
        "FROM b\nCOPY script.sh /s.sh\nRUN rm /s.sh",
        "FROM b\nCOPY id_rsa /id_rsa\nRUN rm /other",
        "FROM b\nRUN --mount=type=secret,id=k,target=/id_rsa x && rm -f /y",
        "FROM b\nRUN rm /id_rsa\nCOPY id_rsa /id_rsa",
        "FROM b\nCOPY id_rsa.pub /id_rsa.pub\nRUN rm /id_rsa.pub",
        "FROM b\nCOPY ca.pem server-cert.pem /tmp/\nRUN rm /tmp/ca.pem /tmp/server-cert.pem",
        "FROM b\nADD docker-apt.key .env.example /tmp/\nRUN rm /tmp/docker-apt.key /tmp/.env.example",
    ),
    "CommandInEnv": (
        "FROM b\nENV X='$(date)'",
        'FROM b\nENV PS1="$(git branch) $ "',
        'FROM b\nENV X="\\$(date)"',
        'FROM b\nLABEL usage="docker run -v $(pwd):/x" about="use `x`"',
        "FROM b\nRUN X=$(date) && echo $X",
        "FROM b\nENV X=${Y}(z)",
        'FROM b\nENV START_CMD="echo $(date)"',
        "FROM b\nENV X=$((1+2))",
        "# escape=`\nFROM b\nENV X=a`b`c",
    ),
    "TildeInPath": (
        "FROM b\nRUN cd ~ && mkdir ~/x",
        "FROM b\nCOPY a~ /x~",
        "FROM b\nWORKDIR /home/~x",
        "FROM b\nCOPY f.txt /root/",
        "FROM b\nENV P=~/bin:$PATH",
    ),
    "VariableInJson": (
        'FROM b\nCMD ["sh", "-c", "echo $N"]',
        'FROM b\nENTRYPOINT ["/entrypoint.sh", "$N"]',
        'FROM b\nENTRYPOINT ["/docker-entrypoint.sh"]\nCMD ["serve", "$PORT"]',
        'FROM b\nCMD ["awk", "{print $NF}"]',
        'FROM b\nCMD ["php", "-r", "echo $x + 1;"]',
        "FROM b\nCMD echo $N",
        'FROM b\nCMD ["grep", "end$"]',
        'FROM b\nCMD ["tini", "--", "bash", "-lc", "x $N"]',
        'FROM b\nCMD ["echo", "$N"]\nCMD ["x"]',
        'FROM b\nCMD ["make", "A=$B"]',
    ),
    "SingleQuotesInJson": (
        'FROM b\nCMD ["echo", "it\'s"]',
        "FROM b\nRUN [ 'a' = 'b' ] || true",
        "FROM b\nCMD echo '[a]'",
        "FROM b\nRUN [ -f '/x' ]",
        "FROM b\nCMD [echo, hi]",
    ),
    "RunOfCdOrExport": (
        "FROM b\nRUN cd /tmp && make",
        "FROM b\nRUN export X=1 > /etc/x",
        "FROM b\nRUN cd /tmp || exit 1",
        "FROM b\nRUN . ./install.sh",
        "FROM b\nRUN export X=$(make)",
        "FROM b\nRUN <<E\ncd /tmp\nmake\nE",
        "FROM b\nRUN cdrecord x",
        "FROM b\nRUN (cd /x && ln -s a b)",
    ),
    "RunInBackground": (
        "FROM b\nRUN service mysql start && mysql -e 'create database x'",
        "FROM b\nRUN (mysqld &); sleep 3; mysqladmin password x",
        "FROM b\nRUN make && make install",
        "FROM b\nRUN systemctl enable nginx",
        "FROM b\nRUN server & sleep 1; setup; kill %1",
        'FROM b\nCMD ["sh", "-c", "server &"]',
        "FROM b\nRUN echo 'a &'",
        "FROM b\nRUN service x start && setup && service x stop",
    ),
    "ParentLandsOnOtherFile": (
        "FROM b\nCOPY ../missing /y",
        "FROM b\nCOPY sub/../x /y",
        "FROM b AS s\nFROM s\nCOPY --from=s ../x /y",
        "FROM b\nADD https://example.test/../x /y",
        "FROM b\nCOPY ../*.txt /y",
        "FROM b\nCOPY ..x /y",
    ),
    "StageNotNeeded": (
        "FROM b AS build\nFROM b\nCOPY --from=build /x /x",
        "FROM b AS test\nFROM b",
        "FROM b AS dev\nFROM b AS prod",
        "FROM b AS build-amd64\nFROM b AS build-arm64\nFROM build-$TARGETARCH",
        "FROM b\nFROM b\nCOPY --from=0 /x /x",
        "FROM b AS build\nFROM b\nRUN --mount=from=build,target=/x true",
        "# docker build --target build .\nFROM b AS build\nFROM b",
        "FROM b AS deps\nFROM deps AS more\nFROM more",
        "FROM b AS build-test\nFROM b",
        "FROM b AS golden\nFROM b",
        "FROM b AS build\nFROM b AS s\nONBUILD COPY --from=build /x /x\nFROM s",
    ),
}


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in ALARMS.items() for text in texts])
def test_what_surprises_gets_its_note(rule: str, text: str) -> None:
    found = notes(text + "\n")
    assert [(finding.rule.name, finding.instruction.line) for finding in found] == [(rule, ALARMS[rule][text])]
    assert found[0].hint
    assert found[0].message


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in NEAR_MISSES.items() for text in texts])
def test_what_only_looks_like_it_gets_none(rule: str, text: str) -> None:
    assert rule not in [finding.rule.name for finding in notes(text + "\n")]


def test_each_note_has_rows_of_both_kinds() -> None:
    named = [name for name, rule in RULES.items() if rule.note]
    assert named == list(ALARMS) == list(NEAR_MISSES)
    assert all(len(rows) >= 2 for rows in ALARMS.values())
    assert all(len(rows) >= 3 for rows in NEAR_MISSES.values())


def test_of_an_image_that_is_not_known_nothing_is_said() -> None:
    text = 'ARG V=1\nFROM b\nRUN echo $V\nENTRYPOINT ["e"]\n'
    known = BaseImage(cmd=("serve", "x"))
    assert [finding.rule.name for finding in notes(text, base=known)] == ["ArgOutsideStage", "EntrypointDropsCmd"]
    assert notes(text, base=None) == []


@pytest.mark.parametrize(
    ("cmd", "entrypoint", "is_said"),
    [
        (("serve", "-x"), '["wrapper"]', True),
        (("/bin/bash",), '["wrapper"]', False),
        (("python3",), '["wrapper"]', False),
        (("serve", "-x"), '["tini", "--", "/usr/bin/serve"]', False),
        ((), '["wrapper"]', False),
    ],
)
def test_of_the_cmd_of_an_image_only_what_somebody_could_miss_is_lost(
    cmd: tuple[str, ...], entrypoint: str, is_said: bool
) -> None:
    assert bool(notes(f"FROM b\nENTRYPOINT {entrypoint}\n", base=BaseImage(cmd=cmd))) is is_said


def test_a_variable_of_the_image_is_none_of_the_file() -> None:
    text = "ARG V=1\nFROM b:$V\nRUN echo $V\n"
    assert notes(text, base=BaseImage(environment={"V": "2"})) == []
    assert len(notes(text)) == 1


def test_what_triggers_do_is_not_known() -> None:
    text = 'ARG V=1\nFROM b\nRUN echo $V\nCOPY a b /dst\nENTRYPOINT ["e"]\n'
    assert notes(text, base=BaseImage(cmd=("serve", "x"), has_triggers=True)) == []
    in_file = 'ARG V=1\nFROM b AS s\nONBUILD ENV V=2\nCMD ["c"]\nFROM s\nRUN echo $V\nENTRYPOINT ["e"]\n'
    assert notes(in_file) == []


def test_a_source_is_meant_from_where_the_dockerfile_lies() -> None:
    assert notes("FROM b\nCOPY ../x /y\n", folder="docker") == []
    assert [finding.message for finding in notes("FROM b\nCOPY ../x /y\n", folder="a/b")] == [
        "../x can't lead out of the build context: x of the build context is taken"
    ]
    assert len(notes("FROM b\nCOPY ../x /y\n", folder="../docker")) == 1


def test_with_a_target_only_its_stages_are_judged() -> None:
    text = "FROM b AS build\nRUN cd /\nFROM b\nRUN export A=b\n"
    assert [finding.rule.name for finding in notes(text, stages=frozenset({1}))] == ["RunOfCdOrExport"]


def test_a_note_is_skipped_like_a_warning_and_no_error_of_the_directive() -> None:
    text = "RUN cd /\n"
    assert [finding.level for finding in notes(f"# check=error=true\nFROM b\n{text}")] == ["note"]
    assert notes(f"# check=skip=RunOfCdOrExport\nFROM b\n{text}") == []
    assert notes(f"# check=skip=all\nFROM b\n{text}") == []
    assert notes(f"FROM b\n# check=skip=RunOfCdOrExport\n{text}") == []


def test_a_note_that_is_asked_for_is_a_warning() -> None:
    dockerfile = parse_dockerfile("# check=experimental=RunOfCdOrExport;error=true\nFROM b\nRUN cd /\n")
    assert [finding.level for finding in lint(dockerfile, LintInputs())] == ["error"]


def test_a_long_file_costs_no_square() -> None:
    lines = "".join(f"COPY a b /d{number}\nFROM s{number} AS s{number + 1}\n" for number in range(3000))
    assert len(notes(f"FROM busybox AS s0\n{lines}")) == 3000


def test_each_note_has_its_line_in_the_page_of_checks_and_its_place_in_the_course() -> None:
    page = (DOCS / "checks.md").read_text("utf-8")
    for name, rule in RULES.items():
        if rule.ours:
            assert f"\n| `{name}` | " in page
        if rule.note:
            assert f"| `{rule.url.removeprefix('docs/')}` |" in page
            lesson, _, anchor = rule.url.partition("#")
            if not (DOCS / "course").exists():
                continue
            text = (DOCS.parent / lesson).read_text("utf-8")
            assert f'<a id="{anchor}"></a>' in text
