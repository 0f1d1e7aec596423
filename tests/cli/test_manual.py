"""The manual page: whole, of today, and such that no formatter complains."""

from __future__ import annotations

import argparse
import re
import subprocess

from builder.cli.arguments import build_parser
from builder.cli.groups import GROUPS, HIDDEN
from builder.cli.main import VERBS, parser_of
from tests.manual import MANUAL_FILE, render_manual


def test_the_manual_is_what_the_parsers_say() -> None:
    written = MANUAL_FILE.read_text("utf-8")
    assert written == render_manual(), "python -m tests.rules --refresh writes docs/pybuild.1"


def test_the_manual_has_every_command_and_flag(groff: str) -> None:
    formatted = subprocess.run(
        [groff, "-man", "-Tutf8", "-P-cbou", "-rLL=1000n", str(MANUAL_FILE)], capture_output=True, text=True, check=True
    )
    text = formatted.stdout.replace("‐", "-")
    for verb, module in {**VERBS, **HIDDEN}.items():
        if verb in ("group_help", "complete"):
            continue
        parser = build_parser() if verb == "build" else parser_of(verb, module)
        assert re.search(rf"^ *{parser.prog}$", text, re.M) or verb == "build", parser.prog
        part = (
            text if verb in ("build", "plan") else text.split(f"   {parser.prog}\n", 1)[1].split("\n   pybuild ", 1)[0]
        )
        for action in (action for action in parser._actions if action.help != argparse.SUPPRESS):
            for name in set(action.option_strings) - {"-h", "--help"}:
                assert re.search(rf"(?<![\w-]){name}(?![\w-])", part), f"{parser.prog}: {name}"
    for group in GROUPS:
        assert f"pybuild {group}" in text


def test_no_formatter_finds_a_fault_in_the_manual(groff: str, mandoc: str) -> None:
    lint = subprocess.run([mandoc, "-Tlint", "-W", "style", str(MANUAL_FILE)], capture_output=True, text=True)
    # A page of its own says where it comes from, and which others there are depends on the machine.
    found = [line for line in lint.stdout.splitlines() if "referenced manual not found" not in line]
    assert found == []
    strict = [groff, "-ww", "-man", "-Tutf8", "-z", str(MANUAL_FILE)]
    assert subprocess.run(strict, capture_output=True, text=True).stderr == ""
