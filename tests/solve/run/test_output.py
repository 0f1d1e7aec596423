"""Output of a RUN: lines, and no secret in any of them, wherever the pieces end."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from builder.solve.run.output import Redactor, RunOutput


def shown(pieces: list[tuple[int, bytes]], *secrets: bytes) -> tuple[list[bytes], tuple[str, ...]]:
    lines: list[bytes] = []
    output = RunOutput(lines.append, Redactor(secrets))
    for stream, data in pieces:
        output.write(stream, data)
    output.finish()
    return lines, output.tail


def test_lines_are_cut_at_line_ends_only() -> None:
    assert shown([(1, b"a"), (1, b"b\nc"), (1, b"\r\n\nd")])[0] == [b"ab", b"c", b"", b"d"]


def test_stdout_and_stderr_do_not_mix_within_a_line() -> None:
    assert shown([(1, b"out"), (2, b"err\n"), (1, b"put\n")])[0] == [b"err", b"output"]


@given(st.integers(0, 20), st.integers(0, 20))
def test_a_secret_split_over_pieces_is_hidden(first: int, second: int) -> None:
    text = b"the token is s3cr3t-value, so\n"
    cuts = sorted((first, second))
    pieces = [(1, text[: cuts[0]]), (1, text[cuts[0] : cuts[1]]), (1, text[cuts[1] :])]
    assert shown(pieces, b"s3cr3t-value\n")[0] == [b"the token is ***, so"]


def test_each_line_of_a_secret_of_several_lines_is_hidden() -> None:
    key = b"-----BEGIN KEY-----\nc2VjcmV0\nbW9yZQ==\n-----END KEY-----\n"
    assert shown([(1, key)], key)[0] == [b"***"] * 4


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    assert shown([(1, b"password1234\n")], b"password", b"password1234")[0] == [b"***"]


@given(st.integers(0, 70_000))
def test_a_secret_in_a_line_that_never_ends_is_hidden(position: int) -> None:
    text = b"x" * position + b"s3cr3t" + b"x" * (140_000 - position)
    pieces = [(1, text[at : at + 65536]) for at in range(0, len(text), 65536)]
    lines, _ = shown(pieces, b"s3cr3t")
    joined = b"".join(lines)
    assert b"s3cr3t" not in joined
    assert joined == text.replace(b"s3cr3t", b"***")


def test_the_tail_holds_the_last_lines_with_secrets_hidden() -> None:
    _, tail = shown([(2, b"".join(b"line %d\n" % n for n in range(100)) + b"at s3cr3t\xff")], b"s3cr3t")
    assert len(tail) == 30
    assert tail[-1] == "at ***\ufffd"


@given(st.lists(st.integers(0, 60), max_size=4))
def test_what_goes_to_a_terminal_in_pieces_has_no_secret_in_it(cuts: list[int]) -> None:
    text = b"$ cat s; pass12 is password1234, word9 and so on: passw\r\n$ pass"
    redactor = Redactor([b"password1234", b"password", b"1234, word9"])
    edges = [0, *sorted(cuts), len(text)]
    said, held = b"", b""
    for begin, end in pairwise(edges):
        shown, held = redactor.screen(held + text[begin:end])
        said += shown
    said += redactor.hide(held)
    assert said.startswith(b"$ cat s; pass12 is ***")
    assert b"word1234" not in said
    assert b"password" not in said
    assert said.endswith(b"and so on: passw\r\n$ pass")
    assert redactor.screen(b"/ # ") == (b"/ # ", b""), "a prompt waits for nothing"
