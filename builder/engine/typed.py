"""Says whether a value that came from elsewhere is what its annotations say, all the way down. Pure."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def is_typed(value: Any, annotation: Any) -> bool:
    """Say whether `value` is of a type: a NamedTuple, tuple[X, ...], tuple[X, Y], X | Y, Literal, dict, or plain.

    A float may be written as an int; a bool is no number.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return True
    if origin in (Union, UnionType):
        return any(is_typed(value, each) for each in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(is_typed(each, arguments[0]) for each in value)
        return len(value) == len(arguments) and all(map(is_typed, value, arguments))
    if origin is dict:
        return isinstance(value, dict) and all(
            is_typed(key, arguments[0]) and is_typed(each, arguments[1]) for key, each in value.items()
        )
    if annotation in (None, NoneType):
        return value is None
    if annotation in (int, float):
        return isinstance(value, (int, annotation)) and not isinstance(value, bool)
    if hasattr(annotation, "_fields"):
        hints = get_type_hints(annotation)
        return isinstance(value, annotation) and all(
            is_typed(getattr(value, name), hints[name]) for name in annotation._fields
        )
    return isinstance(value, annotation)
