"""--chmod: octal, or symbolic with a umask of 0.

    0755   u=rwX,go=rX   a+x   g=u   +t   u+s,g-w+x

Symbolic modes are BSD's setmode(3), which BuildKit uses in a Go version, and not chmod(1)'s of coreutils: `=` also
clears a directory's set-id bits, copying (`g=u`) never does, only `t` touches the sticky bit, `o+t` means nothing, and
`X` looks at the mode before the whole change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from builder.errors import ContextError

_MAX_MODE = 0o7777
_STANDARD = 0o6777
"""What `a` stands for: all but the sticky bit."""
_STICKY = 0o1000
_OTHERS = 0o007
_WHO = {"a": _STANDARD, "u": 0o4700, "g": 0o2070, "o": _OTHERS}
_PERMISSIONS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": _STICKY}
_SHIFT = {"u": 6, "g": 3, "o": 0}

ChangeMode = Callable[[int, bool], int]
"""(mode, is a directory) → mode."""


class _Bits(NamedTuple):
    """Clear some bits, then set some; with `if_executable` only for directories and what anyone may execute."""

    clear: int = 0
    set: int = 0
    if_executable: bool = False


class _Copy(NamedTuple):
    """Add (`+`), remove (`-`) or put (`=`) the bits of one class to those of others, given as shifts."""

    operator: str
    source: int
    targets: tuple[int, ...]


def parse_chmod(text: str) -> ChangeMode:
    """Return what --chmod `text` does to a mode. Raises ContextError."""
    octal = octal_mode(text)
    if octal is not None:
        return lambda _mode, _is_directory: octal
    commands = [command for clause in text.split(",") for command in _parse_clause(clause, text)]

    def change(mode: int, is_directory: bool) -> int:
        # Before the commands: `X` must not see what an earlier clause has set.
        executable = is_directory or bool(mode & 0o111)
        for command in commands:
            if isinstance(command, _Copy):
                mode = _copy(mode, command)
            elif executable or not command.if_executable:
                mode = mode & ~command.clear | command.set
        return mode

    return change


def octal_mode(text: str) -> int | None:
    """Return the mode `text` writes in octal, None when it is symbolic. Raises ContextError for bad numbers."""
    if not text[:1].isdigit():
        return None
    if not all(character in "01234567" for character in text) or int(text[-12:], 8) > _MAX_MODE or len(text) > 12:
        raise ContextError(
            f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
            hint="Write four octal digits such as 0755, or a symbolic mode such as u=rwX,go=rX.",
        )
    return int(text, 8)


def _parse_clause(clause: str, text: str) -> Iterator[_Bits | _Copy]:
    """[ugoa]* then one or more of [+-=] each with letters of rwxXst and ugo, the latter copying."""
    rest = clause.lstrip("ugoa")
    who = 0
    for letter in clause[: len(clause) - len(rest)]:
        who |= _WHO[letter]
    if not rest or rest[0] not in "+-=":
        raise _malformed(text)
    position = 0
    while position < len(rest):
        end = position + 1
        while end < len(rest) and rest[end] not in "+-=":
            end += 1
        letters = rest[position + 1 : end]
        if not set(letters) <= set("rwxXstugo"):
            raise _malformed(text)
        # The sticky bit is in no class of `_WHO`: a clause that names it gets it, unless it is for others alone.
        if "t" in letters and (who == 0 or who & ~_OTHERS):
            yield from _parse_action(rest[position], who | _STICKY, letters)
        else:
            yield from _parse_action(rest[position], who, letters)
        position = end


def _parse_action(operator: str, who: int, letters: str) -> Iterator[_Bits | _Copy]:
    only_others = bool(who) and not who & ~_OTHERS
    bits, execute, done = 0, False, False
    for letter in letters:
        if letter == "X":
            execute = True
        elif letter in _SHIFT:
            # In the order of the letters: what a class is copied from includes the bits that stand before it.
            if bits:
                yield _bits(operator, who, bits)
                bits = 0
            # `who` is a mask by now, and a class is in it when its read bit is.
            targets = tuple(shift for shift in _SHIFT.values() if not who or who >> shift & 4)
            yield _Copy(operator, _SHIFT[letter], targets)
            done = True
        elif not (letter in "st" and only_others):
            bits |= _PERMISSIONS[letter]
    # `u=` clears, and `u=g` must not: the copy has done all that `=` does, and set-id bits are not its business.
    if bits or (operator == "=" and not done):
        yield _bits(operator, who, bits)
    if execute:
        bits = (who or _STANDARD) & 0o111
        yield _Bits(clear=bits, if_executable=True) if operator == "-" else _Bits(set=bits, if_executable=True)


def _bits(operator: str, who: int, bits: int) -> _Bits:
    bits &= who or _MAX_MODE
    if operator == "-":
        return _Bits(clear=bits)
    return _Bits(clear=(who or _STANDARD) if operator == "=" else 0, set=bits)


def _copy(mode: int, command: _Copy) -> int:
    value = mode >> command.source & 7
    for shift in command.targets:
        if command.operator == "=":
            mode &= ~(7 << shift)
        if command.operator == "-":
            mode &= ~(value << shift)
        else:
            mode |= value << shift
    return mode


def _malformed(text: str) -> ContextError:
    return ContextError(
        f"invalid chmod parameter: {text!r}",
        hint="Write four octal digits such as 0755, or clauses such as u=rwX,go+r.",
    )
