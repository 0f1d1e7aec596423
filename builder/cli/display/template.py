"""--format of lists: `table {{.ID}}\\t{{.Names}}`, `json`, or a line of text with fields, as people write for docker.

Of Go's templates what lists are asked with: {{.Field}}, {{json .}}, {{json .Field}}, \\t and \\n. Anything else is an
error that says which fields there are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from builder.cli.display.text import clean, table_lines
from builder.errors import UsageError

Row = Mapping[str, str]

_ACTION = re.compile(r"\{\{-?\s*(?:(json)\s+)?\.(\w*)\s*-?\}\}")
_TABLE = "table"


def formatted(template: str, rows: Sequence[Row], heads: Mapping[str, str], columns: Sequence[str]) -> Iterator[str]:
    """Yield the lines of `rows`; `heads` names each field that a row has, `columns` those of the table that is shown
    when nothing else, or `table` alone, is asked for. Raises UsageError.
    """
    if template == "json":
        yield from (json.dumps(dict(row)) for row in rows)
        return
    if template.strip() in ("", _TABLE):
        yield from table_lines([heads[name] for name in columns], [[row[name] for name in columns] for row in rows])
        return
    if template.startswith(_TABLE):  # docker needs no blank behind it
        # People write \t in single quotes, so two characters come here.
        cells = _unescaped(template[len(_TABLE) :].strip()).split("\t")
        head = [_filled(cell, heads, heads) for cell in cells]
        yield from table_lines(head, [[_filled(cell, row, heads) for cell in cells] for row in rows])
        return
    text = _unescaped(template)
    _filled(text, heads, heads)  # a wrong field is wrong for no rows, too
    for row in rows:
        yield from _filled(text, row, heads).split("\n")


def with_column(template: str, name: str) -> str:
    """Return a template with one more field, if it is a table of fields without it: of what a flag asks for."""
    is_table = template.startswith(_TABLE) and template.strip() != _TABLE
    is_there = any(found[2] == name for found in _ACTION.finditer(template))
    return f"{template}\\t{{{{.{name}}}}}" if is_table and not is_there else template


def _filled(text: str, row: Row, heads: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        as_json, name = match.groups()
        if not name:
            if as_json:
                return json.dumps(dict(row))
            raise _wrong(match[0], heads)
        if name not in heads:
            raise _wrong(match[0], heads)
        return json.dumps(row[name]) if as_json else clean(row[name])

    result = _ACTION.sub(value, text)
    # What no field has taken is an error: Go's templates can do more than is done here.
    left = re.search(r"\{\{.*?(\}\}|$)", _ACTION.sub("", text))
    if left:
        raise _wrong(left[0], heads)
    return result


def _unescaped(text: str) -> str:
    return text.replace("\\t", "\t").replace("\\n", "\n")


def _wrong(action: str, heads: Mapping[str, str]) -> UsageError:
    return UsageError(
        f"--format: {action} is nothing that can be shown",
        hint=f"Fields are {', '.join(f'.{name}' for name in heads)}; and {{{{json .}}}}.",
    )
