"""What pages name is there: files, rooms, targets of links, and make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/glossary.md",
    "docs/api.md",
    "fixtures/README.md",
)
_PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|md|toml|lark|json|txt)))`")
_LINK = re.compile(r"\]\(([^)#:]+)\)")
_TARGET = re.compile(r"(?:`|^\$ (?:\w+=\S+ )*)make ([a-z-]+)", re.MULTILINE)
_OF_A_CASE = {"case.json", "expected.json", "prepare.py", "context/", "www/", "index.json", "blobs/", ".demo/"}
"""Names of what lies in many places, in a store, or is made."""


def text_of(page: str) -> str:
    return (CHECKOUT / page).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    missing = []
    for name in _PATH.findall(text_of(page)):
        places = (CHECKOUT, CHECKOUT / "builder", (CHECKOUT / page).parent)
        if name not in _OF_A_CASE and not any((place / name).exists() for place in places):
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    assert not [link for link in _LINK.findall(text_of(page)) if not ((CHECKOUT / page).parent / link).exists()]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_page_shows_is_there(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    shown = set(_TARGET.findall(text_of(page)))
    assert shown
    assert shown <= targets
