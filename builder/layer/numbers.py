"""Numbers as tar headers and PAX records write them. Pure. Python's int() takes more, and of 4,300 digits nothing."""

from __future__ import annotations

from builder.errors import LayerError

MAX_NUMBER = (1 << 63) - 1
_MAX_DIGITS = 19
_SHOWN = 40
"""Bytes of a wrong number that a message shows."""


def parse_field(field: bytes, *, signed: bool = False) -> int:
    """Return the number in a field of a header: octal, or base-256 as GNU tar has it. Raises LayerError."""
    first = field[0]
    if first < 0x80:
        return parse_octal(field)
    # GNU base-256: the first bit says so, the second is the sign (tar(5), "GNU tar archives").
    value = int.from_bytes(bytes([first & 0x7F]) + field[1:], "big")
    if first & 0x40:
        value -= 1 << (8 * len(field) - 1)
    if value > MAX_NUMBER or value < (-MAX_NUMBER if signed else 0):
        raise LayerError(f"a header of the archive has a number out of range: {value}")
    return value


def parse_octal(field: bytes) -> int:
    """Return the octal number in a field; blanks around it do not count, and nothing is 0. Raises LayerError."""
    text = field[:-1]
    if not text.isdigit():
        text = field.partition(b"\0")[0].strip(b" ")
        if not text:
            return 0
    try:
        if text.isdigit():
            return int(text, 8)
    except ValueError:
        pass
    raise LayerError(f"a header of the archive has {field!r} where an octal number should stand")


def parse_decimal(value: bytes, what: str, largest: int = MAX_NUMBER) -> int:
    """Return the decimal number `value`; `what` names it in the message. Raises LayerError."""
    if not value.isdigit() or len(value) > _MAX_DIGITS or int(value) > largest:
        raise LayerError(f"a PAX header holds {value[:_SHOWN]!r} as {what}, which is not a number in range")
    return int(value)
