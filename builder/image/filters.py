"""Which images of a list somebody wants to see: `--filter` of docker's `images`, with its meaning.

reference=GLOB     name, or name:tag, as people type it; `*` stops at a slash; several are alternatives
dangling=true      without a name; false: with one
label=K, label=K=V all of them
before=IMAGE       made earlier than that image; since=IMAGE: later
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from builder.errors import UsageError
from builder.image.listing import ListedImage, get_image
from builder.image.timestamp import parse_timestamp
from builder.oci.reference import reference_or_none
from builder.store.store import Store
from builder.truth import truth_of

_KEYS = ("reference", "dangling", "label", "before", "since")


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """One `KEY=VALUE`."""

    key: str
    value: str


Test = Callable[[ListedImage], bool]


def parse_filters(words: Sequence[str]) -> tuple[ImageFilter, ...]:
    """Parse `KEY=VALUE` words. Raises UsageError."""
    return tuple(_parse(word) for word in words)


def image_test(store: Store, filters: Sequence[ImageFilter]) -> Test:
    """Return what says whether an image passes all filters. Raises StoreError for an image to compare with."""
    names = [_glob(one.value) for one in filters if one.key == "reference"]
    tests: list[Test] = [lambda image: any(_is_called(image, pattern) for pattern in names)] if names else []
    tests += [_test(store, one) for one in filters if one.key != "reference"]
    return lambda image: all(test(image) for test in tests)


def _parse(word: str) -> ImageFilter:
    key, equals, value = word.partition("=")
    if key not in _KEYS or not equals or not value:
        raise UsageError(f"--filter {word!r} is not known", hint=f"KEY=VALUE, where KEY is {', '.join(_KEYS)}.")
    if key == "dangling" and truth_of(value.lower()) is None:
        raise UsageError(f"--filter {word!r}: an image is dangling, true or false")
    if key == "reference":
        _glob(value)
    return ImageFilter(key, value)


def _test(store: Store, one: ImageFilter) -> Test:
    match one.key:
        case "dangling":
            wanted = truth_of(one.value.lower())
            return lambda image: (not image.name) is wanted
        case "label":
            key, equals, text = one.value.partition("=")
            return lambda image: key in image.labels and (not equals or image.labels[key] == text)
        case _:
            edge = parse_timestamp(get_image(store, one.value).config.created) or 0
            if one.key == "before":
                return lambda image: (parse_timestamp(image.created) or 0) < edge
            return lambda image: (parse_timestamp(image.created) or 0) > edge


def _is_called(image: ListedImage, pattern: re.Pattern[str]) -> bool:
    reference = reference_or_none(image.name)
    if reference is None:
        return False
    whole = reference.familiar
    name = whole.partition("@")[0].removesuffix(f":{reference.tag}" if reference.tag else "")
    return bool(pattern.fullmatch(whole) or pattern.fullmatch(name))


def _glob(glob: str) -> re.Pattern[str]:
    """Return the pattern that Go's path.Match has for `glob`. Raises UsageError."""
    result, at = "", 0
    while at < len(glob):
        letter = glob[at]
        at += 1
        if letter in "*?":
            result += "[^/]*" if letter == "*" else "[^/]"
        elif letter == "[":
            end = glob.find("]", at + 1)
            if end < 0:
                raise UsageError(f"--filter reference={glob}: a [ has no ]")
            inside = glob[at:end].replace("\\", "\\\\").replace("[", "\\[")
            result += f"[{inside}]"
            at = end + 1
        elif letter == "\\" and at < len(glob):
            result += re.escape(glob[at])
            at += 1
        else:
            result += re.escape(letter)
    try:
        return re.compile(result)
    except re.error as error:
        raise UsageError(f"--filter reference={glob}: {error}") from error
