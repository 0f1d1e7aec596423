"""ADD of archives: what docker 28.5 (BuildKit) unpacks, and what it copies."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from builder.errors import PybuildError
from tests.solve.copying import Rig, modes


def tar_of(*members: tuple[str, ...]) -> bytes:
    """A tar of (name, kind letter, content or link); owner 11:12, mode 0640, directories 0750."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, *rest in members:
            member = tarfile.TarInfo(name)
            member.uid, member.gid, member.mode, member.mtime = 11, 12, 0o750 if kind == "d" else 0o640, 1000
            member.type = {"d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}.get(kind, tarfile.REGTYPE)
            data = rest[0].encode() if kind == "f" else b""
            member.size = len(data)
            member.linkname = rest[0] if kind in "lh" else ""
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    try:
        from compression import zstd as module  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from backports import zstd as module
    return bytes(module.compress(data))


PLAIN = tar_of(
    ("a", "d"), ("a/f", "f", "F"), ("a/l", "l", "f"), ("a/h", "h", "a/f"), ("imp/lied/z", "f", "Z"), 
    ("./dot", "f", "D"), ("/abs", "f", "A"),
)  # fmt: skip
UNPACKED = {
    "t/": "755 0:0", "t/a/": "750 11:12", "t/a/f": "640 11:12", "t/a/h = t/a/f": "640 11:12",
    "t/a/l -> f": "777 11:12", "t/abs": "640 11:12", "t/dot": "640 11:12", "t/imp/": "755 0:0",
    "t/imp/lied/": "755 0:0", "t/imp/lied/z": "640 11:12",
}  # fmt: skip


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.write({"x": "x", "d/a": "A", "a.tar": PLAIN, "n.tar": tar_of(("n", "f", "N"))})
    return rig


@pytest.mark.rule("C-25")
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd], ids=lambda f: f.__name__)
def test_an_archive_is_known_by_its_content_in_every_compression(rig: Rig, pack: object) -> None:
    rig.write({"no-name": pack(PLAIN)})  # type: ignore[operator]
    assert modes(rig.add("no-name", "/t/")) == UNPACKED
    assert rig.read("t/imp/lied/z") == "Z"
    assert rig.inputs[0]["entries"] == 1


@pytest.mark.rule("C-25")
@pytest.mark.parametrize(
    "data",
    [b"no tar", b"", bytes(1024), bytes(10240), gzip.compress(b"hello" * 1000), b"\x1f\x8b\x08broken", PLAIN[:300]],
    ids=["text", "empty", "zeros", "an empty tar", "compressed text", "broken gzip", "half a header"],
)
def test_what_is_no_archive_is_copied(rig: Rig, data: bytes) -> None:
    rig.write({"a.tar.gz": data})
    layer = rig.add("a.tar.gz", "/t/")
    assert layer["t/a.tar.gz"].size == len(data)


@pytest.mark.rule("C-26")
def test_unpack_false_and_copy_take_the_archive_itself(rig: Rig) -> None:
    assert "t/n.tar" in rig.add("n.tar", "/t/", unpack=False)
    assert "u/n.tar" in rig.copy("n.tar", "/u/")


@pytest.mark.rule("C-25")
def test_the_destination_of_an_archive_is_a_directory(rig: Rig) -> None:
    assert "new/n" in rig.add("n.tar", "/new")
    rig.copy("x", "/file")
    with pytest.raises(PybuildError, match="non-directory"):
        rig.add("n.tar", "/file")


@pytest.mark.rule("C-25")
def test_chown_is_for_members_and_destination_and_chmod_for_nothing(rig: Rig) -> None:
    layer = modes(rig.add("a.tar", "/t/u/", chown="3:4", chmod="0700", exclude=("a",)))
    assert (layer["t/"], layer["t/u/"], layer["t/u/a/"], layer["t/u/a/f"]) == (
        "755 3:4",
        "755 3:4",
        "750 3:4",
        "640 3:4",
    )
    assert (layer["t/u/imp/"], layer["t/u/imp/lied/z"]) == ("755 0:0", "640 3:4")


@pytest.mark.rule("C-25")
def test_directories_that_are_only_mentioned_stay_as_they_are(rig: Rig) -> None:
    rig.copy("d", "/t/imp/", chown="9:9", chmod="0711")
    layer = modes(rig.add("a.tar", "/t/"))
    assert (layer["t/"], layer["t/imp/"], layer["t/imp/lied/"]) == ("711 9:9", "711 9:9", "755 0:0")


