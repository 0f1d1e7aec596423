"""Fuzz one target with atheris: python -m tests.fuzz TARGET [--seconds N] [--corpus FOLDER] [FILE…]

With files, they are replayed and nothing else is done. The corpus is kept in FOLDER, or in a temporary one. A finding
is written to ./crash-* or ./timeout-* by the fuzzer; keep it in fixtures/fuzz/TARGET/ when it is mended.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

LONGEST_INPUT_SECONDS = 10
NAMES = ("parser", "words", "ignore", "globs", "mounts", "reference", "addresses", "options", "documents", "tar")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what reads hostile input.")
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("files", nargs="*", type=Path, help="inputs to replay")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    options = parser.parse_args()
    if options.files:
        return replay(options.target, options.files)
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: pip install '.[fuzz]'", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["builder"]):
        from tests.fuzz.targets import TARGETS
    with tempfile.TemporaryDirectory(prefix="pybuild-corpus-") as folder:
        corpus = options.corpus or Path(folder)
        words = write_seeds(options.target, corpus, Path(folder))
        atheris.Setup(
            [
                sys.argv[0], str(corpus), f"-dict={words}", f"-max_total_time={options.seconds}",
                f"-timeout={LONGEST_INPUT_SECONDS}", "-rss_limit_mb=2048", "-print_final_stats=1",
            ],
            TARGETS[options.target],
        )  # fmt: skip
        atheris.Fuzz()
    return 0


def write_seeds(target: str, corpus: Path, folder: Path) -> Path:
    """Put the seeds into the corpus; return the file of the dictionary."""
    from tests.fuzz.seeds import DICTIONARIES, seeds_of

    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds_of(target)):
        (corpus / f"seed-{number:04}").write_bytes(seed)
    lines = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in DICTIONARIES[target])
    words = folder.with_name(folder.name + ".dict")
    words.write_text("".join(f'"{line}"\n' for line in lines))
    return words


def replay(target: str, files: list[Path]) -> int:
    from tests.fuzz.targets import TARGETS

    for file in files:
        TARGETS[target](file.read_bytes())
    print(f"{len(files)} inputs pass")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
