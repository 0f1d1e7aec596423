"""A check report as lines for people, as JSON in buildx's shape, and as SARIF 2.1.0 for editors and code hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from builder import __version__
from builder.cli.display.diagnostics import excerpt, render_error
from builder.cli.display.text import clean
from builder.dockerfile.source import encode_source
from builder.engine.checks import CheckReport
from builder.errors import Location, SourceError
from builder.lint.finding import Finding
from builder.solve.event_json import error_to_json


def report_lines(report: CheckReport) -> Iterator[str]:
    """Yield each finding with its excerpt, and a last line that counts them."""
    for finding in report.findings:
        url = f" - {finding.rule.url}" if finding.rule.url else ""
        yield f"{'NOTE' if finding.level == 'note' else 'WARNING'}: {finding.rule.name}{url}"
        yield finding.rule.description
        yield f"{report.file}:{finding.location.line}:{finding.location.column or 1}: {clean(finding.message)}"
        yield from excerpt(report.source, finding.location)
        if finding.hint:
            yield f"hint: {clean(finding.hint)}"
        yield ""
    if report.error is not None:
        if isinstance(report.error, SourceError):
            report.error.source = report.error.source or report.source
        yield render_error(report.error)
        yield ""
    yield _last_line(report)


def _last_line(report: CheckReport) -> str:
    """Return the count of findings, and whether the check is complete: not so when an error cut it short."""
    count = len(report.warnings)
    notes = len(report.findings) - count
    noted = f"{notes} {'note' if notes == 1 else 'notes'}" if notes else ""
    found = f"{count} {'warning has' if count == 1 else 'warnings have'} been found" if count else ""
    if report.is_whole:
        found = f"Check complete, {found}!" if count else "Check complete, no warnings found."
        return f"{found} {noted}, which fail nothing." if noted else found
    reason = "the file has errors" if isinstance(report.error, SourceError) else "this cannot be built"
    found = " and ".join(filter(None, (found, f"{noted} made" if noted else "")))
    return f"Check incomplete: {reason}" + (f"; {found} so far." if found else ".")


def report_to_json(report: CheckReport) -> dict[str, Any]:
    """Return the report in the shape of buildx's `--call=check,format=json`."""
    document: dict[str, Any] = {
        "warnings": [
            {
                "ruleName": finding.rule.name,
                "description": finding.rule.description,
                "url": finding.rule.url,
                "detail": finding.message,
                "location": {"ranges": [_range(finding)]},
            }
            | ({"level": "note"} if finding.level == "note" else {})
            | ({"hint": finding.hint} if finding.hint else {})
            for finding in report.findings
        ],
        "sources": [{"filename": report.file, "data": encode_source(report.source), "language": "Dockerfile"}],
    }
    if report.error is not None:
        document["buildError"] = error_to_json(report.error)
    return document


def _range(finding: Finding) -> dict[str, Any]:
    place = finding.location
    return {
        # buildx counts characters from 0, and lines from 1.
        "start": {"line": place.line, "character": max(0, place.column - 1)},
        "end": {"line": place.end_line or place.line, "character": max(0, place.end_column - 1)},
    }


def report_to_sarif(report: CheckReport) -> dict[str, Any]:
    """Return the report as SARIF (OASIS, version 2.1.0): one run, the rules that found something, one result each."""
    rules = {finding.rule.name: finding.rule for finding in report.findings}
    results = [
        {
            "ruleId": finding.rule.name,
            "level": finding.level,
            "message": {"text": finding.message},
            "locations": [_sarif_location(report.file, finding.location)],
        }
        for finding in report.findings
    ]
    if report.error is not None:
        place = report.error.location if isinstance(report.error, SourceError) else None
        results.append(
            {
                "ruleId": "build-error",
                "level": "error",
                "message": {"text": report.error.message},
                "locations": [_sarif_location(report.file, place or Location(report.file, 1))],
            }
        )
    driver = {
        "name": "pybuild",
        "version": __version__,
        "rules": [
            {"id": rule.name, "shortDescription": {"text": rule.description}} | _help(rule.url, is_ours=rule.ours)
            for rule in rules.values()
        ],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _help(url: str, *, is_ours: bool) -> dict[str, Any]:
    """Return where a rule is explained. helpUri must be a whole address; a page of ours comes with the program."""
    if not url:
        return {}
    return {"help": {"text": f"See {url}."}} if is_ours else {"helpUri": url}


def _sarif_location(file: str, place: Location) -> dict[str, Any]:
    # SARIF counts from 1, and has no number for "unknown": what is not known is left out.
    region: dict[str, int] = {"startLine": max(1, place.line)}
    if place.column:
        region["startColumn"] = place.column
    if place.end_line:
        region["endLine"] = place.end_line
    if place.end_column:
        region["endColumn"] = place.end_column
    return {"physicalLocation": {"artifactLocation": {"uri": file}, "region": region}}
