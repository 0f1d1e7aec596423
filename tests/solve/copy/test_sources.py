"""What the words of a COPY name, and what it says when they name nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import ContextError
from builder.plan.step import ContextSource, Paths
from builder.solve.copy.selection import read_inputs
from builder.solve.reason.facts import Facts, facts_from_bytes, facts_to_bytes
from builder.solve.reason.files import file_changes
from tests.solve.copying import Rig, copy_step


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.write(
        {"x": "x", "d/a": "A", "d/sub/b": "B", "p/1/k": "1", "p/2/k": "2", "[q]": "q", "a%20b+c": "p", "ü/ñ": "u"}
    )
    return rig


@pytest.mark.rule("C-9")
@pytest.mark.parametrize("word", ["/x", "../../x", "./x", "d/../x", "x/", "/../d/sub/../../x"])
def test_a_path_is_cleaned_against_the_root(rig: Rig, word: str) -> None:
    assert "t/x" in rig.copy(word, "/t/")


@pytest.mark.rule("C-9")
def test_attack_dots_do_not_lead_out_of_the_context(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(ContextError, match='"/secret": not found'):
        rig.copy("../secret", "/t/")


@pytest.mark.rule("C-10")
@pytest.mark.parametrize(
    ("word", "placed"),
    [
        ("*", {"t", "t/x", "t/a", "t/sub", "t/sub/b", "t/1", "t/1/k", "t/2", "t/2/k", "t/[q]", "t/a%20b+c", "t/ñ"}),
        ("d/*", {"t", "t/a", "t/b"}), ("p/*", {"t", "t/k"}), ("p/[12]/k", {"t", "t/k"}), ("[[]q]", {"t", "t/[q]"}),
        ("?", {"t", "t/x", "t/a", "t/sub", "t/sub/b", "t/1", "t/1/k", "t/2", "t/2/k", "t/ñ"}), ("**/k", {*()}),
    ],
)  # fmt: skip
def test_a_wildcard_matches_name_by_name_and_flattens_directories(rig: Rig, word: str, placed: set[str]) -> None:
    assert set(rig.copy(word, "/t/")) == placed


@pytest.mark.rule("C-10")
def test_later_matches_win(rig: Rig) -> None:
    rig.copy("p/*", "/t/")
    assert rig.read("t/k") == "2"
    rig.copy("p/2", "p/1", "/t/")
    assert rig.read("t/k") == "1"


@pytest.mark.rule("C-10")
def test_a_wildcard_without_a_match_copies_nothing_and_makes_nothing(rig: Rig) -> None:
    assert rig.copy("none*", "/t/") == {}
    with pytest.raises(ContextError, match='"/none": not found'):
        rig.copy("none/*", "/t/")
    with pytest.raises(ContextError, match="is not a pattern"):
        rig.copy("x[", "/t/")


@pytest.mark.rule("C-11")
@pytest.mark.parametrize(
    ("word", "path", "hint"),
    [
        ("d/b", "/d/b", ""), ("D/a", "/D/a", 'Did you mean "d/a"?'),
        ("d/subb/b", "/d/subb/b", 'Did you mean "d/sub/b"?'),
        ("hidden.log", "/hidden.log", "It exists, but is excluded by .dockerignore line 2: *.log"),
        ("gone/inner", "/gone/inner", "It exists, but is excluded by .dockerignore line 3: gone"),
    ],
)  # fmt: skip
def test_a_missing_source_says_what_may_have_been_meant(rig: Rig, word: str, path: str, hint: str) -> None:
    rig.write({"hidden.log": "", "gone/inner": ""})
    rig.ignore = "# none\n*.log\ngone\n"
    with pytest.raises(ContextError) as caught:
        rig.copy(word, "/t/")
    assert caught.value.message == f'"{path}": not found'
    assert hint in caught.value.hint


@pytest.mark.rule("C-12")
def test_links_are_followed_at_the_end_and_on_the_way_and_kept_inside(rig: Rig) -> None:
    os.symlink("x", rig.context / "xl")
    os.symlink("d", rig.context / "dl")
    os.symlink("a", rig.context / "d/inner")
    assert rig.copy("xl", "/t/")["t/xl"].kind == "file"
    assert rig.copy("x*", "/w/")["w/xl"].kind == "file"
    assert "t/a" in rig.copy("dl/a", "/t/")
    assert rig.copy("dl", "/u/")["u/inner"].link == "a"


@pytest.mark.rule("C-12")
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../etc/passwd", "nowhere"])
def test_attack_a_link_that_points_out_of_the_context_points_to_nothing(rig: Rig, target: str) -> None:
    os.symlink(target, rig.context / "escape")
    for word in ("escape", "esc*", "escape/x"):
        with pytest.raises(ContextError, match="not found"):
            rig.copy(word, "/t/")
    assert rig.copy(".", "/t/")["t/escape"].link == target


@pytest.mark.rule("C-12")
def test_attack_a_link_to_what_is_ignored_finds_nothing(rig: Rig) -> None:
    os.symlink("x", rig.context / "way")
    rig.ignore = "x"
    with pytest.raises(ContextError, match="not found"):
        rig.copy("way", "/t/")


@pytest.mark.rule("C-11", "C-12")
@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("d/l/x", '"d/l" is a symbolic link to \'nowhere\' that dangles: there is no "d/nowhere" inside the source.'),
        ("d/l", 'It is a symbolic link to \'nowhere\' that dangles: there is no "d/nowhere" inside the source.'),
        ("d/two/x", '"d/two" is a symbolic link to \'l\' that dangles: there is no "d/nowhere" inside the source.'),
        ("d/l/*", 'It is a symbolic link to \'nowhere\' that dangles: there is no "d/nowhere" inside the source.'),
        ("d/out/x", "\"d/out\" is a symbolic link to '/usr', which is not inside the source."),
        ("d/up", "It is a symbolic link to '../../../up', which is not inside the source."),
        ("to/x", "\"to\" is a symbolic link to 'kept'; \"kept\" exists, but is excluded by .dockerignore line 1: kept"),
        ("d/file/x", '"d/file" is a file, not a directory.'),
    ],
)  # fmt: skip
def test_a_source_behind_a_link_that_leads_nowhere_says_which(rig: Rig, word: str, hint: str) -> None:
    rig.write({"kept/x": ""})
    rig.ignore = "kept\n"
    links = {"d/l": "nowhere", "d/two": "l", "d/out": "/usr", "d/up": "../../../up", "d/file": "a", "to": "kept"}
    for name, target in links.items():
        os.symlink(target, rig.context / name)
    with pytest.raises(ContextError) as caught:
        rig.copy(word, "/t/")
    assert caught.value.hint == hint


@pytest.mark.rule("C-11", "C-20")
def test_a_link_that_parents_does_not_follow_is_named(rig: Rig) -> None:
    os.symlink("d", rig.context / "way")
    with pytest.raises(ContextError) as caught:
        rig.copy("way/a", "/t/", parents=True)
    assert caught.value.hint == '"way" is a symbolic link, which is not followed here: name "d/a".'


@pytest.mark.rule("C-16")
@pytest.mark.parametrize("word", ["a%20b+c", "ü/ñ"])
def test_names_are_literal(rig: Rig, word: str) -> None:
    assert f"t/{word.rpartition('/')[2]}" in rig.copy(word, "/t/")


@pytest.mark.rule("C-22")
def test_a_stage_is_copied_from_by_paths_from_its_root(rig: Rig) -> None:
    rig.copy("d", "/deep/t/")
    rig.keep_stage(3)
    assert "a" in rig.copy("deep/t/a", "/", stage=3)
    with pytest.raises(ContextError, match='"/t/a": not found'):
        rig.copy("t/a", "/", stage=3)


# --- the cache key -------------------------------------------------------------------------------------------------


@pytest.mark.rule("Q-3")
def test_times_and_owners_do_not_reach_the_key(rig: Rig) -> None:
    before = rig.inputs_of("d", "/t/")
    os.utime(rig.context / "d/a", (1, 1))
    os.utime(rig.context / "d", (1, 1))
    if os.geteuid() == 0:
        os.chown(rig.context / "d/a", 77, 77)
    assert rig.inputs_of("d", "/t/") == before


@pytest.mark.rule("Q-3")
@pytest.mark.parametrize("change", ["content", "mode", "name", "link", "new", "gone", "hard link", "directory mode"])
def test_whatever_reaches_the_layer_reaches_the_key(rig: Rig, change: str) -> None:
    os.symlink("a", rig.context / "d/l")
    before = rig.inputs_of("d", "/t/")
    folder = rig.context / "d"
    match change:
        case "content":
            (folder / "a").write_text("Z")
        case "mode":
            (folder / "a").chmod(0o600)
        case "name":
            (folder / "a").rename(folder / "z")
        case "link":
            (folder / "l").unlink()
            os.symlink("b", folder / "l")
        case "new":
            (folder / "new").touch()
        case "gone":
            (folder / "sub/b").unlink()
        case "hard link":
            (folder / "two").write_text("A")
            before = rig.inputs_of("d", "/t/")
            (folder / "two").unlink()
            os.link(folder / "a", folder / "two")
        case "directory mode":
            (folder / "sub").chmod(0o700)
    assert rig.inputs_of("d", "/t/") != before


def test_the_entries_of_a_large_selection_are_kept_to_say_what_changed(rig: Rig) -> None:
    rig.write({f"many/{n % 7}/{n % 3}/{n}": "" for n in range(2100)})
    before = facts_from_bytes(facts_to_bytes(Facts(seen=rig.seen_of("many", "/t/"))))
    (rig.context / "many/3/1/new").touch()
    (rig.context / "many/3/0/3").chmod(0o700)
    now = rig.seen_of("many", "/t/")
    found = list(file_changes(before.seen, now, lambda seen: seen.lines, lambda *_: "", lambda *_: ""))
    assert [each.words for each in found] == ["many/3/0/3: mode 0644 → 0700", "many/3/1/new added"]


def test_a_large_file_is_read_once_and_gives_the_same_key(rig: Rig) -> None:
    rig.write({"big/one": b"1" * (3 << 20), "big/two": b"2" * (2 << 20)})
    os.link(rig.context / "big/one", rig.context / "big/zwei")
    rig.copy("big", "/t/")  # compares both ways itself
    rig.copy("big/one", "big/two", "/t/same")
    assert rig.read("t/same") == "2" * (2 << 20)


def test_attack_a_file_that_changes_while_it_is_copied_is_noticed(rig: Rig) -> None:
    from builder.layer.content import FileContent
    from builder.plan.step import ContextSource, Paths
    from builder.solve.copy.layer import CopyLayer

    rig.write({"big": b"1" * (2 << 20)})
    step = copy_step((Paths(ContextSource(), ("big",)),), "/t")
    with rig.tree() as tree:
        items = CopyLayer(rig.selection(step, tree), rig.below(step)).items()
        _, content = next(items)
        assert isinstance(content, FileContent)
        (rig.context / "big").write_bytes(b"2" * (2 << 20))
        with pytest.raises(ContextError, match="changed while it was read"):
            next(items)


def test_names_that_mean_deletion_in_a_layer_are_refused(rig: Rig) -> None:
    rig.write({"d/.wh.x": "data"})
    with pytest.raises(Exception, match="deleted files"):
        rig.copy("d", "/t/")


@pytest.mark.parametrize("size", [3, 3 << 20])
def test_a_file_that_changes_between_the_key_and_the_copy_is_in_the_key_as_it_was_copied(rig: Rig, size: int) -> None:
    path = rig.context / "moving"
    path.write_bytes(b"a" * size)
    step = copy_step((Paths(ContextSource(), ("moving",)),), "/moving")
    with rig.tree() as tree:
        before = read_inputs(rig.selection(step, tree)).document
        path.write_bytes(b"b" * size)
        rig.execute(step, tree)  # compares with a second look itself
    assert rig.inputs != before
