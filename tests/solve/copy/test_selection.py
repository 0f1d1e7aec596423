"""COPY: what goes where, with which owner and mode. The expected trees are those that docker 28.5 (BuildKit) makes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from builder.errors import ContextError, LayerError, PybuildError
from builder.filesystem.entry import Entry
from builder.plan.step import InlineSource
from tests.solve.copying import MADE_AT, Rig, modes


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.write({"x": "x", "d/a": "A", "d/sub/b": "B", "e/sub/c": "C"})
    os.chmod(rig.context / "d", 0o711)
    os.chmod(rig.context / "d/sub", 0o700)
    os.chmod(rig.context / "e/sub", 0o771)
    return rig


# --- destination ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("C-3")
@pytest.mark.parametrize(("destination", "placed"), [("/t", "t"), ("/t/", "t/x"), ("/t/.", "t/x"), ("/", "x")])
def test_a_file_goes_to_the_name_or_into_the_directory(rig: Rig, destination: str, placed: str) -> None:
    assert placed in rig.copy("x", destination)


@pytest.mark.rule("C-3")
def test_a_file_goes_into_a_directory_that_is_there(rig: Rig) -> None:
    rig.copy("d", "/t")
    assert modes(rig.copy("x", "/t")) == {"t/": "755 0:0", "t/x": "644 0:0"}


@pytest.mark.rule("C-3")
def test_a_file_overwrites_a_file(rig: Rig) -> None:
    rig.copy("x", "/t")
    rig.copy("d/a", "/t")
    assert rig.read("t") == "A"


@pytest.mark.rule("C-4")
def test_a_directory_gives_its_contents_and_not_its_name(rig: Rig) -> None:
    assert modes(rig.copy("d", "/t")) == {
        "t/": "755 0:0", "t/a": "644 0:0", "t/sub/": "700 0:0", "t/sub/b": "644 0:0",
    }  # fmt: skip


@pytest.mark.rule("C-5")
def test_several_sources_without_a_slash_overwrite_each_other(rig: Rig) -> None:
    assert list(rig.copy("x", "d/a", "/t")) == ["t"]
    assert rig.read("t") == "A"


@pytest.mark.rule("C-5")
def test_a_directory_that_the_first_source_makes_takes_the_second(rig: Rig) -> None:
    assert "t/x" in rig.copy("d", "x", "/t")


@pytest.mark.rule("C-6")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, "755 0:0"), ({"chown": "3:4"}, "755 3:4"), ({"chmod": "0711"}, "711 0:0"), ({"chmod": "go-x"}, "755 0:0")],
)
def test_missing_parents_are_made(rig: Rig, fields: dict[str, str], expected: str) -> None:
    layer = modes(rig.copy("x", "/p/q/x", **fields))
    assert layer["p/"] == layer["p/q/"] == expected


@pytest.mark.rule("C-6")
def test_existing_parents_are_in_the_layer_as_they_are(rig: Rig) -> None:
    rig.copy("d", "/t/", chown="5:6", chmod="0751")
    assert modes(rig.copy("x", "/t/sub/", chown="1:2")) == {
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
    rig: Rig, link: str, destination: str, placed: str
) -> None:
    (rig.context / "links").mkdir()
    os.symlink(link, rig.context / "links/l")
    rig.copy("links", "/t/")
    assert placed in rig.copy("x", destination)


@pytest.mark.rule("C-7")
def test_attack_links_that_go_in_circles_end_in_an_error(rig: Rig) -> None:
    (rig.context / "links").mkdir()
    os.symlink("two", rig.context / "links/one")
    os.symlink("one", rig.context / "links/two")
    rig.copy("links", "/t/")
    with pytest.raises(LayerError, match="circles"):
        rig.copy("x", "/t/one/z")


@pytest.mark.rule("C-8")
def test_a_directory_does_not_replace_a_file(rig: Rig) -> None:
    rig.copy("x", "/t/sub")
    with pytest.raises(ContextError, match="cannot copy to non-directory: /t/sub"):
        rig.copy("d", "/t/")
    with pytest.raises(ContextError, match="cannot copy to non-directory"):
        rig.copy("d", "/t/sub")
    with pytest.raises(ContextError, match="not a directory"):
        rig.copy("x", "/t/sub/x")


@pytest.mark.rule("C-8")
def test_a_file_does_not_replace_a_directory(rig: Rig) -> None:
    rig.copy("d", "/t/x/")
    with pytest.raises(ContextError, match="cannot replace to directory /t/x with file"):
        rig.copy("x", "/t/")


@pytest.mark.rule("C-8")
def test_sources_clash_with_each_other_too(rig: Rig) -> None:
    rig.write({"f/sub": "a file"})
    with pytest.raises(ContextError, match="cannot replace"):
        rig.copy("d", "f", "/t/")
    with pytest.raises(ContextError, match="cannot copy to non-directory"):
        rig.copy("f", "d", "/t/")


# --- what is copied ------------------------------------------------------------------------------------------------


@pytest.mark.rule("C-13")
def test_hard_links_stay_links_and_sockets_become_files(rig: Rig) -> None:
    os.link(rig.context / "d/a", rig.context / "d/hard")
    os.mkfifo(rig.context / "d/pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(rig.context / "d/sock"))
    layer = rig.copy("d", "/t/")
    assert layer["t/hard"].kind == "hardlink"
    assert layer["t/hard"].link == "t/a"
    assert layer["t/pipe"].kind == "fifo"
    assert (layer["t/sock"].kind, layer["t/sock"].size) == ("file", 0)
    assert rig.read("t/hard") == "A"


@pytest.mark.rule("C-13")
def test_hard_links_of_a_stage_stay_links(rig: Rig) -> None:
    os.link(rig.context / "d/a", rig.context / "d/hard")
    rig.copy("d", "/t/")
    rig.keep_stage(1)
    layer = rig.copy("t", "/u/", stage=1)
    assert (layer["u/hard"].kind, layer["u/hard"].link) == ("hardlink", "u/a")
    # One name alone is no link any more.
    assert rig.copy("t", "/v/", stage=1, exclude=("a",))["v/hard"].kind == "file"
    assert rig.read("v/hard") == "A"


@pytest.mark.rule("C-14")
def test_owners_on_the_host_do_not_matter_and_modes_and_times_do(rig: Rig) -> None:
    if os.geteuid() == 0:
        os.chown(rig.context / "x", 1234, 1234)
    os.chmod(rig.context / "x", 0o4750)
    entry = rig.copy("x", "/t/")["t/x"]
    assert (entry.uid, entry.gid, entry.mode, entry.mtime) == (0, 0, 0o4750, os.stat(rig.context / "x").st_mtime)


@pytest.mark.rule("C-14")
def test_what_comes_from_a_stage_keeps_its_owner(rig: Rig) -> None:
    rig.copy("d", "/t/", chown="7:8", chmod="0640")
    rig.keep_stage(1)
    assert modes(rig.copy("/t/a", "/", stage=1)) == {"a": "640 7:8"}


@pytest.mark.rule("C-15")
def test_the_destination_keeps_its_mode_and_nested_directories_take_the_sources(rig: Rig) -> None:
    rig.copy("d", "/t/")
    assert modes(rig.copy("e", "/t/")) == {"t/": "755 0:0", "t/sub/": "771 0:0", "t/sub/c": "644 0:0"}
    assert rig.read("t/sub/b") == "B"


@pytest.mark.rule("C-15")
def test_the_destination_takes_the_time_of_its_source(rig: Rig) -> None:
    os.utime(rig.context / "d", (5000, 5000))
    layer = rig.copy("d", "/p/t/")
    assert (layer["p"].mtime, layer["p/t"].mtime) == (MADE_AT, 5000)


@pytest.mark.rule("C-19")
def test_a_linked_layer_knows_nothing_of_what_is_below(rig: Rig) -> None:
    rig.copy("d", "/t/", chown="5:6", chmod="0700")
    assert modes(rig.copy("x", "/t/x", link=True)) == {"t/": "755 0:0", "t/x": "644 0:0"}


@pytest.mark.rule("C-20")
def test_parents_are_kept_below_the_pivot(rig: Rig) -> None:
    layer = rig.copy("d/sub/b", "./e/./sub/c", "/t/", parents=True)
    assert modes(layer) == {
        "t/": "755 0:0", "t/d/": "711 0:0", "t/d/sub/": "700 0:0", "t/d/sub/b": "644 0:0",
        "t/sub/": "771 0:0", "t/sub/c": "644 0:0",
    }  # fmt: skip


@pytest.mark.rule("C-20")
def test_parents_take_two_stars_and_whole_directories(rig: Rig) -> None:
    assert "t/d/sub/b" in rig.copy("**/b", "/t/", parents=True)
    assert {"t/d/a", "t/d/sub/b"} <= set(rig.copy("d", "/t/", parents=True))
    assert list(rig.copy("none*", "/new/", parents=True)) == ["new"]
    with pytest.raises(ContextError, match='"/none": not found'):
        rig.copy("none", "/t/", parents=True)


@pytest.mark.rule("C-21")
@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        (("sub",), {"t", "t/a"}), (("*",), {"t"}), (("sub", "!sub/b"), {"t", "t/a", "t/sub", "t/sub/b"}),
        (("d/sub",), {"t", "t/a", "t/sub", "t/sub/b"}), (("**/b",), {"t", "t/a", "t/sub"}),
    ],
)  # fmt: skip
def test_exclude_is_relative_to_what_is_copied(rig: Rig, exclude: tuple[str, ...], expected: set[str]) -> None:
    assert set(rig.copy("d", "/t/", exclude=exclude)) == expected


@pytest.mark.rule("C-21")
def test_exclude_does_not_hide_a_file_that_is_named(rig: Rig) -> None:
    assert "t/x" in rig.copy("x", "/t/", exclude=("x",))


# --- owners --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("C-17")
@pytest.mark.parametrize(
    ("spec", "owner"),
    [("7", (7, 7)), ("7:9", (7, 9)), ("bob", (7, 8)), ("bob:grp", (7, 99)), ("zed", (0, 0)), ("zed:grp", (0, 99)),
     ("bob:zed", (7, 8)), (":grp", (0, 99)), ("root", (0, 0)), ("bob:", (7, 0))],
)  # fmt: skip
def test_chown_reads_the_accounts_of_the_target(rig: Rig, spec: str, owner: tuple[int, int]) -> None:
    rig.write({"etc/passwd": "root:x:0:0::/:/bin/sh\nbob:x:7:8::/:/bin/sh\n", "etc/group": "grp:x:99:\n"})
    rig.copy("etc", "/etc/")
    entry = rig.copy("x", "/n/", chown=spec)["n/x"]
    assert (entry.uid, entry.gid) == owner


@pytest.mark.rule("C-17")
def test_attack_a_number_beyond_32_bits_does_not_become_root(rig: Rig) -> None:
    with pytest.raises(PybuildError, match="out of range"):
        rig.copy("x", "/n/", chown="4294967296")


@pytest.mark.rule("C-17")
def test_attack_a_huge_passwd_is_not_read(rig: Rig) -> None:
    rig.write({"etc/passwd": "x" * (2 << 20)})
    rig.copy("etc", "/etc/")
    with pytest.raises(PybuildError, match="at most"):
        rig.copy("x", "/n/", chown="bob")


# --- heredocs ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("H-8")
def test_a_heredoc_is_a_file_of_its_name(rig: Rig) -> None:
    assert modes(rig.put((InlineSource("a", "A\n"), InlineSource("b", "B\n")), "/t/")) == {
        "t/": "755 0:0", "t/a": "644 0:0", "t/b": "644 0:0",
    }  # fmt: skip
    assert rig.read("t/b") == "B\n"
    layer = rig.put((InlineSource("a", "A\n"),), "/t/f", chmod="u+x,go=", chown="1:2")
    assert modes(layer)["t/f"] == "700 1:2"


# --- WORKDIR -------------------------------------------------------------------------------------------------------


@pytest.mark.rule("W-1")
def test_workdir_makes_what_is_missing_for_its_user(rig: Rig) -> None:
    rig.copy("d", "/w/")
    assert modes(rig.workdir("/w/n/o", "7:8")) == {"w/": "755 0:0", "w/n/": "755 7:8", "w/n/o/": "755 7:8"}
    assert rig.workdir("/w/n") == {}


@pytest.mark.rule("W-1")
def test_workdir_follows_links_and_refuses_files(rig: Rig) -> None:
    (rig.context / "links").mkdir()
    os.symlink("tgt", rig.context / "links/q")
    rig.copy("links", "/w")
    assert set(rig.workdir("/w/q/r")) == {"w", "w/tgt", "w/tgt/r"}
    rig.copy("x", "/file")
    for path in ("/file", "/file/below"):
        with pytest.raises(ContextError, match="not a directory"):
            rig.workdir(path)


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
    rig: Rig, members: tuple[str, ...], word: str, made: dict[str, int]
) -> None:
    if members:
        rig.layer(*(Entry(name, "file", mtime=7) for name in members))
    rig.keep_stage(1)
    assert {path: entry.mtime for path, entry in rig.copy(word, "/x/", stage=1).items()} == made


def test_directories_that_a_layer_names_keep_their_time(rig: Rig) -> None:
    rig.layer(Entry("", "directory", mtime=5), Entry("d", "directory", mtime=6), Entry("d/a", "file", mtime=7))
    rig.keep_stage(1)
    found = {path: entry.mtime for path, entry in rig.copy("/", "/x/", stage=1).items()}
    assert found == {"x": 5, "x/d": 6, "x/d/a": 7}
