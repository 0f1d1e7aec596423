"""What is written to a place that is no file is written into it: /dev/null stays what it is, for root too."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.cli.program import Program

COMMANDS = {
    "iidfile": ("-q", "--iidfile", "{}", "."),
    "metadata": ("-q", "--metadata-file", "{}", "."),
    "type=oci": ("-q", "-o", "type=oci,dest={}", "."),
    "type=tar": ("-q", "-o", "type=tar,dest={}", "."),
    "save": ("save", "-o", "{}", "made"),
    "copy": ("copy", "made", "docker-archive:{}"),
    "export": ("export", "-o", "{}", "box"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("made")
    program = Program(folder / "store", folder, "")
    (folder / "a").write_text("a")
    program.build('FROM scratch\nCOPY a /a\nCMD ["/a"]\n', "-t", "made").succeeded()
    program("create", "--name", "box", "made").succeeded()
    return program


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_pipe_is_written_to_and_stays(made: Program, tmp_path: Path, words: tuple[str, ...]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    made(*(word.format(pipe) for word in words)).succeeded()
    reader.join()
    assert read[0]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_link_leads_to_what_is_written(made: Program, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    made(*(word.format(tmp_path / "link") for word in words)).succeeded()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() != b"old"


def test_a_copy_out_of_a_container_takes_the_place_of_files_alone(made: Program, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    made("cp", "box:/a", str(tmp_path / "pipe")).failed(1, "the destination must be a directory or a regular file")
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
