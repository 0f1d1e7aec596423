"""--chmod against what docker 28.5 (BuildKit) made of twelve files and directories for each mode."""

from __future__ import annotations

import pytest

from builder.errors import ContextError
from builder.solve.copy.chmod import octal_mode, parse_chmod

NAMES = ("d0000", "d0644", "d0755", "d1600", "d4755", "d6711", "f0000", "f0644", "f0755", "f1600", "f4755", "f6711")
MEASURED = {
    "u=rwX,go=rX": "0755 0755 0755 1755 0755 0755 0644 0644 0755 1644 0755 0755",
    "a=r": "0444 0444 0444 1444 0444 0444 0444 0444 0444 1444 0444 0444",
    "=": "0000 0000 0000 1000 0000 0000 0000 0000 0000 1000 0000 0000",
    "u=": "0000 0044 0055 1000 0055 2011 0000 0044 0055 1000 0055 2011",
    "u+s": "4000 4644 4755 5600 4755 6711 4000 4644 4755 5600 4755 6711",
    "g=u": "0000 0664 0775 1660 4775 6771 0000 0664 0775 1660 4775 6771",
    "+t": "1000 1644 1755 1600 5755 7711 1000 1644 1755 1600 5755 7711",
    "o+t": "0000 0644 0755 1600 4755 6711 0000 0644 0755 1600 4755 6711",
    "u+t": "1000 1644 1755 1600 5755 7711 1000 1644 1755 1600 5755 7711",
    "a-t": "0000 0644 0755 0600 4755 6711 0000 0644 0755 0600 4755 6711",
    "=t": "1000 1644 1755 1600 5755 7711 1000 1644 1755 1600 5755 7711",
    "go-w+X": "0011 0655 0755 1611 4755 6711 0000 0644 0755 1600 4755 6711",
    "u=s": "4000 4044 4055 5000 4055 6011 4000 4044 4055 5000 4055 6011",
    "a=s": "6000 6000 6000 7000 6000 6000 6000 6000 6000 7000 6000 6000",
    "u=g": "0000 0444 0555 1000 4555 6111 0000 0444 0555 1000 4555 6111",
    "u=rx+w": "0700 0744 0755 1700 0755 2711 0700 0744 0755 1700 0755 2711",
    "uo=rw": "0606 0646 0656 1606 0656 2616 0606 0646 0656 1606 0656 2616",
    "a+u": "0000 0666 0777 1666 4777 6777 0000 0666 0777 1666 4777 6777",
    "u=rwg": "0000 0444 0555 1000 0555 2111 0000 0444 0555 1000 0555 2111",
    "-s": "0000 0644 0755 1600 0755 0711 0000 0644 0755 1600 0755 0711",
}


@pytest.mark.rule("C-18")
@pytest.mark.parametrize("text", MEASURED)
def test_a_symbolic_mode_does_what_buildkit_does(text: str) -> None:
    change = parse_chmod(text)
    got = [f"{change(int(name[1:], 8), name[0] == 'd'):04o}" for name in NAMES]
    assert got == MEASURED[text].split()


@pytest.mark.rule("C-18")
@pytest.mark.parametrize(
    ("text", "mode"), [("0644", 0o644), ("7", 0o7), ("07777", 0o7777), ("1755", 0o1755), ("00755", 0o755)]
)
def test_an_octal_mode_is_the_mode(text: str, mode: int) -> None:
    assert octal_mode(text) == mode
    assert parse_chmod(text)(0o4711, True) == mode


@pytest.mark.rule("C-18")
@pytest.mark.parametrize("text", ["64a", "08", "10000", "7" * 5000])
def test_a_number_that_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(ContextError, match="it should be octal string and between 0 and 07777"):
        parse_chmod(text)


@pytest.mark.rule("C-18")
@pytest.mark.parametrize("text", ["x", "u", "u+q", "u=rw,", ",u+x", "rwx", "a b", "u+r w"])
def test_a_word_that_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(ContextError, match="invalid chmod parameter"):
        parse_chmod(text)
