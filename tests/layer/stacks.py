"""Hypothesis strategies for layers: few names, so that they meet in every way."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.layer.archives import Member

NAMES = st.sampled_from(["a", "b", "c", "ln"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
_TARGETS = st.sampled_from(["a", "b", "../a", "/b", "a/b", "/", ".", "nowhere", "../../.."])
_MODES = st.sampled_from([0o755, 0o700, 0o1777, 0o2755, 0o644, 0o4755])
_TIMES = st.integers(min_value=1, max_value=4_000_000_000)


@st.composite
def members(draw: st.DrawFn) -> Member:
    """One member of any kind, whiteouts and opaque markers included."""
    kind = draw(
        st.sampled_from(
            ["file", "file", "directory", "directory", "symlink", "whiteout", "whiteout", "opaque", "fifo", "hardlink"]
        )
    )
    path = draw(PATHS)
    parent, slash, name = path.rpartition("/")
    mtime, mode = draw(_TIMES), draw(_MODES)
    if kind == "whiteout":
        return Member(f"{parent}{slash}.wh.{name}", mtime=mtime)
    if kind == "opaque":
        return Member(draw(st.sampled_from([f"{path}/.wh..wh..opq", ".wh..wh..opq"])), mtime=mtime)
    owner = draw(st.sampled_from([(0, 0), (1000, 100)]))
    xattrs = draw(st.sampled_from([(), (), (("user.note", b"x\0\xff"),)])) if kind in ("file", "directory") else ()
    return Member(
        path,
        kind,
        content=draw(st.binary(max_size=20)) if kind == "file" else b"",
        link=draw(_TARGETS) if kind == "symlink" else draw(PATHS) if kind == "hardlink" else "",
        mode=mode,
        uid=owner[0],
        gid=owner[1],
        mtime=mtime,
        xattrs=xattrs,
    )


def _mostly_sound(found: list[Member]) -> list[Member]:
    """Leave out what would only make the layer be refused: entries below a file, links to nothing."""
    kinds: dict[str, str] = {}
    sound = []
    for member in found:
        above = [member.name[:at] for at, byte in enumerate(member.name) if byte == "/"]
        if any(kinds.get(path, "directory") not in ("directory", "symlink") for path in above):
            continue
        if member.kind not in ("directory",) and any(path.startswith(member.name + "/") for path in kinds):
            continue
        if ".wh." not in member.name:
            kinds[member.name] = member.kind
        sound.append(member)
    return sound


layers = st.lists(members(), min_size=1, max_size=8).map(_mostly_sound)
stacks = st.lists(layers, min_size=1, max_size=4)
