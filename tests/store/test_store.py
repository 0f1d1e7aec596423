"""Opening a store, leases, sweeping, and the places where one cannot be had."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.oci.descriptor import Descriptor
from builder.store.store import open_store

_NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small or read-only file system needs root")


def test_a_new_store_is_a_valid_image_layout_that_only_its_owner_can_enter(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "a" / "store")) as store:
        assert Path(store.root, "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
        assert b'"manifests":[]' in Path(store.root, "index.json").read_bytes()
        assert stat.S_IMODE(os.stat(store.root).st_mode) == 0o700


def test_opening_again_and_looking_around_writes_nothing(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    open_store(root).close()
    before = {path: os.stat(path).st_mtime_ns for path in Path(root).rglob("*")} | {root: os.stat(root).st_mtime_ns}
    with open_store(root) as store:
        assert store.names.items() == []
        assert store.records.walk() == []
        assert store.documents.find("sha256:" + "0" * 64) is None  # type: ignore[arg-type]
    assert before == {path: os.stat(path).st_mtime_ns for path in before}


def test_a_store_is_not_made_where_none_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        open_store(str(tmp_path / "none"), create=False)
    assert not (tmp_path / "none").exists()


def test_a_directory_with_other_things_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match=r"not empty: it holds 'thesis\.txt'"):
        open_store(str(tmp_path))


def test_a_layout_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}')
    with pytest.raises(StoreError, match="other than 1"):
        open_store(str(tmp_path))


def test_a_layout_somebody_else_made_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text('{ "imageLayoutVersion": "1.0.0" }')
    (tmp_path / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    with open_store(str(tmp_path)) as store:
        assert store.blobs.read(store.blobs.put(b"x"), 9) == b"x"


def test_a_file_in_the_place_of_the_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        open_store(str(tmp_path / "file"))


def test_pruning_waits_for_leases_and_gives_up(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    with open_store(root) as one, open_store(root) as other:
        with one.lease(), other.lease(), pytest.raises(StoreError, match="in use by a build"), one.exclusive():
            pass
        with one.exclusive():
            pass
        lease = one.lease()
        lease.__enter__()
        threading.Timer(0.2, lambda: lease.__exit__(None, None, None)).start()
        started = time.monotonic()
        with other.exclusive(wait_seconds=10):
            assert time.monotonic() - started > 0.1


_LEFTOVER = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from builder.store.store import open_store
store = open_store(sys.argv[1])
blob = store.blobs.ingest()
blob.write(b"x" * 100)
print(store.temporary.path("marker"), flush=True)
os.kill(os.getpid(), signal.SIGKILL) if sys.argv[3] == "die" else sys.stdin.read()
"""


def _start(root: str, fate: str) -> subprocess.Popen[str]:
    here = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", _LEFTOVER, root, here, fate], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    open_store(root).close()
    living = _start(root, "live")
    assert living.stdout is not None
    assert living.stdin is not None
    own = os.path.dirname(living.stdout.readline().strip())
    dying = _start(root, "die")  # after the other has opened the store, which would sweep this one's leftovers
    assert dying.stdout is not None
    left = os.path.dirname(dying.stdout.readline().strip())
    dying.wait(30)
    try:
        assert os.listdir(left) == ["0-blob"]
        open_store(root).close()
        assert not os.path.exists(left)
        assert os.listdir(own) == ["0-blob"]
    finally:
        living.stdin.close()
        living.wait(30)
        living.stdout.close()
        dying.stdout.close()
        assert dying.stdin is not None
        dying.stdin.close()


def test_a_forked_child_gets_a_directory_of_its_own(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store")) as store:
        own = store.temporary.path("a")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, store.temporary.path("a").encode())
            os._exit(0)
        os.close(writing)
        theirs = os.read(reading, 4096).decode()
        os.close(reading)
        assert os.waitpid(child, 0)[1] == 0
        assert os.path.dirname(theirs) != os.path.dirname(own)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")


@_NEEDS_ROOT
def test_a_disk_that_is_really_full_loses_nothing_and_says_so(tmp_path: Path) -> None:
    _mount("-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path))
    try:
        with open_store(str(tmp_path / "store")) as store:
            kept = store.blobs.put(b"kept" * 1000)
            with pytest.raises(StoreError, match="no space left on device") as caught:
                store.blobs.put(os.urandom(8 << 20))
            assert "prune" in caught.value.hint
            assert store.blobs.read(kept, 4000) == b"kept" * 1000
            assert len(list(store.blobs.walk())) == 1
            assert store.blobs.put(b"room again") is not None
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@_NEEDS_ROOT
def test_a_read_only_store_can_be_read_and_says_what_cannot_be_written(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    with open_store(root) as store:
        digest = store.blobs.put(b"x")
        store.documents.put(digest, b"{}")
    _mount("--bind", root, root)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", root], check=True)
        with open_store(root) as store:
            assert store.blobs.read(digest, 9) == b"x"
            assert store.documents.find(digest) == b"{}"
            with store.lease():
                pass
            store.documents.put(digest, b"[]")  # a cache: what can't be kept is not an error
            assert store.documents.find(digest) == b"{}"
            for write in (lambda: store.blobs.put(b"y"), lambda: store.names.add(Descriptor("x", digest, 1))):
                with pytest.raises(StoreError, match=r"read-?only") as caught:
                    write()
                assert "--root" in caught.value.hint
        with pytest.raises(StoreError, match="read-only"):
            open_store(f"{root}/blobs/new")
    finally:
        subprocess.run(["umount", root], check=True)
    shutil.rmtree(root)


def test_opening_and_looking_up_needs_no_heavy_imports(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from builder.store.store import open_store\n"
        "import builder.transport.resolver, builder.image.assemble\n"
        "store = open_store(sys.argv[2]); store.names.items(); store.records.walk(); store.stat_cache; store.close()\n"
        "heavy = {'urllib3', 'tarfile', 'lark', 'rich', 'pathspec', 'logging', 'subprocess', 'concurrent.futures',"
        " 'importlib.metadata', 'http.client', 'ssl', 'csv', 'shutil', 'urllib.parse'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    here = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, here, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", ["a b", "q?x=1&y", "100%41", "#hash", "ünï"])
def test_a_store_may_live_in_a_directory_of_any_name(tmp_path: Path, name: str) -> None:
    with open_store(str(tmp_path / name)) as store:
        digest = store.blobs.put(b"x")
        store.documents.put(digest, b"{}")
    with open_store(str(tmp_path / name), create=False) as store:
        assert store.documents.find(digest) == b"{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@_NEEDS_ROOT
def test_what_is_mounted_below_a_leftover_is_never_deleted(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    open_store(root).close()
    precious, left = tmp_path / "precious", Path(root, "tmp/dead/a b")
    precious.mkdir()
    left.mkdir(parents=True)
    (precious / "thesis.txt").write_text("years of work")
    _mount("--bind", str(precious), str(left))
    try:
        open_store(root).close()
        assert (precious / "thesis.txt").read_text() == "years of work"
    finally:
        subprocess.run(["umount", str(left)], check=True)
    open_store(root).close()
    assert os.listdir(f"{root}/tmp") == []


def test_a_store_whose_making_was_killed_is_made_to_its_end(tmp_path: Path) -> None:
    root = tmp_path / "store"
    (root / "blobs/sha256").mkdir(parents=True)
    (root / ".new-0123").write_text("{")
    with open_store(str(root)) as store:
        assert store.names.items() == []
