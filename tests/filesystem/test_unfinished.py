"""Files appear whole or not at all, whoever is killed, sees nothing, or writes the same one at once."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.cli.display.results import write_file
from builder.filesystem.unfinished import replacing
from builder.transport.places.one_file import open_output_file
from tests.cli.test_places import needs_root
from tests.support.ordinary import CHECKOUT, as_user

NOBODY = 65534


def by_output(path: Path) -> None:
    with open_output_file(str(path)) as write:
        write(b"new")


def by_result(path: Path) -> None:
    write_file(str(path), b"new")


def by_block(path: Path) -> None:
    with replacing(str(path)) as file:
        file.write(b"new")


def python(code: str, *arguments: str, user: int = 0) -> subprocess.Popen[bytes]:
    command = [*as_user(user), sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


WRITE_AND_WAIT = """
import sys
from builder.filesystem.unfinished import replacing
with replacing(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print(flush=True)
    sys.stdin.read()
"""

WRITE_OFTEN = """
import sys
from builder.filesystem.unfinished import replacing
for number in range(300):
    with replacing(sys.argv[1], sync=False) as file:
        file.write(b"whole")
"""


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def fail() -> None:
        with replacing(str(target)) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_no_file_takes_the_place_of_what_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError), replacing(str(tmp_path / "pipe")):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("write", [by_block, by_output, by_result])
def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path, write: Callable[[Path], None]) -> None:
    target = tmp_path / "file"
    with python(WRITE_AND_WAIT, str(target)) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        write(target)
        assert len(os.listdir(tmp_path)) == 2, "its writer lives"
        writer.send_signal(signal.SIGKILL)
    write(target)
    assert os.listdir(tmp_path) == ["file"]
    assert target.read_bytes() == b"new"


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, original = str(tmp_path / "file"), fcntl.flock
    left = tmp_path / ".pybuild-0123456789abcdef.part"

    def sweep_first(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_SH:
            monkeypatch.setattr("builder.filesystem.unfinished.fcntl.flock", original)
            by_block(tmp_path / "file")
            assert os.fstat(descriptor).st_nlink == 0, "it was taken for one that nobody writes"
        original(descriptor, operation)

    left.touch()
    monkeypatch.setattr("builder.filesystem.unfinished.fcntl.flock", sweep_first)
    with replacing(target) as file:
        file.write(b"last")
    assert Path(target).read_bytes() == b"last"
    assert os.listdir(tmp_path) == ["file"]


def test_many_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    writers = [python(WRITE_OFTEN, str(tmp_path / "file")) for _ in range(4)]
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="root sees everything, and only root becomes another user")
def test_who_may_not_see_what_is_in_a_directory_may_write_to_it() -> None:
    with tempfile.TemporaryDirectory() as box:
        os.chmod(box, 0o733)
        with python(WRITE_OFTEN, f"{box}/file", user=NOBODY) as writer:
            writer.communicate()
        assert writer.returncode == 0
        assert os.listdir(box) == ["file"]


@needs_root
def test_a_device_is_written_to_or_refused_and_never_replaced(tmp_path: Path) -> None:
    """Root may replace even /dev/null."""
    device = tmp_path / "null"
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    by_output(device)
    by_result(device)
    with pytest.raises(OSError, match="Something that is no file"):
        by_block(device)
    assert device.is_char_device()
    assert os.listdir(tmp_path) == ["null"]
