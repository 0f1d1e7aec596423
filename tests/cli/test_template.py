"""--format of lists: what of Go's templates is understood, and that the rest is an error."""

from __future__ import annotations

import pytest

from builder.cli.display.template import formatted, with_column
from builder.errors import UsageError

HEADS = {"ID": "IDENTIFIER", "Name": "NAME"}
ROWS = [{"ID": "1", "Name": "a\x1b[31m"}, {"ID": "22", "Name": "b"}]


@pytest.mark.parametrize(
    ("template", "lines"),
    [
        ("{{.ID}}", ["1", "22"]),
        (r"{{ .ID }}:{{.Name}}", [r"1:a\x1b[31m", "22:b"]),
        (r"table {{.ID}}\t{{.Name}}", ["IDENTIFIER   NAME", r"1            a\x1b[31m", "22           b"]),
        (r"table{{.ID}}", ["IDENTIFIER", "1", "22"]),
        *((alone, ["NAME", r"a\x1b[31m", "b"]) for alone in ("", "table", "table ")),
        ("{{json .ID}}", ['"1"', '"22"']),
        ("json", ['{"ID": "1", "Name": "a\\u001b[31m"}', '{"ID": "22", "Name": "b"}']),
        (r"{{.ID}}\n-", ["1", "-", "22", "-"]),
    ],
)
def test_what_is_understood(template: str, lines: list[str]) -> None:
    assert list(formatted(template, ROWS, HEADS, ["Name"])) == lines


@pytest.mark.parametrize("template", ["{{.Nothing}}", "{{upper .ID}}", "{{.ID", "table {{.}}", "{{if .ID}}x{{end}}"])
@pytest.mark.parametrize("rows", [ROWS, []])
def test_what_is_not_is_an_error(template: str, rows: list[dict[str, str]]) -> None:
    with pytest.raises(UsageError, match=r"--format: \{\{"):
        list(formatted(template, rows, HEADS, []))


def test_a_flag_adds_its_column_to_a_table_without_it() -> None:
    assert with_column("table {{.ID}}", "Name") == r"table {{.ID}}\t{{.Name}}"
    for template in ("", "table", "{{.ID}}", "json", "table {{ .Name }}"):
        assert with_column(template, "Name") == template
