"""COPY: what goes where, with which owner and mode. The expected trees are those that docker 28.5 (BuildKit) makes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from builder.errors import ContextError, LayerError, PybuildError
from builder.filesystem.entry import Entry
from builder.plan.step import InlineSource
from tests.solve.copying import MADE_AT, Bench, modes


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.write({"x": "x", "d/a": "A", "d/sub/b": "B", "e/sub/c": "C"})
    os.chmod(bench.context / "d", 0o711)
    os.chmod(bench.context / "d/sub", 0o700)
    os.chmod(bench.context / "e/sub", 0o771)
    return bench


# --- destination ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("C-3")
@pytest.mark.parametrize(("destination", "placed"), [("/t", "t"), ("/t/", "t/x"), ("/t/.", "t/x"), ("/", "x")])
def test_a_file_goes_to_the_name_or_into_the_directory(bench: Bench, destination: str, placed: str) -> None:
    assert placed in bench.copy("x", destination)


@pytest.mark.rule("C-3")
def test_a_file_goes_into_a_directory_that_is_there(bench: Bench) -> None:
    bench.copy("d", "/t")
    assert modes(bench.copy("x", "/t")) == {"t/": "755 0:0", "t/x": "644 0:0"}


@pytest.mark.rule("C-3")
def test_a_file_overwrites_a_file(bench: Bench) -> None:
    bench.copy("x", "/t")
    bench.copy("d/a", "/t")
    assert bench.read("t") == "A"


@pytest.mark.rule("C-4")
def test_a_directory_gives_its_contents_and_not_its_name(bench: Bench) -> None:
    assert modes(bench.copy("d", "/t")) == {
        "t/": "755 0:0", "t/a": "644 0:0", "t/sub/": "700 0:0", "t/sub/b": "644 0:0",
    }  # fmt: skip


@pytest.mark.rule("C-5")
def test_several_sources_without_a_slash_overwrite_each_other(bench: Bench) -> None:
    assert list(bench.copy("x", "d/a", "/t")) == ["t"]
    assert bench.read("t") == "A"


@pytest.mark.rule("C-5")
def test_a_directory_that_the_first_source_makes_takes_the_second(bench: Bench) -> None:
    assert "t/x" in bench.copy("d", "x", "/t")


@pytest.mark.rule("C-6")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, "755 0:0"), ({"chown": "3:4"}, "755 3:4"), ({"chmod": "0711"}, "711 0:0"), ({"chmod": "go-x"}, "755 0:0")],
)
def test_missing_parents_are_made(bench: Bench, fields: dict[str, str], expected: str) -> None:
    layer = modes(bench.copy("x", "/p/q/x", **fields))
    assert layer["p/"] == layer["p/q/"] == expected


@pytest.mark.rule("C-6")
def test_existing_parents_are_in_the_layer_as_they_are(bench: Bench) -> None:
    bench.copy("d", "/t/", chown="5:6", chmod="0751")
    assert modes(bench.copy("x", "/t/sub/", chown="1:2")) == {
        "t/": "751 5:6", "t/sub/": "751 5:6", "t/sub/x": "644 1:2",
    }  # fmt: skip


@pytest.mark.rule("C-7")
@pytest.mark.parametrize(
    ("link", "destination", "placed"),
    [
        ("q", "/t/l", "t/q"), ("q", "/t/l/", "t/q/x"), ("q", "/t/l/deep/x", "t/q/deep/x"), ("/abs", "/t/l/", "abs/x"),
        ("../../../up", "/t/l/", "up/x"), ("q", "/t/l/../z", "t/z"),
    ],
)  # fmt: skip
def test_links_in_the_destination_are_followed_inside_the_root(
    bench: Bench, link: str, destination: str, placed: str
) -> None:
    (bench.context / "links").mkdir()
    os.symlink(link, bench.context / "links/l")
    bench.copy("links", "/t/")
    assert placed in bench.copy("x", destination)


@pytest.mark.rule("C-7")
def test_attack_links_that_go_in_circles_end_in_an_error(bench: Bench) -> None:
    (bench.context / "links").mkdir()
    os.symlink("two", bench.context / "links/one")
    os.symlink("one", bench.context / "links/two")
    bench.copy("links", "/t/")
    with pytest.raises(LayerError, match="circles"):
        bench.copy("x", "/t/one/z")


@pytest.mark.rule("C-8")
def test_a_directory_does_not_replace_a_file(bench: Bench) -> None:
    bench.copy("x", "/t/sub")
    with pytest.raises(ContextError, match="cannot copy to non-directory: /t/sub"):
        bench.copy("d", "/t/")
    with pytest.raises(ContextError, match="cannot copy to non-directory"):
        bench.copy("d", "/t/sub")
    with pytest.raises(ContextError, match="not a directory"):
        bench.copy("x", "/t/sub/x")


@pytest.mark.rule("C-8")
def test_a_file_does_not_replace_a_directory(bench: Bench) -> None:
    bench.copy("d", "/t/x/")
    with pytest.raises(ContextError, match="cannot replace to directory /t/x with file"):
        bench.copy("x", "/t/")


@pytest.mark.rule("C-8")
def test_sources_clash_with_each_other_too(bench: Bench) -> None:
    bench.write({"f/sub": "a file"})
    with pytest.raises(ContextError, match="cannot replace"):
        bench.copy("d", "f", "/t/")
    with pytest.raises(ContextError, match="cannot copy to non-directory"):
        bench.copy("f", "d", "/t/")


# --- what is copied ------------------------------------------------------------------------------------------------


@pytest.mark.rule("C-13")
def test_hard_links_stay_links_and_sockets_become_files(bench: Bench) -> None:
    os.link(bench.context / "d/a", bench.context / "d/hard")
    os.mkfifo(bench.context / "d/pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(bench.context / "d/sock"))
    layer = bench.copy("d", "/t/")
    assert layer["t/hard"].kind == "hardlink"
    assert layer["t/hard"].link == "t/a"
    assert layer["t/pipe"].kind == "fifo"
    assert (layer["t/sock"].kind, layer["t/sock"].size) == ("file", 0)
    assert bench.read("t/hard") == "A"


@pytest.mark.rule("C-13")
def test_hard_links_of_a_stage_stay_links(bench: Bench) -> None:
    os.link(bench.context / "d/a", bench.context / "d/hard")
    bench.copy("d", "/t/")
    bench.keep_stage(1)
    layer = bench.copy("t", "/u/", stage=1)
    assert (layer["u/hard"].kind, layer["u/hard"].link) == ("hardlink", "u/a")
    # One name alone is no link any more.
    assert bench.copy("t", "/v/", stage=1, exclude=("a",))["v/hard"].kind == "file"
    assert bench.read("v/hard") == "A"


@pytest.mark.rule("C-14")
def test_owners_on_the_host_do_not_matter_and_modes_and_times_do(bench: Bench) -> None:
    if os.geteuid() == 0:
        os.chown(bench.context / "x", 1234, 1234)
    os.chmod(bench.context / "x", 0o4750)
    entry = bench.copy("x", "/t/")["t/x"]
    assert (entry.uid, entry.gid, entry.mode, entry.mtime) == (0, 0, 0o4750, os.stat(bench.context / "x").st_mtime)


@pytest.mark.rule("C-14")
def test_what_comes_from_a_stage_keeps_its_owner(bench: Bench) -> None:
    bench.copy("d", "/t/", chown="7:8", chmod="0640")
    bench.keep_stage(1)
    assert modes(bench.copy("/t/a", "/", stage=1)) == {"a": "640 7:8"}


@pytest.mark.rule("C-15")
def test_the_destination_keeps_its_mode_and_nested_directories_take_the_sources(bench: Bench) -> None:
    bench.copy("d", "/t/")
    assert modes(bench.copy("e", "/t/")) == {"t/": "755 0:0", "t/sub/": "771 0:0", "t/sub/c": "644 0:0"}
    assert bench.read("t/sub/b") == "B"


@pytest.mark.rule("C-15")
def test_the_destination_takes_the_time_of_its_source(bench: Bench) -> None:
    os.utime(bench.context / "d", (5000, 5000))
    layer = bench.copy("d", "/p/t/")
    assert (layer["p"].mtime, layer["p/t"].mtime) == (MADE_AT, 5000)


@pytest.mark.rule("C-19")
def test_a_linked_layer_knows_nothing_of_what_is_below(bench: Bench) -> None:
    bench.copy("d", "/t/", chown="5:6", chmod="0700")
    assert modes(bench.copy("x", "/t/x", link=True)) == {"t/": "755 0:0", "t/x": "644 0:0"}


@pytest.mark.rule("C-20")
def test_parents_are_kept_below_the_pivot(bench: Bench) -> None:
    layer = bench.copy("d/sub/b", "./e/./sub/c", "/t/", parents=True)
    assert modes(layer) == {
        "t/": "755 0:0", "t/d/": "711 0:0", "t/d/sub/": "700 0:0", "t/d/sub/b": "644 0:0",
        "t/sub/": "771 0:0", "t/sub/c": "644 0:0",
    }  # fmt: skip


@pytest.mark.rule("C-20")
def test_parents_take_two_stars_and_whole_directories(bench: Bench) -> None:
    assert "t/d/sub/b" in bench.copy("**/b", "/t/", parents=True)
    assert {"t/d/a", "t/d/sub/b"} <= set(bench.copy("d", "/t/", parents=True))
    assert list(bench.copy("none*", "/new/", parents=True)) == ["new"]
    with pytest.raises(ContextError, match='"/none": not found'):
        bench.copy("none", "/t/", parents=True)


@pytest.mark.rule("C-21")
@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        (("sub",), {"t", "t/a"}), (("*",), {"t"}), (("sub", "!sub/b"), {"t", "t/a", "t/sub", "t/sub/b"}),
        (("d/sub",), {"t", "t/a", "t/sub", "t/sub/b"}), (("**/b",), {"t", "t/a", "t/sub"}),
    ],
)  # fmt: skip
def test_exclude_is_relative_to_what_is_copied(bench: Bench, exclude: tuple[str, ...], expected: set[str]) -> None:
    assert set(bench.copy("d", "/t/", exclude=exclude)) == expected


@pytest.mark.rule("C-21")
def test_exclude_does_not_hide_a_file_that_is_named(bench: Bench) -> None:
    assert "t/x" in bench.copy("x", "/t/", exclude=("x",))


# --- owners --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("C-17")
@pytest.mark.parametrize(
    ("spec", "owner"),
    [("7", (7, 7)), ("7:9", (7, 9)), ("bob", (7, 8)), ("bob:grp", (7, 99)), ("zed", (0, 0)), ("zed:grp", (0, 99)),
     ("bob:zed", (7, 8)), (":grp", (0, 99)), ("root", (0, 0)), ("bob:", (7, 0))],
)  # fmt: skip
def test_chown_reads_the_accounts_of_the_target(bench: Bench, spec: str, owner: tuple[int, int]) -> None:
    bench.write({"etc/passwd": "root:x:0:0::/:/bin/sh\nbob:x:7:8::/:/bin/sh\n", "etc/group": "grp:x:99:\n"})
    bench.copy("etc", "/etc/")
    entry = bench.copy("x", "/n/", chown=spec)["n/x"]
    assert (entry.uid, entry.gid) == owner


@pytest.mark.rule("C-17")
def test_attack_a_number_beyond_32_bits_does_not_become_root(bench: Bench) -> None:
    with pytest.raises(PybuildError, match="out of range"):
        bench.copy("x", "/n/", chown="4294967296")


@pytest.mark.rule("C-17")
def test_attack_a_huge_passwd_is_not_read(bench: Bench) -> None:
    bench.write({"etc/passwd": "x" * (2 << 20)})
    bench.copy("etc", "/etc/")
    with pytest.raises(PybuildError, match="at most"):
        bench.copy("x", "/n/", chown="bob")


# --- heredocs ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("H-8")
def test_a_heredoc_is_a_file_of_its_name(bench: Bench) -> None:
    assert modes(bench.put((InlineSource("a", "A\n"), InlineSource("b", "B\n")), "/t/")) == {
        "t/": "755 0:0", "t/a": "644 0:0", "t/b": "644 0:0",
    }  # fmt: skip
    assert bench.read("t/b") == "B\n"
    layer = bench.put((InlineSource("a", "A\n"),), "/t/f", chmod="u+x,go=", chown="1:2")
    assert modes(layer)["t/f"] == "700 1:2"


# --- WORKDIR -------------------------------------------------------------------------------------------------------


@pytest.mark.rule("W-1")
def test_workdir_makes_what_is_missing_for_its_user(bench: Bench) -> None:
    bench.copy("d", "/w/")
    assert modes(bench.workdir("/w/n/o", "7:8")) == {"w/": "755 0:0", "w/n/": "755 7:8", "w/n/o/": "755 7:8"}
    assert bench.workdir("/w/n") == {}


@pytest.mark.rule("W-1")
def test_workdir_follows_links_and_refuses_files(bench: Bench) -> None:
    (bench.context / "links").mkdir()
    os.symlink("tgt", bench.context / "links/q")
    bench.copy("links", "/w")
    assert set(bench.workdir("/w/q/r")) == {"w", "w/tgt", "w/tgt/r"}
    bench.copy("x", "/file")
    for path in ("/file", "/file/below"):
        with pytest.raises(ContextError, match="not a directory"):
            bench.workdir(path)


@pytest.mark.parametrize(
    ("members", "word", "made"),
    [
        ((), "/", {"x": MADE_AT}),
        (("d/a",), "/", {"x": MADE_AT, "x/d": MADE_AT, "x/d/a": 7}),
        (("d/a",), "/d", {"x": MADE_AT, "x/a": 7}),
        (("d/a",), "/*", {"x": MADE_AT, "x/a": 7}),
        (("d/e/a",), "/d", {"x": MADE_AT, "x/e": MADE_AT, "x/e/a": 7}),
    ],
)
def test_directories_that_no_layer_names_have_the_time_of_the_build(
    bench: Bench, members: tuple[str, ...], word: str, made: dict[str, int]
) -> None:
    if members:
        bench.layer(*(Entry(name, "file", mtime=7) for name in members))
    bench.keep_stage(1)
    assert {path: entry.mtime for path, entry in bench.copy(word, "/x/", stage=1).items()} == made


def test_directories_that_a_layer_names_keep_their_time(bench: Bench) -> None:
    bench.layer(Entry("", "directory", mtime=5), Entry("d", "directory", mtime=6), Entry("d/a", "file", mtime=7))
    bench.keep_stage(1)
    found = {path: entry.mtime for path, entry in bench.copy("/", "/x/", stage=1).items()}
    assert found == {"x": 5, "x/d": 6, "x/d/a": 7}
