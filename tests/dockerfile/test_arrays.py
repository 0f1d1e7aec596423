"""What is said of texts that were meant as JSON arrays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.arrays import array_fault, is_meant_as_array
from builder.dockerfile.splitting import JsonStringsOnly, read_json_array
from builder.errors import DockerfileSyntaxError
from tests.dockerfile.reading import statement


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["a" "b"]', 'a comma is missing before "b"'),
        ('["a","b" "c"]', 'a comma is missing before "c"'),
        ('["a", "b"] # why', "a comment stands behind it, which needs a line of its own"),
        ('["a", "b"]#why', "a comment stands behind it, which needs a line of its own"),
        ('["a", "b"] && c', '"&& c" stands behind it'),
        ("[] x", '"x" stands behind it'),
        ('["a", "b",]', "a comma stands before its last bracket"),
        ('["a", "b"', "its last bracket is missing"),
        ('["a",', "its last bracket is missing"),
        ('["a", "b]', "a string has no closing quote"),
        ("['a', 'b']", "'a' is not in double quotes"),
        ("[a, b]", '"a" is not in double quotes'),
        ('["a", b]', '"b" is not in double quotes'),
        (r'["C:\x", "b"]', r'in "C:\x" a backslash must be written twice'),
        ('["a", "b"]', ""),
        ("[]", ""),
        (' ["a"]'.strip(), ""),
    ],
)
def test_the_first_thing_wrong_is_named(text: str, said: str) -> None:
    assert array_fault(text) == said


@given(st.text(alphabet="[]\",'ab \\#n", max_size=12))
def test_an_array_has_a_fault_exactly_when_it_is_not_read_as_one(rest: str) -> None:
    text = f"[{rest}".strip(" ")
    try:
        is_array = read_json_array(text) is not None
    except JsonStringsOnly:
        return
    assert (array_fault(text) == "") == is_array


@given(st.lists(st.text(max_size=5), max_size=4))
def test_what_json_writes_has_no_fault(strings: list[str]) -> None:
    assert array_fault(json.dumps(strings)) == ""


@pytest.mark.parametrize(
    ("text", "meant"), [('["a"', True), ("['a'", True), ('[ "$a" = b ]', False), ("[[ a ]]", False)]
)
def test_a_test_of_the_shell_is_not_meant_as_an_array(text: str, meant: bool) -> None:
    assert is_meant_as_array(text) is meant


@pytest.mark.parametrize("text", ['["/bin/bash" "-c"]', "['/bin/bash']", '["/bin/bash", "-c"] # why'])
def test_shell_says_what_is_wrong_with_its_array(text: str) -> None:
    with pytest.raises(DockerfileSyntaxError) as caught:
        statement(f"SHELL {text}")
    assert caught.value.hint == f"This is no JSON array: {array_fault(text)}."
