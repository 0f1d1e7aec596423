"""What `inspect` prints: documents as one JSON list, or each by a template of `-f`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from builder.cli.display.go_template import compile_template
from builder.cli.display.go_values import Absent

_UNSET = {
    "User": "", "WorkingDir": "", "StopSignal": "", "Env": Absent("[]"), "Entrypoint": Absent("[]"),
    "Cmd": Absent("[]"), "OnBuild": Absent("[]"), "Shell": Absent("[]"), "Labels": Absent("map[]"),
    "ExposedPorts": Absent("map[]"), "Volumes": Absent("map[]"), "Healthcheck": Absent("<nil>"),
}  # fmt: skip
"""Members of a runtime config that need not be there, and what docker prints for them then."""


def add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f", "--format", default="", metavar="TEMPLATE", help="json, or a template: '{{.Config.Cmd}}', '{{json .}}'"
    )


def document_printer(template: str) -> Callable[[Sequence[Mapping[str, Any]]], None]:
    """Return what prints documents by `template`, which is looked at now. Both raise UsageError."""
    if template in ("", "json"):
        return lambda documents: print(json.dumps(documents, indent=2))
    fill = compile_template(template)

    def show(documents: Sequence[Mapping[str, Any]]) -> None:
        # All before any: a member that one document lacks leaves no half of an answer.
        texts = [fill({**document, "Config": _UNSET | document["Config"]}) for document in documents]
        for text in texts:
            print(text)

    return show
