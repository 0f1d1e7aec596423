"""`pybuild info`: the store, how RUN is isolated here and why, and with --verify every fault of the store."""

from __future__ import annotations

import argparse
import json
import os
import platform

from builder import __version__
from builder.cli.image_commands import print_note
from builder.cli.text import clean, size_text
from builder.errors import PybuildError
from builder.oci.platform import host_platform
from builder.store.store import Store, open_store
from builder.store.verify import Finding


def describe_machine(arguments: argparse.Namespace, root: str) -> int:
    """Print what was asked for; 1 when --verify found a fault."""
    with open_store(root, notify=print_note) as store:
        facts: dict[str, object] = {
            "version": __version__,
            "python": platform.python_version(),
            "platform": str(host_platform()),
        }
        isolation = _isolation_facts(arguments.isolation, store)
        findings: tuple[Finding, ...] = ()
        if arguments.verify:
            with store.lease(everything=True):
                findings = _findings(store)  # before a damaged database is read, and set aside
        facts |= _store_facts(store) | isolation
    faults = [finding for finding in findings if finding.is_error]
    if arguments.json:
        found = [
            {"subject": f.subject, "problem": f.problem, "error": f.is_error} | ({"hint": f.hint} if f.hint else {})
            for f in findings
        ]
        print(json.dumps(facts | {"findings": found}, indent=2))
    else:
        for key, value in facts.items():
            for number, line in enumerate(value if isinstance(value, list) else [value]):
                print(f"{key if number == 0 else '':<12} {clean(str(line))}")
        if arguments.verify:
            _print_findings(findings, len(faults))
    return 1 if faults else 0


def _print_findings(findings: tuple[Finding, ...], faults: int) -> None:
    for finding in findings:
        print(f"{'fault' if finding.is_error else 'remark':<12} {clean(str(finding))}")
        if finding.hint:
            print(f"{'':<12} hint: {clean(finding.hint)}")
    print(f"verified     {f'{faults} faults' if faults else 'everything is as it should be'}")


def _store_facts(store: Store) -> dict[str, object]:
    blobs = list(store.blobs.walk())
    try:
        images = str(len(store.names.items()))
    except PybuildError as error:
        images = f"unknown: {error.message}"
    return {
        "store": store.root,
        "images": images,
        "blobs": f"{len(blobs)}, {size_text(sum(size for _, size in blobs))}",
        "records": str(len(store.records.walk())),
    }


def _findings(store: Store) -> tuple[Finding, ...]:
    from builder.layer.compression import open_stored
    from builder.snapshot.verify import verify_made_from_layers
    from builder.store.verify import verify_store

    found = verify_store(store, open_stored)
    if any(finding.subject == store.database.path for finding in found):
        return found  # what layers there are is not known, and reading it would set it aside
    return found + verify_made_from_layers(store)


def _isolation_facts(requested: str | None, store: Store) -> dict[str, object]:
    from builder.sandbox.choose import choose_isolation
    from builder.sandbox.namespace import enter_build_namespace
    from builder.solve.worker import trial_area

    user = f"uid {os.geteuid()}"
    try:
        with trial_area(store) as area:
            choice = choose_isolation(requested, namespace=enter_build_namespace(), store=area)
    except PybuildError as error:
        return {"user": user, "isolation": [f"none: {error.message}"]}
    lines = [f"{choice.name}: {choice.reason}", *(f"not {name}: {why}" for name, why in choice.rejected)]
    trees = "overlayfs" if choice.overlay else f"plain copies ({choice.overlay_reason})"
    return {"user": user, "isolation": lines, "network": choice.network, "trees": trees}
