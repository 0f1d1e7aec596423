"""`plan --graph`: three forms of one graph, and no text of a Dockerfile gets out of its quotes in any."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from builder.cli.main import main
from builder.engine.build import build
from builder.engine.plan_graph import PlanGraph, plan_graphs
from builder.engine.request import BuildRequest

HOSTILE = 'a"]; x -->|&lt;\\N\\" <script>alert(1)</script> %% `é` \u202e #quot; end'
DOCKERFILE = """\
FROM scratch AS tools
COPY a /bin/tool
FROM scratch AS build
WORKDIR /w
COPY . /src
COPY --from=tools /bin/tool /bin/
FROM scratch AS spare
COPY a /
FROM scratch AS app
COPY --link a /first
COPY --from=build /src /app
WORKDIR "/HOSTILE"
"""


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> BuildRequest:
    folder = tmp_path_factory.mktemp("graph")
    context = folder / "context"
    context.mkdir()
    for name in ("a", "b"):
        (context / name).write_text(name)
    quoted = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
    (context / "Dockerfile").write_text(DOCKERFILE.replace("HOSTILE", quoted))
    found = BuildRequest(root=str(folder / "store"), context=str(context))
    build(found)
    (context / "b").write_text("changed")
    return found


@pytest.fixture(scope="module")
def graph(request_: BuildRequest) -> PlanGraph:
    (found,) = plan_graphs(request_)
    return found


def printed(request: BuildRequest, form: str, capfdbinary: pytest.CaptureFixture[bytes]) -> str:
    assert main(["--root", request.root, "plan", "--graph", form, request.context]) == 0
    return capfdbinary.readouterr().out.decode()


def test_the_graph_has_stages_edges_times_and_what_the_cache_has(graph: PlanGraph) -> None:
    outcomes = {step.node.text.split(" ")[-1]: step.outcome for step in graph.steps}
    assert outcomes["/bin/tool"] == outcomes["/first"] == outcomes["/w"] == "hit"
    assert (outcomes["/src"], outcomes["/bin/"], outcomes["/app"]) == ("miss", "waits", "waits")
    assert graph.skipped == ("spare",)
    assert set(graph.stages()) == {"tools", "build", "app"}
    assert all(step.seconds is not None for step in graph.steps)
    named = {step.node.step: step.node.text for step in graph.steps}
    copies = {(named[edge.needed], named[edge.step]) for edge in graph.edges if edge.relation == "copies from"}
    assert copies == {
        ("COPY a /bin/tool", "COPY --from=tools /bin/tool /bin/"),
        ("COPY --from=tools /bin/tool /bin/", "COPY --from=build /src /app"),
    }


def test_the_critical_path_is_a_way_and_the_longest(graph: PlanGraph) -> None:
    way = [step for step in graph.steps if step.is_critical]
    assert sum(step.seconds or 0 for step in way) == pytest.approx(graph.critical_seconds)
    assert len([edge for edge in graph.edges if edge.is_critical]) == len(way) - 1
    assert max(step.seconds or 0 for step in graph.steps) <= graph.critical_seconds <= graph.work_seconds


def test_mermaid_text_holds_no_letter_that_means_something(
    request_: BuildRequest, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    line = re.compile(
        r'flowchart TB|  subgraph s0_\d\["[^"]*"\]|    n0_\d+\["(?P<label>[^"]*)"\]:::(hit|miss|waits)|  end'
        r'|  n0_\d+ (-->|==>|-\. "(copies from|mounts)" \.->) n0_\d+|  x0_0\["[^"]*"\]:::skipped'
        r"|  classDef \w+ \S+|  linkStyle [\d,]+ stroke-width:4px"
    )
    for one in printed(request_, "mermaid", capfdbinary).splitlines():
        found = line.fullmatch(one)
        assert found, one
        label = re.sub(r"#\d+;|<br/>", "", found["label"] or "")
        assert not set(label) & set("<>&#\"'`[](){}|\\;%\u202e"), one


def test_dot_is_quoted_and_read_by_graphviz(
    request_: BuildRequest, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    text = printed(request_, "dot", capfdbinary)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL)
    ours = "digraph build rankdir TB node shape box style fontname fontsize 10 subgraph label fillcolor color penwidth"
    known = {*ours.split(), *["solid", "dashed", "dotted", "1", "3", "fontcolor"]}
    assert {word for word in re.findall(r"\w+", bare) if not re.fullmatch(r"(n|cluster_|x)0_\d+|n0|x0", word)} <= known
    if program := shutil.which("dot"):
        subprocess.run([program, "-Tsvg", "-o", tmp_path / "g.svg"], input=text.encode(), check=True)


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.policy = self.style = ""
        self.text: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._inside = tag
        self.attributes |= {name for name, _ in attrs}
        values = dict(attrs)
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.style, self._inside = self.style + data, ""
        else:
            self.text.append(data)


def test_the_page_allows_nothing_but_its_own_style_and_says_all_in_words(
    request_: BuildRequest, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    page = Page()
    page.feed(printed(request_, "html", capfdbinary))
    assert not page.tags & {"script", "img", "link", "iframe", "foreignobject", "a"}
    assert not page.attributes & {"style", "src", "href", "onload", "onclick"}
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert page.policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    text = "".join(page.text)
    for said in ("<script>alert(1)</script>", "critical path", "cached", "runs", "waits", "b changed", "spare"):
        assert said in text, said
    assert "\u202e" not in text, "what turns the reading round is shown, not obeyed"
