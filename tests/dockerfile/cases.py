"""Golden cases: directories under fixtures/dockerfile, found by listing.

    valid/NAME/{Dockerfile,expected.json}      what `pybuild parse` prints, and the typed statements
    invalid/NAME/{Dockerfile,expected.json}    every error: message, place, hint

`python -m tests.dockerfile.cases --refresh` writes the expected.json of every case; read the diff before committing it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from builder.dockerfile.parser import parse_dockerfile
from builder.dockerfile.syntax import to_json
from builder.errors import DockerfileSyntaxError

ROOT = Path(__file__).parents[2] / "fixtures" / "dockerfile"


def cases(kind: str) -> list[Path]:
    """Return the case directories of one kind, in order."""
    return sorted(path.parent for path in (ROOT / kind).glob("*/Dockerfile"))


def outcome(case: Path) -> dict[str, Any]:
    """Return what the parser makes of a case, as it stands in expected.json."""
    source = (case / "Dockerfile").read_bytes()
    try:
        parsed = parse_dockerfile(source)
    except DockerfileSyntaxError as error:
        return {"errors": [_error(fault) for fault in (error, *error.others)]}
    document = to_json(parsed)
    document["global_args"] = [repr(arg) for arg in parsed.global_args]
    document["stages"] = [[repr(stage.base), *map(repr, stage.statements)] for stage in parsed.stages]
    document["warnings"] = [[message, *location[1:]] for message, location in parsed.warnings]
    return document


def _error(error: Any) -> dict[str, Any]:
    location = error.location
    return {
        "message": error.message,
        "from": [location.line, location.column],
        "to": [location.end_line, location.end_column],
        "hint": error.hint,
    }


def as_text(document: dict[str, Any]) -> str:
    """Return the document as it is kept: readable, and pure ASCII so that odd bytes survive."""
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def main() -> None:
    """Write every expected.json."""
    assert sys.argv[1:] == ["--refresh"], __doc__
    for case in cases("valid") + cases("invalid"):
        (case / "expected.json").write_text(as_text(outcome(case)), encoding="ascii")


if __name__ == "__main__":
    main()
