"""A miss is explained by comparing preimages, and the explanation names what the user can see."""

from __future__ import annotations

from typing import Any

import pytest

from builder.oci.canonical import encode
from builder.solve.reason import EVICTED, FIRST_BUILD, differences, main_reason

RUN: dict[str, Any] = {
    "operation": "run",
    "parent": "sha256:a",
    "argv": ["/bin/sh", "-c", "make"],
    "env": ["A=1"],
    "inputs": {},
}
COPY: dict[str, Any] = {
    "operation": "copy", "parent": "sha256:a", "destination": "/app/",
    "inputs": {"sources": [{"paths": {"app.py": {"digest": "d1", "files": {"app.py": "0644 x"}}}}]},
}  # fmt: skip


def reason(before: dict[str, Any], **changes: Any) -> str:
    return main_reason(encode(before), encode(before | changes))


def test_without_an_earlier_record_the_step_was_not_built_here() -> None:
    assert main_reason(None, encode(RUN)) == FIRST_BUILD


def test_an_equal_preimage_without_a_record_means_it_was_evicted() -> None:
    assert reason(RUN) == EVICTED


@pytest.mark.rule("Q-15")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"argv": ["/bin/sh", "-c", "make all"]}, "the command changed"),
        ({"env": ["A=2"]}, "variable A changed"),
        ({"env": ["A=1", "B=2"]}, "variable B was added"),
        ({"env": []}, "variable A was removed"),
        ({"parent": "sha256:b"}, "the layers below changed"),
        ({"user": "app"}, "the user was added"),
    ],
)
def test_the_field_that_changed_is_named(changes: dict[str, Any], expected: str) -> None:
    assert reason(RUN, **changes) == expected


def test_the_layers_below_are_the_least_interesting_reason() -> None:
    assert reason(RUN, parent="sha256:b", argv=["x"]) == "the command changed and 1 more"


def test_a_changed_file_is_named() -> None:
    inputs = {"sources": [{"paths": {"app.py": {"digest": "d2", "files": {"app.py": "0644 y"}}}}]}
    assert reason(COPY, inputs=inputs) == "app.py changed"


def test_a_new_file_is_named_as_added() -> None:
    inputs = {"sources": [{"paths": {"app.py": {"digest": "d2", "files": {"app.py": "0644 x", "b.py": "0644 z"}}}}]}
    found = differences(encode(COPY), encode(COPY | {"inputs": inputs}))
    assert [str(each) for each in found] == ["b.py was added"]
