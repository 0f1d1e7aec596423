"""`pybuild --check` and `--call=check|outline|targets`: what is to be said of a Dockerfile, without building it.

A check is text, JSON or SARIF, and 1 when there is any warning or error, unless `--call=check,ignorestatus=true`; notes
count only when they were asked for. What
can be built, and what a target takes, are tables or JSON.
"""

from __future__ import annotations

import argparse
import json
import sys

from builder.cli.display.check_report import report_lines, report_to_json, report_to_sarif
from builder.cli.display.plain import WarningsDisplay
from builder.cli.display.text import table_lines
from builder.cli.request import request_from
from builder.engine.build import check, outline, targets
from builder.engine.request import BuildRequest
from builder.errors import UsageError
from builder.plan.outline import Need

_METHODS = ("check", "lint", "outline", "targets")


def check_command(arguments: argparse.Namespace) -> int:
    """Print what was asked for; return the exit code."""
    request = request_from(arguments)
    method, options = _call(arguments)
    if method in {"outline", "targets"}:
        return _outline(method, options.get("format", "text"), request)
    report = check(request, WarningsDisplay(sys.stderr), advice=options.get("advice") == "true")
    kind = arguments.check_format or options.get("format", "text")
    if kind == "json":
        print(json.dumps(report_to_json(report), indent=2))
    elif kind == "sarif":
        print(json.dumps(report_to_sarif(report), indent=2))
    elif kind == "text":
        for line in report_lines(report):
            print(line)
    else:
        raise UsageError(f"--format {kind!r} is none of text, json, sarif")
    failed = bool(report.warnings) or report.error is not None
    return 1 if failed and options.get("ignorestatus") != "true" else 0


def _call(arguments: argparse.Namespace) -> tuple[str, dict[str, str]]:
    name, _, rest = arguments.call.partition(",")
    method = "check" if arguments.check and name in ("", "build") else name
    if method not in _METHODS:
        raise UsageError(f"--call {method!r} is none of build, check, outline, targets")
    options = dict(item.partition("=")[::2] for item in rest.split(",") if item)
    return method, options


def _outline(method: str, form: str, request: BuildRequest) -> int:
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
