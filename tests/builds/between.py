"""Build the cases with two checkouts of pybuild and compare the images: a change of structure changes no digest.

    python -m tests.builds.between OTHER_CHECKOUT [--every N] [CASE…]

Each case is laid out once and built by both, each with a store of its own and all times at 1970; the same image ID, or
the same failure, is what is expected. Exit code 1 when a case differs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.builds.base_image import BaseImage, make_base_image
from tests.builds.builders import CHECKOUT, common_options, program_of, run
from tests.builds.cases import BASE_NAME, Staged, case_names, load_case
from tests.builds.oracle import laid_out

_FAILED = "failed with"


def compare(name: str, checkouts: tuple[Path, Path], base: BaseImage) -> str:
    """Return how a case differs; an empty text when it does not."""
    with laid_out(load_case(name), "pybuild-between-") as (staged, folder):
        places = (folder / "first", folder / "second")
        first, second = (_build(checkout, staged, place, base) for checkout, place in zip(checkouts, places))
    return "" if first == second else f"{name}: {first} | {second}"


def _build(checkout: Path, staged: Staged, place: Path, base: BaseImage) -> str:
    store, identity = place / "store", place / "id"
    place.mkdir()
    options = common_options(staged, f"oci-layout://{base.layout}@{base.manifest_digest}")
    epoch = () if "--timestamp" in " ".join(options) else ("--timestamp=0",)
    command = [
        *program_of(checkout),
        *(*options, *epoch, "--root", str(store), "--progress", "plain", "--iidfile", str(identity)),
        str(staged.context),
    ]
    done = run(command, staged.case.environment)
    return f"{_FAILED} {done.returncode}" if done.returncode else identity.read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, metavar="OTHER_CHECKOUT")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth case")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    arguments = parser.parse_args()
    names = arguments.cases or case_names()[:: arguments.every]
    checkouts = (CHECKOUT, arguments.other.resolve())
    with tempfile.TemporaryDirectory(prefix="pybuild-between-base-") as folder:
        os.chmod(folder, 0o755)
        base = make_base_image(Path(folder))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = [line for line in pool.map(lambda name: compare(name, checkouts, base), names) if line]
    for line in found:
        print(line)
    print(f"{len(names) - len(found)} of {len(names)} cases ({BASE_NAME}) give the same image with both")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
