"""`--call=targets` and `--call=outline`: what can be built, and what a target takes, as tables or JSON."""

from __future__ import annotations

import json

from builder.cli.table import table_lines
from builder.engine.build import outline, targets
from builder.engine.request import BuildRequest
from builder.errors import UsageError
from builder.plan.outline import Need


def outline_command(method: str, form: str, request: BuildRequest) -> int:
    """Print the targets or the outline of the request's target."""
    if form not in {"text", "json"}:
        raise UsageError(f"format {form!r} is neither text nor json")
    if method == "targets":
        _print_targets(form, request)
    else:
        _print_outline(form, request)
    return 0


def _print_targets(form: str, request: BuildRequest) -> None:
    found = targets(request)
    if form == "json":
        print(json.dumps(found.to_json(), indent=2))
        return
    rows = [
        [(target.name or "") + (" (default)" if target.default else ""), target.description] for target in found.targets
    ]
    for line in table_lines(["TARGET", "DESCRIPTION"], [row for row in rows if row[0]]):
        print(line)


def _print_outline(form: str, request: BuildRequest) -> None:
    found = outline(request)
    if form == "json":
        print(json.dumps(found.to_json(), indent=2))
        return
    print(f"TARGET: {found.name or 'default'}")
    if found.description:
        print(f"DESCRIPTION: {found.description}")
    for head, needs in (
        ("BUILD ARG", found.args),
        ("SECRET", found.secrets),
        ("SSH", found.ssh),
        ("CACHE", found.caches),
    ):
        if needs:
            print()
            for line in table_lines([head, "VALUE", "DESCRIPTION"], [_row(need) for need in needs]):
                print(line)


def _row(need: Need) -> list[str]:
    return [need.name, need.value or ("required" if need.required else ""), need.description]
