"""What is wrong with a Dockerfile or its context is said in one line, with its place, the lines there, and a hint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.support.registry import FakeRegistry, Fault, make_image

NOWHERE = "127.0.0.1:1/no/image"


@pytest.mark.parametrize(
    ("dockerfile", "fragments"),
    [
        pytest.param(
            "FROM scratch\nRUNN make\n",
            ["Dockerfile:2:1: error: unknown instruction: RUNN (did you mean RUN?)", ">   2 | RUNN make", "^^^^"],
            id="unknown instruction",
        ),
        pytest.param(
            "FROM scratch\nCOPY --chwn=1 a b\n",
            ["Dockerfile:2:6: error: unknown flag: --chwn (did you mean", "chown", "^^^^^^^^"],
            id="unknown flag",
        ),
        pytest.param("FROM scratch\nCOPY a\n", ["Dockerfile:2:", "COPY requires at least two arguments"], id="too few"),
        pytest.param('FROM scratch\nRUN "\nENV a="b\n', ["Dockerfile:3:", ">   3 | ENV"], id="open quote"),
        pytest.param("FROM scratch\nCOPY <<EOF /x\nno end\n", ["Dockerfile:2:", "EOF"], id="open heredoc"),
        pytest.param("COPY a b\n", ["Dockerfile:1:", "no build stage"], id="no FROM"),
        pytest.param("", ["Dockerfile:1:1: error: the Dockerfile cannot be empty", "Begin with FROM."], id="empty"),
        pytest.param("# nothing\n", ["Dockerfile:1:1: error: file with no instructions"], id="only comments"),
        pytest.param(
            "FROM Foo:bar:baz\n",
            ["Dockerfile:1:6: error:", "invalid reference format", "lower-case", "^^^^^^^^^^^"],
            id="bad reference",
        ),
        pytest.param(
            "FROM scratch AS a\nCOPY --from=b x y\nFROM scratch AS b\nCOPY --from=a x y\n",
            ["Dockerfile:1:1: error: circular dependency detected on stage: a", "a → b → a"],
            id="cycle",
        ),
        pytest.param(
            f"FROM {NOWHERE}\n",
            [f"Dockerfile:1:6: error: {NOWHERE}", "cannot reach registry 127.0.0.1:1: connection refused", "Check"],
            id="unreachable registry",
        ),
        pytest.param(
            "FROM scratch\nCOPY --from=bild x /\n", ["Dockerfile:2:", "bild"], id="COPY from an unknown image"
        ),
        pytest.param("FROM scratch\nUSER\n", ["Dockerfile:2:", "USER requires"], id="no argument"),
        pytest.param("FROM scratch\nEXPOSE x/y\n", ["Dockerfile:2:", "x/y"], id="bad port"),
        pytest.param("FROM scratch\nADD http://127.0.0.1:1/x /\n", ["Dockerfile:2:1", "cannot be fetched"], id="ADD"),
        pytest.param("FROM scratch\nCOPY ../outside /\n", [':2:6: error: "/outside": not', "leads out"], id="dot dot"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_dockerfile_is_shown_where_it_is(
    pybuild: Program, dockerfile: str, fragments: list[str]
) -> None:
    pybuild.build(dockerfile).failed(1, *fragments)


def test_every_syntax_error_of_a_file_is_told_at_once(pybuild: Program) -> None:
    pybuild.build("FROM scratch\nRUNN x\nCOPPY a b\n").failed(1, "Dockerfile:2:1", "Dockerfile:3:1", "2 errors")


def test_an_unknown_target_is_answered_with_the_nearest_stage(pybuild: Program) -> None:
    outcome = pybuild.build("FROM scratch AS build\nCOPY Dockerfile /\n", "--target=biuld")
    outcome.failed(1, 'target stage "biuld" could not be found (did you mean build?)')


def test_a_missing_source_is_answered_with_the_nearest_file(pybuild: Program) -> None:
    (pybuild.folder / "app.js").touch()
    outcome = pybuild.build("FROM scratch\nCOPY app.jx /\n")
    place = 'Dockerfile:2:6: error: "/app.jx": not found'
    outcome.failed(1, place, ">   2 | COPY app.jx /\n      |      ^^^^^^\n", 'Did you mean "app.js"?')


@pytest.mark.rule("C-11", "X10")
@pytest.mark.parametrize(
    ("copy", "place", "hint"),
    [
        ("COPY app.js nope /x/", '2:13: error: "/nope": not found', "^^^^"),
        ('COPY ["app.js", "nope", "/x/"]', '2:17: error: "/nope": not found', "^^^^^^"),
        ("COPY \\\n  util.js /", '3:3: error: "/util.js": not found', 'Did you mean "src/util.js"?'),
        ("COPY app.js/x /", '2:6: error: "/app.js/x": not found', '"app.js" is a file, not a directory.'),
        ("COPY --parents src/./utl.js /", '2:16: error: "/src/utl.js": not found', 'Did you mean "src/util.js"?'),
        ("ARG F=util.jsx\nCOPY src/$F /", "3:6: error:", "F is 'util.jsx', set by ARG in line 2."),
        ("ARG F\nCOPY src/${F}x /", "3:6: error:", "F is not set here."),
        ("COPY src/[u /", "2:6: error: '[u' is not a pattern", "^^^^^^"),
    ],
)
def test_the_word_that_names_a_missing_source_is_shown(pybuild: Program, copy: str, place: str, hint: str) -> None:
    (pybuild.folder / "src").mkdir()
    for name in ("app.js", "src/util.js"):
        (pybuild.folder / name).touch()
    pybuild.build(f"FROM scratch\n{copy}\n").failed(1, f"Dockerfile:{place}", hint)


def test_a_missing_source_of_a_mount_is_answered_with_the_nearest_file(runs: Program) -> None:
    (runs.folder / "app.js").touch()
    text = "FROM base\nRUN --mount=type=bind,source=app.jx,target=/x true\n"
    runs.build(text).failed(1, '"/app.jx": not found', 'Did you mean "app.js"?')


@pytest.mark.parametrize("source", ["app.js", "dir/sub/app.js", "dir/sub"])
def test_an_ignored_source_is_answered_with_the_line_that_hides_it(pybuild: Program, source: str) -> None:
    (pybuild.folder / "dir" / "sub").mkdir(parents=True)
    for folder in (pybuild.folder, pybuild.folder / "dir" / "sub"):
        (folder / "app.js").touch()
    (pybuild.folder / ".dockerignore").write_text("# comment\n*.md\n*.js\ndir\n")
    line = "3: *.js" if source == "app.js" else "4: dir"
    outcome = pybuild.build(f"FROM scratch\nCOPY {source} /\n")
    outcome.failed(1, f'Dockerfile:2:6: error: "/{source}": not found', f"excluded by .dockerignore line {line}")


def test_a_link_out_of_the_context_is_not_followed(pybuild: Program) -> None:
    (pybuild.folder / "x").symlink_to("/etc/passwd")
    (pybuild.folder / "d").symlink_to("/etc")
    for source in ("x/", "d/passwd"):
        pybuild.build(f"FROM scratch\nCOPY {source} /\n").failed(1, "Dockerfile:2:6", "not found")


def test_a_missing_secret_says_how_to_give_it(runs: Program) -> None:
    outcome = runs.build("FROM base\nRUN --mount=type=secret,id=token,required cat /run/secrets/token\n")
    outcome.failed(1, "Dockerfile:2:1: error: secret token: not found", "--secret id=token,src=FILE")


def test_a_tag_that_is_not_there_is_answered_with_those_that_are(pybuild: Program) -> None:
    with FakeRegistry() as registry:
        registry.add_image("library/x", "v1.2", make_image())
        outcome = pybuild.build(f"FROM {registry.host}/library/x:v12\n")
    outcome.failed(1, "Dockerfile:1:6: error:", f"not found in registry {registry.host}", "v1.2")


def test_bytes_that_are_not_what_their_digest_says_are_refused(pybuild: Program) -> None:
    image = make_image([{"file": b"x" * 1000}])
    with FakeRegistry() as registry:
        name = registry.add_image("library/x", "1", image)
        layer = next(blob for blob in image.blobs if len(image.blobs[blob]) > 10 and blob in image.manifest.decode())
        for blob in image.blobs:
            registry.faults.append(Fault(blob, times=9, status=200, body=b"\0" * len(image.blobs[blob])))
        assert layer
        outcome = pybuild.build(f"FROM {name}\nCOPY Dockerfile /\n")
    outcome.failed(1, "Dockerfile:1:", "sha256:", "digest")
    assert pybuild("info", "--verify").succeeded()


def test_the_dockerfile_may_be_missing_a_directory_a_pipe_or_endless(pybuild: Program) -> None:
    dockerfile = pybuild.folder / "Dockerfile"
    pybuild.build(None).failed(1, "failed to read dockerfile: open Dockerfile: no such file or directory")
    dockerfile.mkdir()
    pybuild.build(None).failed(1, "Dockerfile is a directory, not a file", "-f")
    dockerfile.rmdir()
    os.mkfifo(dockerfile)
    pybuild.build(None).failed(1, "Dockerfile is a FIFO, not a file")
    dockerfile.unlink()
    with dockerfile.open("wb") as file:
        file.truncate(200_000_000)
    pybuild.build(None).failed(1, "Dockerfile is longer than 16 MiB")
    dockerfile.unlink()
    dockerfile.symlink_to("/dev/zero")
    pybuild.build(None).failed(1, "symbolic link to '/dev/zero', which is not inside")
    dockerfile.unlink()
    (pybuild.folder / "dockerfile.dev").write_text("FROM scratch\n")
    pybuild.build(None, "-f", "dockerfile.dv").failed(1, "open dockerfile.dv: no such file", "'dockerfile.dev'")


def test_the_context_may_be_missing_or_a_file(pybuild: Program, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pybuild(str(tmp_path / "nothing")).failed(1, "nothing' does not exist")
    pybuild(str(tmp_path / "file")).failed(1, "file' is not a directory")


def test_names_that_are_no_text_are_copied_and_shown(pybuild: Program) -> None:
    names = [b"a b", b"-x", b"a'\"$", b"[z]", "grün".encode(), b"\xff\xfe", b"line\nbreak", b"\\", b"\x1b[31m"]
    for name in names:
        with open(os.path.join(os.fsencode(pybuild.folder), name), "wb"):
            pass
    pybuild.build("FROM scratch\nCOPY . /\n", "-o", "type=local,dest=out").succeeded()
    assert set(os.listdir(os.path.join(os.fsencode(pybuild.folder), b"out"))) >= set(names)
    outcome = pybuild.build("FROM scratch\nCOPY \x1b]31mred /\n")
    outcome.failed(1, "not found")
    assert "\x1b" not in outcome.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('COPY ["a" "b"]', 'a comma is missing before "b"'),
        ('COPY ["a", "b"] # why', "a comment stands behind it"),
        ('COPY ["a","b"] # why', "a comment stands behind it"),
        ('ADD ["a" "b"]', 'a comma is missing before "b"'),
        ("COPY ['a', 'b']", "'a' is not in double quotes"),
        ("COPY [a, b] /x/", '"a" is not in double quotes'),
        ('COPY --chown=1 ["a", "b",]', "a comma stands before its last bracket"),
        ('COPY ["a", "b"', "its last bracket is missing"),
    ],
)
def test_words_that_were_meant_as_an_array_are_no_pattern(pybuild: Program, line: str, said: str) -> None:
    for name in ("a", "b", "#"):
        (pybuild.folder / name).touch()
    outcome = pybuild.build(f"FROM scratch\n{line}\n")
    outcome.failed(1, "Dockerfile:2:", f"this is no JSON array: {said}", f"hint: Write {line.split()[0]} [")
    assert "[[]" not in outcome.err


@pytest.mark.parametrize("line", ["COPY [a] /x", 'COPY ["a"] /x', "COPY [a,b] /x/", "COPY [[]id] /x"])
def test_patterns_that_begin_with_a_bracket_stay_patterns(pybuild: Program, line: str) -> None:
    for name in ("a", "b", "[id]"):
        (pybuild.folder / name).touch()
    pybuild.build(f"FROM scratch\n{line}\n").succeeded()
