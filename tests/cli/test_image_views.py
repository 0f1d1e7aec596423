"""Images looked at: lists with filters and formats, the tree of shared layers, docker's view of a history."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from builder.cli.main import main
from builder.engine.build import build
from builder.engine.images import list_images
from builder.engine.request import BuildRequest
from builder.store.store import open_store

BIG = 50_000
"""Bytes; so that sizes of files, of tars and of compressed layers all differ."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """base ◀ app:1 = app:latest, team/web, and an image without a name."""
    folder = tmp_path_factory.mktemp("context")
    store = str(folder.parent / f"{folder.name}-store")
    (folder / "big").write_bytes(b"z" * BIG)
    (folder / "small").write_bytes(b"abc")
    for text, tags in (
        ('FROM scratch\nCOPY big /\nLABEL team=x kind=base\nCMD ["/big"]\n', ("base",)),
        ("FROM base\nCOPY small /a\nLABEL kind=app\n", ("app:1", "app")),
        ("FROM base\nCOPY small /b\nCOPY small /c\n", ("team/web",)),
        ("FROM base\nCOPY small /d\n", ()),
    ):
        (folder / "Dockerfile").write_text(text)
        build(BuildRequest(root=store, context=str(folder), tags=tags))
    return store


class Screen:
    """What the program shows of the shared store."""

    def __init__(self, root: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._root = root
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> list[str]:
        """Return the lines of `pybuild WORDS`, those of the error when it is to end with another code."""
        self._capsys.readouterr()
        assert main(["--root", self._root, *words]) == code
        captured = self._capsys.readouterr()
        return (captured.err if code else captured.out).splitlines()


@pytest.fixture
def screen(root: str, capsys: pytest.CaptureFixture[str]) -> Screen:
    return Screen(root, capsys)


def names(screen: Screen, *words: str) -> set[str]:
    return set(screen("images", "--format", "{{.Repository}}:{{.Tag}}", *words))


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        (["reference=app"], {"app:1", "app:latest"}),
        (["reference=a*:l*"], {"app:latest"}),
        (["reference=*"], {"app:1", "app:latest", "base:latest"}),  # a star stops at a slash, as in Go
        (["reference=*/w?b", "reference=bas[a-f]"], {"team/web:latest", "base:latest"}),
        (["dangling=true"], {"<none>:<none>"}),
        (["dangling=0", "label=kind=base"], {"base:latest", "team/web:latest"}),
        (["label=team", "label=kind=app"], {"app:1", "app:latest"}),
        (["before=app:1"], {"base:latest"}),
        (["since=app:1"], {"team/web:latest", "<none>:<none>"}),
        (["since=base", "before=team/web"], {"app:1", "app:latest"}),
        (["label=nothing"], set()),
    ],
)
def test_filters_mean_what_they_mean_to_docker(screen: Screen, filters: list[str], shown: set[str]) -> None:
    assert names(screen, *(word for one in filters for word in ("-f", one))) == shown


@pytest.mark.parametrize(
    ("word", "fragment"),
    [("size=1", "is not known"), ("label", "is not known"), ("dangling=maybe", "true or false"), ("reference=[a", "]")],
)
def test_a_filter_that_is_none_is_refused(screen: Screen, word: str, fragment: str) -> None:
    assert fragment in screen("images", "-f", word, code=2)[0]
    assert "no such image: nothing" in screen("images", "--filter=since=nothing", code=1)[0]


def test_quiet_with_a_filter_gives_what_rmi_takes(screen: Screen) -> None:
    (identifier,) = screen("images", "-q", "-f", "dangling=true")
    assert len(identifier) == 12


def test_each_size_means_one_thing(screen: Screen, root: str) -> None:
    sizes = {
        row["name"] or "-": (row["size"], row["shared_size"], row["own_size"], row["compressed_size"])
        for row in map(dict, json.loads("\n".join(screen("images", "--json"))))
    }
    assert sizes["docker.io/library/base:latest"] == (BIG, BIG, 0, None)
    assert sizes["docker.io/library/app:1"] == sizes["docker.io/library/app:latest"] == (BIG + 3, BIG, 3, None)
    assert sizes["docker.io/team/web:latest"] == (BIG + 6, BIG, 6, None)


def test_what_a_registry_counts_is_known_once_layers_were_compressed(root: str, tmp_path: Path) -> None:
    """And a base that came compressed is counted like layers of our own: unpacked in one size, packed in the other."""
    archive, other = str(tmp_path / "app.tar"), str(tmp_path / "store")
    assert main(["--root", root, "copy", "-q", "app:1", f"oci-archive:{archive}"]) == 0
    assert main(["--root", other, "copy", "-q", f"oci-archive:{archive}", "app:1"]) == 0
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM app:1\nCOPY Dockerfile /\n")
    build(BuildRequest(root=other, context=str(context), tags=("child",)))
    from_here, there, child = (_sizes(store, name) for store, name in ((root, "app"), (other, "app"), (other, "child")))
    assert from_here == there
    assert there[0] == BIG + 3
    assert there[1] is not None
    assert there[1] < BIG
    assert child == (BIG + 3 + len("FROM app:1\nCOPY Dockerfile /\n"), None)


def _sizes(root: str, name: str) -> tuple[int | None, int | None]:
    (found, *_) = list_images(root, name, notify=lambda sentence: None)
    return found.size, found.compressed_size


def test_a_layer_that_another_tool_put_here_is_measured_when_it_is_first_shown(root: str, tmp_path: Path) -> None:
    layout = str(tmp_path / "layout")
    assert main(["--root", root, "copy", "-q", "app:1", f"oci:{layout}:app"]) == 0
    assert _sizes(layout, "")[0] == BIG + 3
    with open_store(layout) as store:
        assert len(store.layers.walk()) == 2


def test_fields_are_dockers_and_a_wrong_one_says_which_there_are(screen: Screen) -> None:
    assert screen("images", "base", "--format", r"table {{.Repository}}\t{{.Size}}\t{{.UniqueSize}}") == [
        "REPOSITORY   SIZE   UNIQUE SIZE",
        "base         50kB   0B",
    ]
    # Ages go on between two commands.
    views = [
        [
            re.sub(r" +((\d+|Less than a|About a) (second|minute)s? ago)? *", " ", line)
            for line in screen("images", *words)
        ]
        for words in ((), ("--format", "table"))
    ]
    assert views[0] == views[1]
    row = json.loads(screen("images", "base", "--format", "json")[0])
    assert {"ID", "Repository", "Tag", "Digest", "CreatedSince", "CreatedAt", "Size", "Containers"} <= row.keys()
    assert ".Repository" in screen("images", "--format", "{{.Name}}", code=2)[1]


def test_the_tree_shows_a_shared_layer_once_and_who_ends_where(screen: Screen) -> None:
    head, base, app, web, top, nameless = screen("images", "--tree")
    assert head.split() == ["LAYER", "SIZE", "IMAGES", "MADE", "BY", "IMAGE", "ENDS", "HERE"]
    assert base.split()[1:] == ["50kB", "4", "COPY", "big", "/", "#", "pybuild", "base:latest"]
    assert app.startswith("├─ ")
    assert app.endswith("app:1, app:latest")
    assert (web[:3], top[:3], nameless[:3]) == ("├─ ", "│  ", "└─ ")
    assert top.endswith("team/web:latest")
    (root,) = json.loads("\n".join(screen("images", "--tree", "--json")))
    assert [len(child["children"]) for child in root["children"]] == [0, 1, 0]
    assert "--tree draws all images" in screen("images", "--tree", "-q", code=2)[0]


def test_history_has_dockers_view_beside_ours(screen: Screen) -> None:
    ours = screen("history", "app")
    assert [line.split()[0] for line in ours] == ["STEP", "COPY", "LABEL", "CMD", "COPY", "LABEL"]
    theirs = screen("history", "app", "--format", "table")
    assert theirs[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    identifier = screen("images", "-q", "app")[0]
    assert [line.split()[0] for line in theirs[1:]] == [identifier, *["<missing>"] * 4]
    assert screen("history", "-q", "app") == [line.split()[0] for line in theirs[1:]]
    assert screen("history", "--human=false", "app", "--format", "{{.Size}}") == ["0", "3", "0", "0", str(BIG)]
    (newest, *_) = screen("history", "-H=false", "app", "--format", "{{.CreatedSince}}")
    assert newest[10] == "T"
    assert screen("history", "-H=F", "app", "--format", "{{.Size}}")[-1] == str(BIG)
    assert "--human takes true or false, not 'maybe'" in screen("history", "--human=maybe", "app", code=2)[0]


def test_the_chain_id_says_what_came_of_the_image_at_each_layer(screen: Screen) -> None:
    document = json.loads("\n".join(screen("history", "--json", "--layers", "app")))
    assert document[0]["chain_id"] == document[0]["diff_id"]
    assert document[1]["chain_id"] not in {document[0]["chain_id"], document[1]["diff_id"]}
    shown = screen("history", "--chain-ids", "--no-trunc", "--layers", "app")
    assert [line.split()[-1] for line in shown[1:]] == [row["chain_id"] for row in document]


def test_inspect_takes_a_template_here_and_elsewhere(screen: Screen, root: str, tmp_path: Path) -> None:
    words = ("-f", '{{.Config.Cmd}} {{index .Config.Labels "kind"}} {{.Config.Entrypoint}} {{len .RootFS.Layers}}')
    assert screen("inspect", *words, "app", "base") == ["[/big] app [] 2", "[/big] base [] 1"]
    screen("copy", "-q", "app", f"oci-archive:{tmp_path}/app.tar")
    assert screen("inspect", *words, f"oci-archive:{tmp_path}/app.tar") == ["[/big] app [] 2"]
    assert screen("inspect", "-f", "json", "app") == screen("inspect", "app")
    assert "there is no .Nothing" in screen("inspect", "-f", "{{.Nothing}}", "app", code=2)[0]
    assert "has no {{end}}" in screen("inspect", "-f", "{{range .Layers}}", "nothing", code=2)[0]
    assert "--raw" in screen("inspect", "-f", "{{.Id}}", "--raw", "app", code=2)[0]
