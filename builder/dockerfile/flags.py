"""The flags of one instruction, read: each at most once unless it may be repeated, switches as booleans."""

from __future__ import annotations

from builder.dockerfile.arguments import Fault
from builder.dockerfile.instructions import Flag, Instruction, Word
from builder.dockerfile.lexer import REPEATABLE, SWITCHES, split_location


class Flags:
    """Access to the flags by name; that the instruction knows them is the grammar's business. Raises Fault."""

    def __init__(self, instruction: Instruction) -> None:
        self._flags: dict[str, list[Flag]] = {}
        for flag in instruction.flags:
            earlier = self._flags.setdefault(flag.name, [])
            if earlier and flag.name not in REPEATABLE:
                raise Fault(f"duplicate flag specified: --{flag.name}", flag.location)
            if flag.value is None and flag.name not in SWITCHES:
                hint = f"write --{flag.name}=value, without a blank"
                raise Fault(f"missing a value on flag: --{flag.name}", flag.location, hint)
            earlier.append(flag)

    def words(self, name: str) -> tuple[Word, ...]:
        """Return the values of a flag that may be repeated."""
        return tuple(_value(flag) for flag in self._flags.get(name, ()))

    def word(self, name: str) -> Word | None:
        """Return the value of a flag, or None when it is absent. An empty value counts as absent, as in BuildKit."""
        flags = self._flags.get(name)
        return _value(flags[0]) if flags and flags[0].value else None

    def get(self, name: str) -> Flag | None:
        """Return the flag itself, or None."""
        flags = self._flags.get(name)
        return flags[0] if flags else None

    def switch(self, name: str) -> bool | None:
        """Return a boolean flag, or None when it is absent."""
        flag = self.get(name)
        if flag is None:
            return None
        if flag.value == "":
            raise Fault(f"missing a value on flag: --{name}", flag.location)
        if flag.value is None or flag.value.lower() == "true":
            return True
        if flag.value.lower() == "false":
            return False
        message = f"expecting boolean value for flag --{name}, not: {flag.value}"
        raise Fault(message, flag.location, "write true or false")


def _value(flag: Flag) -> Word:
    prefix = len(flag.name) + len("--=")
    return Word(flag.value or "", split_location(flag.location, prefix, prefix)[1])
