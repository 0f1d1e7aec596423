"""Deleting what RUN steps made: however deep, odd or unwilling, and never anything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.store.trash import discard, empty_trash, remove_tree


def test_a_discarded_tree_is_gone_from_its_place_at_once(tmp_path: Path) -> None:
    (tmp_path / "tree/a").mkdir(parents=True)
    discard(str(tmp_path / "tree"), str(tmp_path / "trash"))
    assert not (tmp_path / "tree").exists()
    assert len(os.listdir(tmp_path / "trash")) == 1


def test_discarding_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    discard(str(tmp_path / "nothing"), str(tmp_path / "trash"))
    assert os.listdir(tmp_path / "trash") == []


def test_emptying_a_trash_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert empty_trash(str(tmp_path / "trash")) == 0


def test_attack_symbolic_links_in_the_trash_are_not_followed(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (canary / "inside").mkdir(parents=True)
    (canary / "inside/file").write_text("alive")
    canary.chmod(0o755)
    trash = tmp_path / "trash"
    (trash / "tree").mkdir(parents=True)
    (trash / "link").symlink_to(canary)
    (trash / "tree/link").symlink_to(canary)
    (trash / "tree/file").symlink_to(canary / "inside/file")
    assert empty_trash(str(trash)) > 0
    assert os.listdir(trash) == []
    assert (canary / "inside/file").read_text() == "alive"
    assert canary.stat().st_mode & 0o777 == 0o755


def test_attack_a_tree_deeper_than_any_path_is_deleted(tmp_path: Path) -> None:
    trash = tmp_path / "trash"
    (trash / "deep").mkdir(parents=True)
    home = os.getcwd()
    os.chdir(trash / "deep")
    try:
        for _ in range(3000):
            os.mkdir("x" * 20)
            os.chdir("x" * 20)
        Path("file").touch()
    finally:
        os.chdir(home)
    empty_trash(str(trash))
    assert os.listdir(trash) == []


def test_a_tree_is_removed_in_its_place_and_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "tree/sub/deeper").mkdir(parents=True)
    (tmp_path / "tree/sub/deeper/file").touch()
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    assert remove_tree(str(tmp_path / "tree"))
    assert remove_tree(str(tmp_path / "link"))
    assert remove_tree(str(tmp_path / "nothing"))
    assert os.listdir(tmp_path) == ["kept"]


def test_every_kind_of_object_is_deleted(tmp_path: Path) -> None:
    trash = tmp_path / "trash"
    (trash / "tree/sub").mkdir(parents=True)
    os.mkfifo(trash / "tree/fifo")
    (trash / "tree/sub/closed").mkdir(mode=0)
    (trash / "file").touch()
    (trash / "tree/sub/hard").hardlink_to(trash / "file")
    if os.geteuid() == 0:
        os.mknod(trash / "tree/whiteout", 0o020000, 0)
    empty_trash(str(trash))
    assert os.listdir(trash) == []


def test_emptying_stops_when_told_to_and_goes_on_later(tmp_path: Path) -> None:
    trash = tmp_path / "trash"
    for number in range(10):
        (trash / f"{number}").mkdir(parents=True)
    empty_trash(str(trash), stop=lambda: len(os.listdir(trash)) <= 4)
    assert len(os.listdir(trash)) == 4
    empty_trash(str(trash))
    assert os.listdir(trash) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="root makes what an ordinary user can't delete")
def test_what_cannot_be_deleted_stays_and_the_rest_goes(tmp_path: Path) -> None:
    trash = tmp_path / "trash"
    (trash / "ours/sub").mkdir(parents=True)
    (trash / "theirs/sub").mkdir(parents=True)
    tmp_path.chmod(0o755)
    for path in (trash, trash / "ours", trash / "ours/sub"):
        os.chown(path, 12345, 12345)
    child = os.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.setgroups([])
        os.setresgid(12345, 12345, 12345)
        os.setresuid(12345, 12345, 12345)
        empty_trash("trash")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.listdir(trash) == ["theirs"]
