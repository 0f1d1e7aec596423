"""The cases of fixtures/builds/: what a case says, and how it is laid out for a builder.

    fixtures/builds/<case>/
        case.json             the rule that it shows, and how to build it (the fields of `Case`)
        Dockerfile            given with -f; absent when the case is about finding the Dockerfile in the context
        Dockerfile.dockerignore
        context/              may be absent: an empty context
        <other>/              further contexts, named in case.json
        www/                  files that a loopback server offers as $URL
        prepare.py            makes what git can't hold; gets the staged context as its argument
        expected.json         what the peer made, written by `python -m tests.builds.differential --refresh`

Git keeps no mtimes and only one bit of the mode, so a staged copy has fixed ones: the cases mean the same everywhere.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CASES = Path(__file__).resolve().parents[2] / "fixtures" / "builds"
STAGED_MTIME = 1_600_000_000
"""Seconds; the mtime of everything that a case takes from git."""

BASE_NAME = "busybox-base"
"""The name that Dockerfiles use for the base image; see tests/builds/base_image.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a build that must fail says."""

    message: str
    """A regular expression that pybuild's error output matches."""
    peer_builds: str = ""
    """Why the peer, which builds this happily, is not followed; empty when it fails as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One build, and what it is to be compared with."""

    name: str
    folder: Path
    rule: str
    """What the case shows, in one sentence."""
    oracle: str = "docker"
    """The peer whose result is right: docker, buildah, or none when only `checks` count."""
    build_args: dict[str, str] = field(default_factory=dict)
    target: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    """Secret id → content."""
    contexts: dict[str, str] = field(default_factory=dict)
    """Name of a named context → folder of the case, or `busybox-base` for the base image."""
    options: tuple[str, ...] = ()
    """Further options that all builders take."""
    environment: dict[str, str] = field(default_factory=dict)
    fails: Failure | None = None
    differences: dict[str, str] = field(default_factory=dict)
    """Glob over difference keys (see tests/builds/compare.py) → why this difference is wanted."""
    checks: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """Path → fields that its entry must have, or None when it must not be there; holds for every builder."""
    needs: tuple[str, ...] = ()
    """What the machine must allow: `root`; `run` a process; `ids`: files of several owners in a RUN; `containerd`: a
    docker with that image store, to verify the record (the old one can't link, export nothing, or tell some links)."""

    @property
    def expected_file(self) -> Path:
        return self.folder / "expected.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A case laid out in a folder of its own, ready for a builder."""

    case: Case
    folder: Path
    context: Path
    dockerfile: Path | None
    contexts: dict[str, Path]
    secrets: dict[str, Path]
    build_args: dict[str, str]


def case_names() -> list[str]:
    """List the cases, sorted."""
    return sorted(path.parent.name for path in CASES.glob("*/case.json"))


def load_case(name: str) -> Case:
    """Read one case; an unknown field is a mistake in the case."""
    folder = CASES / name
    fields = json.loads((folder / "case.json").read_text())
    if fields.get("fails") is not None:
        fields["fails"] = Failure(**fields["fails"])
    for key in ("options", "needs"):
        fields[key] = tuple(fields.get(key, ()))
    return Case(name=name, folder=folder, **fields)


def stage_case(case: Case, folder: Path, *, url: str = "") -> Staged:
    """Lay a case out below `folder`, which must be empty; `url` is where its www/ is served."""
    # A name used once: BuildKit syncs a context with its last copy of one of that name, by size and mtime alone.
    context = folder / f"context-{secrets.token_hex(6)}"
    copy_tree(case.folder / "context", context)
    contexts = {}
    for name, source in case.contexts.items():
        if source != BASE_NAME:
            contexts[name] = folder / f"{source}-{secrets.token_hex(6)}"
            copy_tree(case.folder / source, contexts[name])
    for name in ("Dockerfile", "Dockerfile.dockerignore"):
        if (case.folder / name).exists():
            shutil.copyfile(case.folder / name, folder / name)
    secret_files = {}
    for identity, content in case.secrets.items():
        secret_files[identity] = folder / f"secret-{identity}"
        secret_files[identity].write_text(content)
    if (case.folder / "prepare.py").exists():
        subprocess.run([sys.executable, str(case.folder / "prepare.py"), str(context)], check=True, cwd=context)
    dockerfile = folder / "Dockerfile"
    return Staged(
        case=case,
        folder=folder,
        context=context,
        dockerfile=dockerfile if dockerfile.exists() else None,
        contexts=contexts,
        secrets=secret_files,
        build_args={name: value.replace("$URL", url) for name, value in case.build_args.items()},
    )


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree with plain modes and fixed times; an absent source is an empty tree."""
    target.mkdir(mode=0o755)
    for folder, directories, files in os.walk(source):
        place = target / Path(folder).relative_to(source)
        for name in [*directories, *files]:
            copy_entry(Path(folder) / name, place / name)
    for folder, _, _ in os.walk(target, topdown=False):
        os.chmod(folder, 0o755)
        os.utime(folder, (STAGED_MTIME, STAGED_MTIME))


def copy_entry(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
    elif source.is_dir():
        target.mkdir()
    else:
        shutil.copyfile(source, target)
        executable = source.stat().st_mode & stat.S_IXUSR
        target.chmod(0o755 if executable else 0o644)
    os.utime(target, (STAGED_MTIME, STAGED_MTIME), follow_symlinks=False)