@pytest.mark.rule("C-25")
def test_members_replace_whatever_is_there(rig: Rig) -> None:
    rig.copy("d", "/n/")
    rig.copy("x", "/a")
    rig.add("n.tar", "a.tar", "/")
    assert rig.read("n") == "N"
    assert rig.read("a/f") == "F"
    assert rig.view.find("n/a") is None


@pytest.mark.rule("C-25")
def test_links_below_the_destination_are_walked_with_the_destination_as_root(rig: Rig) -> None:
    os.symlink("/abs/dir", rig.context / "d/lnk")
    rig.write({"l.tar": tar_of(("lnk/in", "f", "IN"), ("a", "f", "new"), ("zz/f", "f", "Z"))})
    rig.copy("d", "/t/")
    layer = rig.add("l.tar", "/t/")
    assert list(layer) == ["t", "t/a", "t/abs", "t/abs/dir", "t/abs/dir/in", "t/zz", "t/zz/f"]
    assert rig.view.find("t/lnk") is not None


@pytest.mark.rule("C-25")
def test_wildcards_may_match_several_archives_and_sources_may_mix(rig: Rig) -> None:
    assert {"t/n", "t/a/f", "t/x"} <= set(rig.add("*.tar", "x", "/t/"))
    rig.write({"x.tar": tar_of(("x", "f", "from the archive"))})
    rig.add("x.tar", "x", "/u/")
    assert rig.read("u/x") == "x"
    rig.add("x", "x.tar", "/v/")
    assert rig.read("v/x") == "from the archive"


def test_attack_names_that_lead_out_of_the_destination_are_refused(rig: Rig) -> None:
    rig.write({"evil.tar": tar_of(("../../esc", "f", "E"))})
    with pytest.raises(PybuildError, match="outside"):
        rig.add("evil.tar", "/t/")


def test_attack_a_link_of_the_archive_leads_nowhere_out_of_the_destination(rig: Rig) -> None:
    rig.write({"evil.tar": tar_of(("s", "l", "/etc"), ("s/passwd", "f", "P"))})
    layer = rig.add("evil.tar", "/t/")
    assert {"t/s", "t/etc/passwd"} <= set(layer)
    assert "etc/passwd" not in layer


def test_attack_whiteouts_in_an_archive_delete_nothing(rig: Rig) -> None:
    rig.copy("d", "/t/")
    rig.write({"wh.tar": tar_of((".wh.a", "f", ""))})
    with pytest.raises(PybuildError, match="deleted files"):
        rig.add("wh.tar", "/t/")


@pytest.mark.rule("Z-28")
@pytest.mark.parametrize("link", ["../../../../tmp", "/tmp", "a/../../../tmp", "./../tmp"])
def test_a_link_that_climbs_out_leads_on_from_the_destination(rig: Rig, link: str) -> None:
    rig.write({"climb.tar": tar_of(("a", "d"), ("up", "l", link), ("up/f", "f", "F"))})
    layer = modes(rig.add("climb.tar", "/t/u/"))
    assert layer["t/u/tmp/f"] == "640 11:12"
    assert f"t/u/up -> {link}" in layer
    assert not any(path.startswith(("tmp", "t/tmp")) for path in layer)


@pytest.mark.rule("Z-28")
@pytest.mark.parametrize("target", ["../../etc/passwd", "a/../../f", "/../f"])
def test_a_hard_link_that_climbs_out_is_refused(rig: Rig, target: str) -> None:
    rig.write({"climb.tar": tar_of(("f", "f", "F"), ("h", "h", target))})
    with pytest.raises(PybuildError, match="leads outside its root"):
        rig.add("climb.tar", "/t/u/")


@pytest.mark.rule("Z-31")
@pytest.mark.parametrize("words", [{}, {"link": True}, {"link": True, "chown": "7:8"}, {"link": True, "chmod": "0600"}])
def test_names_of_one_file_are_as_many_with_link_as_without(rig: Rig, words: dict[str, Any]) -> None:
    for name in ("b", "c"):
        os.link(rig.context / "d/a", rig.context / "d" / name)
    layer = rig.copy("d", "/t/", **words)
    assert [(path, layer[path].kind, layer[path].link) for path in ("t/a", "t/b", "t/c")] == [
        ("t/a", "file", ""), ("t/b", "hardlink", "t/a"), ("t/c", "hardlink", "t/a"),
    ]  # fmt: skip
