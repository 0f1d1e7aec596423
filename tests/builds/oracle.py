"""Build one case with one builder and describe the result; remember what peers answered.

A peer's answer depends on the case's files, the base and the peer's version alone, so it is kept in a temporary
folder under a digest of those: running all cases again after a change to pybuild costs the peers nothing.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.builds.base_image import BaseImage
from tests.builds.builders import BUILDERS, Built, Failed, peer_version
from tests.builds.cases import Case, Staged, copy_tree, stage_case
from tests.builds.images import read_image
from tests.builds.loopback import serve
from tests.builds.results import Result, result_of
from tests.support.remove import remove_tree

HARNESS_FILES = ("cases.py", "results.py", "tree.py", "images.py", "builders.py")


def build_case(case: Case, builder: str, base: BaseImage) -> Result:
    """Build a case; the result of a failed build is {"failed": exit code, "log": output}."""
    with laid_out(case, f"pybuild-case-{builder}-") as (staged, folder):
        match BUILDERS[builder](staged, folder, base):
            case Failed(code, log):
                return {"failed": code, "log": log}
            case Built(image, log):
                return result_of(read_image(image), base) | {"log": log}


@contextmanager
def laid_out(case: Case, prefix: str) -> Iterator[tuple[Staged, Path]]:
    """Stage a case, serving what it offers; give it and a temporary folder that anybody may read."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    os.chmod(folder, 0o755)
    try:
        with _offered_files(case, folder) as url:
            staged_folder = folder / "staged"
            staged_folder.mkdir()
            yield stage_case(case, staged_folder, url=url), folder
    finally:
        remove_tree(folder)


@contextmanager
def _offered_files(case: Case, folder: Path) -> Iterator[str]:
    """Serve the www/ of a case, when it has one."""
    if not (case.folder / "www").exists():
        yield ""
        return
    copy_tree(case.folder / "www", folder / "www")
    with serve(folder / "www") as url:
        yield url


def ask_peer(case: Case, peer: str, base: BaseImage, *, again: bool = False) -> Result:
    """Return a peer's result, from memory when it was asked this before."""
    memory = memory_folder() / f"{question_digest(case, peer, base)}.json"
    if memory.exists() and not again:
        remembered: Result = json.loads(memory.read_text())
        return remembered
    result = build_case(case, peer, base)
    draft = memory.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(result))
    draft.replace(memory)
    return result


def memory_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"pybuild-peer-results-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def question_digest(case: Case, peer: str, base: BaseImage) -> str:
    """Digest everything that the answer depends on, the harness itself included."""
    digest = hashlib.sha256(f"{peer_version(peer)}\0{base.manifest_digest}".encode())
    files = [path for path in sorted(case.folder.rglob("*")) if path.name != "expected.json"]
    for path in [*files, *(Path(__file__).with_name(name) for name in HARNESS_FILES)]:
        digest.update(f"\0{path.name if path not in files else path.relative_to(case.folder)}\0".encode())
        if path.is_symlink():
            digest.update(os.readlink(path).encode())
        elif path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
