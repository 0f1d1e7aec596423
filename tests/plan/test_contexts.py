"""A context is read once, and only by builds that need it (Q-14)."""

from __future__ import annotations

import pytest

from tests.plan.planning import plan_of

ONE = "FROM scratch\nCOPY a /\nCOPY b /\nFROM x\nCOPY c /\nRUN --mount=target=/d true\n"


@pytest.mark.rule("Q-14")
@pytest.mark.parametrize(
    ("text", "contexts"),
    [
        ("FROM scratch\nENV a=b\n", ()),
        ("FROM x\nRUN true\n", ()),
        ("FROM scratch\nCOPY <<a /a\ntext\na\n", ()),
        ("FROM scratch\nADD https://example.org/x /x\n", ()),
        ("FROM x AS made\nRUN y\nFROM scratch\nCOPY --from=made /y /y\n", ()),
        (ONE, ("",)),
        ("FROM x AS unused\nCOPY a /\nFROM scratch\nENV a=b\n", ()),
    ],
)
def test_a_build_knows_which_contexts_it_reads(text: str, contexts: tuple[str, ...]) -> None:
    assert plan_of(text).contexts == contexts


@pytest.mark.rule("Q-14", "N-4")
def test_a_named_context_is_read_beside_the_main_one_when_it_is_used() -> None:
    named = {"more": "/elsewhere"}
    text = "FROM scratch\nCOPY a /\nCOPY --from=more b /\n"
    assert set(plan_of(text, named_contexts=named).contexts) == {"", "more"}
    assert plan_of("FROM scratch\nCOPY a /\n", named_contexts=named).contexts == ("",)
