"""`pybuild info`: the store, how RUN is isolated here and why, and with --verify every fault of the store."""

from __future__ import annotations

import argparse
import json

from builder.cli.arguments import add_root, new_parser, root_of
from builder.cli.display.text import clean, print_note, size_text
from builder.engine.info import MachineInfo, describe_machine
from builder.errors import counted


def info_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild info`."""
    parser = new_parser(
        "pybuild info", "Say where the store is, how RUN is isolated here and why, and what the store holds."
    )
    add_root(parser)
    parser.add_argument("--verify", action="store_true", help="check every blob, name and record of the store")
    parser.add_argument("--isolation", default=None, metavar="MODE", help="try this isolation")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def info_command(argv: list[str]) -> int:
    """Say what this machine offers; 1 when --verify found a fault."""
    arguments = info_parser().parse_args(argv)
    info = describe_machine(
        root_of(arguments),
        isolation=arguments.isolation,
        verify=arguments.verify,
        notify=print_note,
    )
    faults = sum(finding.is_error for finding in info.findings)
    if arguments.json:
        print(json.dumps(_facts(info) | {"findings": _findings_to_json(info)}, indent=2))
    else:
        for key, value in _facts(info).items():
            for number, line in enumerate(value if isinstance(value, list) else [value]):
                print(f"{key if number == 0 else '':<12} {clean(line)}")
        if arguments.verify:
            _print_findings(info, faults)
    return 1 if faults else 0


def _facts(info: MachineInfo) -> dict[str, str | list[str]]:
    """Return what is known by the words it is shown under, in the order it is shown in."""
    store, isolation = info.store, info.isolation
    facts: dict[str, str | list[str]] = {
        "version": info.version,
        "python": info.python,
        "platform": info.platform,
        "store": store.root,
        "images": f"unknown: {store.images_fault}" if store.images is None else str(store.images),
        "blobs": f"{store.blobs}, {size_text(store.blob_bytes)}",
        "records": str(store.records),
        "user": f"uid {info.user_id}",
        "isolation": list(isolation.choices),
    }
    if isolation.trees:
        facts |= {"network": isolation.network, "trees": isolation.trees}
    return facts


def _findings_to_json(info: MachineInfo) -> list[dict[str, object]]:
    return [
        {"subject": f.subject, "problem": f.problem, "error": f.is_error} | ({"hint": f.hint} if f.hint else {})
        for f in info.findings
    ]


def _print_findings(info: MachineInfo, faults: int) -> None:
    for finding in info.findings:
        print(f"{'fault' if finding.is_error else 'remark':<12} {clean(str(finding))}")
        if finding.hint:
            print(f"{'':<12} hint: {clean(finding.hint)}")
    print(f"verified     {counted(faults, 'fault') if faults else 'everything is as it should be'}")
