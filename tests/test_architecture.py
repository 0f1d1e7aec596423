"""The house keeps its shape: who may import whom, and what may be touched where."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

BUILDER = Path(__file__).parent.parent / "builder"
ARCHITECTURE = BUILDER.parent / "docs" / "architecture.md"

# Room → what it may import: rooms, by the folders below builder/ (of a room within a room nothing is meant by the
# outer one), or single modules. Ground floor first. A room may always import itself and `errors`.
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "suggest": set(),
    "course": set(),
    "truth": set(),
    "oci": set(),
    "linux": set(),
    "web": set(),
    "filesystem": {"linux"},
    "dockerfile": {"suggest", "truth", "web.address"},
    "lint": {"dockerfile", "oci", "suggest", "truth"},
    "plan": {"dockerfile", "oci", "suggest", "truth", "web.address"},
    "registry": {"filesystem.unfinished", "oci", "web"},
    "store": {"filesystem", "oci"},
    "layer": {"filesystem", "oci"},
    "sandbox.mounts": {"linux", "sandbox.spec"},
    "sandbox.process": {
        *{"filesystem", "linux", "sandbox.mounts"},
        *{"sandbox.namespace", "sandbox.refusal", "sandbox.spec"},
    },
    "sandbox.network": {"linux", "sandbox.mounts", "sandbox.namespace", "sandbox.process", "sandbox.spec"},
    "sandbox": {"filesystem", "linux", "oci.run_options", "sandbox.network", "sandbox.process"},
    "cache": {"oci", "store"},
    "explain": {"filesystem", "layer", "oci"},
    "explain.page": {"explain.model", "explain.union", "filesystem.entry", "oci.canonical"},
    "context": {"dockerfile.git_url", "filesystem", "layer", "oci", "store", "suggest", "web"},
    "snapshot": {"filesystem", "layer", "oci", "sandbox.namespace", "sandbox.spec", "store"},
    "image": {"dockerfile.values", "oci", "plan", "store", "truth"},
    "transport": {
        *{"image", "layer", "oci", "plan.image_resolver", "registry", "store", "suggest", "truth"},
        *{"transport.places", "web.stretch"},
    },
    "transport.places": {
        *{"filesystem", "image", "layer", "oci", "registry", "store", "transport.destination", "transport.source"},
        *{"suggest", "transport.fetch_layers", "transport.layer_index", "web.stretch"},
    },
}
ROOMS["sandbox.native"] = {
    *{"linux", "sandbox.mounts", "sandbox.network", "sandbox.process"},
    *{"sandbox.limits", "sandbox.namespace", "sandbox.spec", "sandbox.spec_json"},
}
ROOMS["sandbox.oci"] = ROOMS["sandbox.native"] | {"sandbox.limit_settings"}
ROOMS["sandbox.chroot"] = ROOMS["sandbox.native"] - {"sandbox.namespace"} | {"filesystem"}
ROOMS["sandbox"] |= {"sandbox.native", "sandbox.oci", "sandbox.chroot"}
ROOMS["solve.copy"] = {
    *{"context", "filesystem", "layer", "linux.cancel", "oci", "plan.step", "plan.epoch", "store", "web.address"},
    *{"solve.accounts", "solve.commit", "solve.entry_line", "solve.events", "solve.job", "solve.job_tools"},
    "solve.seen",
}
ROOMS["solve.run"] = {
    *{"context", "dockerfile.arrays", "filesystem", "layer", "linux.cancel", "oci", "plan.step", "sandbox.runner"},
    *{
        "sandbox.spec",
        "snapshot",
        "solve.accounts",
        "solve.commit",
        "solve.entry_line",
        "solve.events",
        "solve.job",
        "solve.job_tools",
        "solve.known_isolation",
    },
    *{"solve.results", "solve.seen", "solve.step_errors", "store"},
}
ROOMS["solve.reason"] = {
    *{"context", "filesystem", "oci", "plan", "solve.cache_key", "solve.context", "solve.entry_line"},
    *{"solve.difference", "solve.keyed_step", "solve.results", "solve.seen"},
}
ROOMS["solve"] = {
    *{"cache", "context", "filesystem", "layer", "linux.cancel", "oci", "plan", "sandbox", "snapshot", "store"},
    *{"transport", "solve.copy", "solve.reason", "solve.run"},
}
ROOMS["engine"] = {
    *{"registry", "context", "dockerfile", "image", "lint", "linux", "oci", "plan", "snapshot", "store", "transport"},
    *{
        "explain",
        "explain.page",
        "filesystem.entry",
        "layer.compression",
        "layer.index",
        "sandbox.choose",
        "sandbox.namespace",
    },
    *{
        "solve",
        "solve.copy.timestamps",
        "solve.reason.compare",
        "solve.reason.facts",
        "solve.reason.last_build",
        "transport.places",
        "truth",
        "web.address",
    },
}
ROOMS["containers"] = {
    *{
        "dockerfile",
        "filesystem",
        "image.assemble",
        "image.prune_filter",
        "image.timestamp",
        "layer",
        "linux",
        "oci",
        "plan",
        "snapshot",
    },
    *{"sandbox.chroot.emulated_mounts", "sandbox.mounts.root_mount", "sandbox.namespace", "sandbox.spec"},
    *{"solve", "store", "transport.present", "transport.resolver"},
}
ROOMS["cli.display"] = {
    "dockerfile.source",
    "engine",
    "explain",
    "filesystem.entry",
    "filesystem.unfinished",
    "image.tree",
    "layer.changes",
    "lint.finding",
    "oci",
    "plan.step",
    "solve.difference",
    "solve.event_json",
    "solve.events",
    "solve.pause",
}
ROOMS["cli.verbs"] = {
    *{"cli", "cli.display", "containers", "course", "engine", "explain", "explain.page.inputs", "oci"},
    *{"plan.outline", "plan.step", "solve.dry_run", "solve.event_json", "solve.events"},
    *{"solve.pause", "solve.run.failed"},
    *{"filesystem.unfinished", "image.disk_usage", "image.keepers", "image.prune_filter", "store.container_record"},
    "transport.places.location",
}
ROOMS["cli"] = {"cli.display", "engine", "oci", "suggest", "truth"}  # the verbs are picked by name (main.py)
ROOMS["__main__"] = {"cli"}

PURE = {"oci", "plan", "dockerfile", "lint", "suggest", "truth"}
IMPURE_MODULES = {"subprocess", "socket", "threading", "sqlite3", "urllib3", "time", "random", "shutil", "tempfile"}
# The grammar is a document beside the code: somebody has to read it.
PURE_EXCEPTIONS = {"dockerfile/grammar.py", "oci/platform.py"}


@functools.cache
def sources() -> tuple[tuple[str, str, ast.Module], ...]:
    """Return path, room and syntax tree of every file; a room is named by its folder, a loose file by itself."""
    return tuple(_sources())


def _sources() -> Iterator[tuple[str, str, ast.Module]]:
    for path in sorted(BUILDER.rglob("*.py")):
        relative = path.relative_to(BUILDER)
        room = ".".join(relative.parent.parts) or relative.stem
        if room != "__init__":
            yield relative.as_posix(), room, ast.parse(path.read_text(encoding="utf-8"))


def is_allowed(room: str, module: str) -> bool:
    """Say whether a file of `room` may import `module` (without `builder.`)."""
    allowed = ROOMS[room] | {room, "errors"}
    return module in allowed or module.rpartition(".")[0] in allowed


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line of every import, wherever it stands, and the module that is meant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (BUILDER.parent / inner.replace(".", "/")).with_suffix(".py").exists()
                yield node.lineno, inner if is_module else f"{node.module}"


def test_no_import_points_upstairs() -> None:
    wrong = []
    for relative, room, tree in sources():
        for line, module in imports(tree):
            if module.startswith("builder.") and not is_allowed(room, module.removeprefix("builder.")):
                wrong.append(f"builder/{relative}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_the_plan_allows_nothing_that_is_not_used() -> None:
    used: dict[str, set[str]] = {}
    for _, room, tree in sources():
        for _, module in imports(tree):
            name = module.removeprefix("builder.")
            used.setdefault(room, set()).update({name, name.rpartition(".")[0]})
    unused = {room: allowed - used.get(room, set()) for room, allowed in ROOMS.items()}
    assert not any(unused.values()), {room: names for room, names in unused.items() if names}


def test_every_room_is_on_the_plan() -> None:
    assert {room for _, room, _ in sources()} <= set(ROOMS)


MOST_GATES = 25
"""Imports inside functions, in all of builder/."""
DYNAMIC = {"cli/main.py": "a verb by its name", "layer/codecs.py": "what is installed"}
"""Where modules are imported by names that are data."""


def gates() -> Iterator[tuple[str, ast.Import | ast.ImportFrom]]:
    """Yield the path and the statement of every import inside a function."""
    for relative, _, tree in sources():
        inner = {
            statement.lineno: statement
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for statement in ast.walk(function)
            if isinstance(statement, ast.Import | ast.ImportFrom)
        }
        yield from ((relative, statement) for statement in inner.values())


def test_imports_inside_functions_are_few() -> None:
    found = [f"builder/{relative}:{statement.lineno}" for relative, statement in gates()]
    assert len(found) <= MOST_GATES, "imports belong to the top of a file:\n" + "\n".join(found)


def test_every_import_inside_a_function_says_why() -> None:
    names = re.findall(r"^\| ([a-z ]+) \| ", ARCHITECTURE.read_text().partition("## The gates")[2], re.M)
    wrong = []
    for relative, statement in gates():
        lines = (BUILDER / relative).read_text(encoding="utf-8").splitlines()
        said = " ".join(line.partition("#")[2] for line in lines[statement.lineno - 2 : statement.end_lineno])
        gate = re.search(r"gate: ([a-z ]+)", said)
        if not said.strip() or (gate is not None and gate[1].strip() not in names):
            wrong.append(f"builder/{relative}:{statement.lineno}: {said.strip() or 'no reason'}")
    assert not wrong, "\n".join(wrong)


def test_modules_are_imported_by_name_in_few_places() -> None:
    callers = {
        relative
        for relative, _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__"))
    }
    assert callers == set(DYNAMIC)


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
            if name in {"print", "sys.exit", "exit", "quit"} and not room.startswith("cli"):
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
