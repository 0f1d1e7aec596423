"""The house keeps its shape: who may import whom, and what may be touched where."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BUILDER = Path(__file__).parent.parent / "builder"

# Room → rooms it may import. Ground floor first; a room may always import itself and `errors`.
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "oci": set(),
    "linux": set(),
    "suggest": set(),
    "address": set(),
    "web": {"address"},
    "filesystem": {"linux", "oci"},
    "dockerfile": {"address", "oci", "suggest"},
    "plan": {"address", "dockerfile", "oci", "suggest"},
    "registry": {"address", "oci", "web"},
    "store": {"filesystem", "oci"},
    "sandbox": {"filesystem", "linux"},
    "layer": {"filesystem", "oci"},
    "context": {"address", "filesystem", "layer", "oci", "store", "plan", "suggest", "web"},
    "snapshot": {"layer", "store", "linux", "filesystem", "sandbox", "oci"},
    "image": {"layer", "store", "oci", "plan", "filesystem"},
    "transport": {"image", "layer", "store", "registry", "plan", "filesystem", "oci", "suggest"},
}
ROOMS["known_isolation"] = {"oci", "store"}
ROOMS["solve"] = set(ROOMS) - {"registry"} | {"request"}
ROOMS["request"] = {"plan", "oci"}
ROOMS["result"] = {"oci"}
ROOMS["single_id"] = {"linux"}
ROOMS["receipt"] = {"oci", "request", "result", "single_id", "known_isolation", "store", "context"}
ROOMS["built_image"] = {"result", "oci", "plan", "solve", "image"}
ROOMS["receipt_writer"] = {"context", "image", "plan", "receipt", "request", "built_image", "oci", "store"}
ROOMS["plan_cache"] = {"context", "oci", "plan", "request", "store"}
ROOMS["pinning"] = {"dockerfile", "oci"}
ROOMS["bench"] = set(ROOMS) | {"checking"}
ROOMS["engine"] = set(ROOMS) | {"checking"}
ROOMS["checking"] = {"dockerfile", "plan", "oci", "context"}
ROOMS["cli"] = set(ROOMS)

PURE = {"address", "oci", "plan", "dockerfile", "suggest"}
IMPURE_MODULES = {"subprocess", "socket", "threading", "sqlite3", "urllib3", "time", "random", "shutil", "tempfile"}
# The grammar is a document beside the code: somebody has to read it.
PURE_EXCEPTIONS = {"dockerfile/grammar.py", "oci/platform.py"}


def sources() -> Iterator[tuple[str, str, ast.Module]]:
    for path in sorted(BUILDER.rglob("*.py")):
        relative = path.relative_to(BUILDER).as_posix()
        room = relative.partition("/")[0].removesuffix(".py")
        if room not in {"__init__", "__main__"}:
            yield relative, room, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield node.lineno, f"{node.module}"


def test_no_import_points_upstairs() -> None:
    wrong = []
    for relative, room, tree in sources():
        for line, module in imports(tree):
            parts = module.split(".")
            if parts[0] != "builder" or len(parts) < 2 or parts[1] in {room, "errors"}:
                continue
            if parts[1] not in ROOMS[room]:
                wrong.append(f"builder/{relative}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_every_room_is_on_the_plan() -> None:
    assert {room for _, room, _ in sources()} <= set(ROOMS)


def test_ctypes_lives_in_linux_only() -> None:
    wrong = [r for r, room, tree in sources() if room != "linux" for _, module in imports(tree) if module == "ctypes"]
    assert not wrong


def test_only_the_door_prints_and_exits() -> None:
    wrong = []
    for relative, room, tree in sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in {"print", "sys.exit", "exit", "quit"} and room != "cli":
                wrong.append(f"builder/{relative}:{node.lineno} calls {name}")
    assert not wrong, "\n".join(wrong)


def test_pure_rooms_do_no_input_or_output() -> None:
    wrong = []
    for relative, room, tree in sources():
        if room not in PURE or relative in PURE_EXCEPTIONS:
            continue
        wrong += [
            f"{relative}:{line} imports {m}" for line, m in imports(tree) if m.split(".")[0] in IMPURE_MODULES | {"os"}
        ]
        wrong += [
            f"{relative}:{node.lineno} calls open"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "open"
        ]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_extracted_by_tarfile() -> None:
    wrong = [
        f"builder/{relative}:{node.lineno}"
        for relative, _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"extractall", "extract", "extractfile"}
    ]
    assert not wrong, "tarfile's filters are no boundary: " + ", ".join(wrong)


@pytest.mark.parametrize("limit", [350])
def test_no_file_outgrows_its_reader(limit: int) -> None:
    long = {r: n for r in (p for p in BUILDER.rglob("*.py")) if (n := len(r.read_text().splitlines())) > limit}
    assert not long, f"files over {limit} lines: {long}"


def test_room_labels_hold_no_code() -> None:
    for path in BUILDER.glob("*/__init__.py"):
        body = ast.parse(path.read_text()).body
        assert [type(statement) for statement in body] == [ast.Expr], f"{path} is a label, not a lobby"
