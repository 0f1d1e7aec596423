"""Templates of `inspect -f`: what people write, with the text that docker prints for it; the rest is an error."""

from __future__ import annotations

import pytest

from builder.cli.display.go_template import compile_template
from builder.cli.display.go_values import Absent
from builder.errors import UsageError

IMAGE = {
    "Id": "sha256:1",
    "Size": 12,
    "Ok": True,
    "None": None,
    "Config": {
        "Cmd": ["sh", "-c", "x"],
        "Env": ["A=1", "B=2"],
        "Labels": {"b": "2", "a.b": "<1>"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": Absent("map[]"),
    },
    "Layers": [{"D": "one"}, {"D": "two"}],
    "Hostile": "a\x1b[31m",
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id}} {{ .Size }} {{.Ok}} {{.None}}", "sha256:1 12 true <no value>"),
        ("{{.Config.Cmd}} {{.Config.ExposedPorts}} {{.Config.Volumes}}", "[sh -c x] map[80/tcp:{}] map[]"),
        ("{{json .Config.Cmd}}{{.Config.Volumes | json}}", '["sh","-c","x"]null'),
        ('{{index .Config.Labels "a.b"}}|{{index .Config.Labels "no"}}|{{index .Config.Cmd 1}}', "<1>||-c"),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a.b=<1>;b=2;"),
        ("{{range $i, $l := .Layers}}{{if $i}}, {{end}}{{$l.D}}{{end}}", "one, two"),
        ("{{range .Config.Volumes}}x{{else}}none{{end}}", "none"),
        ("{{range .Layers}}{{.D}} of {{$.Id}} {{end}}", "one of sha256:1 two of sha256:1 "),
        ('{{join .Config.Cmd " "}} {{len .Layers}} {{len (index .Config.Env 0)}}', "sh -c x 2 3"),
        ('{{.Id | upper}} {{(index .Layers 1).D}} {{split "a:b" ":"}}', "SHA256:1 two [a b]"),
        ("{{if .None}}a{{else if .Ok}}b{{else}}c{{end}}", "b"),
        ('{{if eq .Size 12}}twelve{{end}}{{if not (ne .Id "x")}}no{{end}}', "twelve"),
        ("a {{- .Size -}} b", "a12b"),
        ("{{.Hostile}}", r"a\x1b[31m"),
        ("plain", "plain"),
    ],
)
def test_what_is_understood(template: str, text: str) -> None:
    assert compile_template(template)(IMAGE) == text


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{.Nothing}}", "there is no .Nothing"),
        ("{{.Config.Nothing}}", "there is no .Nothing"),
        ("{{.Id.x}}", "there is no .x"),
        ("{{.Id", "has no }}"),
        ("{{}}", "it is empty"),
        ("{{template .Id}}", "'template' is not known"),
        ("{{range .Layers}}x", "has no {{end}}"),
        ("{{end}}", "stands without"),
        ("{{if .Id}}x{{else}}y{{else}}z{{end}}", "has no {{end}}"),
        ("{{range .Id}}{{end}}", "cannot be ranged over"),
        ("{{$x}}", "$x is not declared"),
        ("{{json}}", "json takes 1 value"),
        ("{{index .Layers 7}}", "out of range"),
        ("{{join .Size 1}}", "cannot be joined"),
        ("{{len .Size}}", "has no length"),
        ("{{.Id .Size}}", "one value"),
        ("{{(.Id}}", "a ( has no )"),
        ("{{.Id | }}", "it is empty"),
        ("{{.Id ? 1}}", "is not understood"),
        ("{{range $a, $b, $c := .Layers}}{{end}}", "variables are declared"),
        ("{{if .Id}}" * 60 + "{{end}}" * 60, "too deeply"),
    ],
)
def test_the_rest_is_an_error_that_names_the_action(template: str, reason: str) -> None:
    with pytest.raises(UsageError, match=r"--format: \{\{") as caught:
        compile_template(template)(IMAGE)
    assert reason in caught.value.message
    assert caught.value.hint
