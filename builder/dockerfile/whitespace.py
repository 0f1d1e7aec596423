"""What counts as blank in a Dockerfile.

Two sets, as in BuildKit's parser: `BLANKS` (Unicode's White_Space, Go's unicode.IsSpace) around lines and between
quoted words, and the five ASCII separators (`SEPARATORS`) after the keyword and between plain words. A no-break space
is therefore part of a plain word: `RUN\\u00a0make` is an unknown instruction.
"""

from __future__ import annotations

import re

# str.isspace() knows four control characters (FS, GS, RS, US) that Go does not.
BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
SEPARATORS = "\t\v\f\r "

PLAIN_WORD = re.compile(rf"[^{SEPARATORS}]+")
BLANK_RUN = re.compile(rf"[{BLANKS}]+")


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return `start` and `end` moved inwards past blanks."""
    end = start + len(text[start:end].rstrip(BLANKS))
    return end - len(text[start:end].lstrip(BLANKS)), end
