"""The model of the page: what is in it and, above all, what is not."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from gzip import decompress
from hashlib import sha256
from typing import Any

import pytest

from builder.errors import UsageError
from builder.explain.model import ExplainedLayer, ExplainedStep, Explanation
from builder.explain.page.inputs import Chain, PageInputs, StepFacts
from builder.explain.page.lanes import crossings, lanes, own_parents
from builder.explain.page.paths import gather_paths
from builder.explain.page.secrets import MASK, Masker, is_secret_file, is_secret_name
from builder.explain.page.write import ASSETS, load_messages, page_bytes, page_script
from builder.explain.union import PathStory, Version
from builder.filesystem.entry import DIRECTORY, FILE, Entry

SECRET = "hunter2-hunter2"
KNOWN = "given-by-secret-flag"
CONFIG = json.dumps(
    {
        "config": {"Env": ["PATH=/bin", f"API_TOKEN={SECRET}"]},
        "history": [{"created_by": f"|1 DB_PASSWORD={SECRET}2 /bin/sh -c make"}, {"created_by": "COPY a /a"}],
    },
    separators=(",", ":"),
).encode()


def file(
    path: str, layer: int, *, size: int = 1, mode: int = 0o644, by: int = -1, hidden: Any = "", change: Any = "added",
    digest: str = "aa", offset: int = 512,
) -> Version:  # fmt: skip
    return Version(layer, Entry(path, FILE, mode, size=size, digest=digest), change, by, hidden, offset)


def layer(number: int, *, step: int, in_image: bool = True, stage: str = "") -> ExplainedLayer:
    digest = "sha256:" + sha256(f"{stage}{number}".encode()).hexdigest()
    return ExplainedLayer(number, digest, digest, digest, "tar", 10, 20, None, step, stage, in_image=in_image)


def inputs(*stories: PathStory, **changes: Any) -> PageInputs:
    """Return what a page of two layers is made of."""
    steps = (
        ExplainedStep(1, "", "FROM", "FROM base", 1, 1, layers=(0,), cache="base"),
        ExplainedStep(0, "", "ENV", f"ENV API_TOKEN={SECRET}", 2, 2, parent=0),
        ExplainedStep(2, "", "RUN", f"RUN TOKEN: {SECRET} → {SECRET}2 make", 3, 3, layers=(1,), parent=1, cache="ran",
                      reason=f"API_TOKEN: {SECRET} → other", key="sha256:00"),
    )  # fmt: skip
    explanation = Explanation(
        "shop:1", ("shop:1",), "linux/amd64", "sha256:" + sha256(CONFIG).hexdigest(), "sha256:11", "", steps,
        (layer(1, step=0), layer(2, step=2)), ("Dockerfile", f"FROM base\nENV API_TOKEN={SECRET}\nRUN make\n"),
    )  # fmt: skip
    preimage = json.dumps({"env": [f"API_TOKEN={SECRET}"], "script": f"echo {KNOWN}"}, separators=(",", ":")).encode()
    given = PageInputs(
        explanation, CONFIG, b"{}", (Chain((0, 1), stories),), facts={2: StepFacts(preimage)}, blobs={1: b"tar"},
        secrets=(KNOWN,),
    )  # fmt: skip
    return given._replace(**changes)


def parts(page: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the model and the paths of a page."""
    text = page.decode()
    found = {
        name: (kind, body)
        for kind, name, body in re.findall(r'<script type="([\w/]+)" id="(\w+)">(.*?)</script>', text, re.S)
    }
    kind, files = found["files"]
    packed = decompress(b64decode(files)).decode() if kind == "application/gzip" else files
    return json.loads(found["model"][1]), json.loads(packed)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ENV API_TOKEN=abc", "abc"),
        ('ARG DB_PASSWORD="two words"', "two words"), ("ENV SECRET two words", "two words"),
        ("RUN curl https://me:pw123456@host/", "pw123456"), ("-H 'Authorization: Bearer xyz'", "xyz"),
        ("GITHUB_TOKEN: old → new", "new"),
    ],
)  # fmt: skip
def test_values_behind_secret_names_are_taken_out(text: str, kept: str) -> None:
    masked = Masker((), (text,)).text(text)
    assert kept not in masked
    assert MASK in masked
    assert Masker((kept,)).text(text) == text.replace(kept, MASK), "without texts only what is known"


def test_names_that_hold_no_secret_are_left_alone() -> None:
    for text in (
        "ENV PATH=/bin KEYBOARD=us",
        "ENV GPG_KEY=A035C8C1",
        "ENV TOKEN_FILE=/run/t",
        "ARG TOKEN=$OTHER",
        "PWD=/app",
    ):
        assert Masker((), (text,)).text(text) == text
    assert [is_secret_name(name) for name in ("AUTH", "apikey", "PUBLIC_KEY", "MONKEY")] == [True, True, False, False]
    files = ("app/.env", "root/.ssh/id_rsa", "x/server.key", "etc/ssl/certs/ca.pem", "app/.env.example", "id_rsa.pub")
    assert [is_secret_file(path) for path in files] == [True, True, True, False, False, False]


def test_no_value_of_a_secret_is_in_the_page_unless_contents_are_asked_for() -> None:
    page = page_bytes(inputs())
    assert SECRET.encode() not in page
    assert KNOWN.encode() not in page
    model, _ = parts(page)
    assert model["blobs"] == {}
    assert model["config"]["masked"] == ["API_TOKEN", "DB_PASSWORD"]
    assert model["facts"]["2"]["masked"] == ["API_TOKEN"]
    assert {(each["kind"], each["name"]) for each in model["findings"]} == {
        ("env", "API_TOKEN"), ("history", "DB_PASSWORD"), ("history", "TOKEN"),
    }  # fmt: skip

    asked = page_bytes(inputs(contents=True, blobs={1: b"tar", 0: b"x" * (300 << 10)}))
    model, _ = parts(asked)
    assert "sha256:" + sha256(model["config"]["text"].encode()).hexdigest() == model["image"]["id"], "byte for byte"
    assert set(model["blobs"]) == {"1"}, "large layers are never in it"
    assert KNOWN.encode() not in asked
    assert parts(page_bytes(inputs(contents=True, blobs={1: KNOWN.encode()})))[0]["blobs"] == {}


def test_columns_have_what_the_stories_say() -> None:
    copied = file("w/a", 0, size=9, by=1, hidden="same content")
    stories = (
        PathStory("w/a", (copied, file("w/a", 1, size=9, mode=0o600, change="modified"))),
        PathStory("w/deep/er/gone", (file("w/deep/er/gone", 1, change="whiteout", size=0, digest="", offset=0),)),
        PathStory("w/.env", (file("w/.env", 0, size=3, by=1, hidden="deleted", digest="bb"),)),
    )
    paths = gather_paths([Chain((0, 1), stories)])
    columns = paths.columns
    names = columns["names"].split("\0")
    assert list(zip(columns["depth"], names)) == [
        (0, ""), (1, "w"), (2, "a"), (2, "deep"), (3, "er"), (4, "gone"), (2, ".env"),
    ], "folders that no layer has are there, too"  # fmt: skip
    assert columns["count"] == [0, 0, 2, 0, 0, 1, 1]
    assert columns["layer"] == [0, 1, 1, 0]
    assert columns["by"] == [1, -1, -1, 1]
    assert columns["same"] == [1, 1, 0, 0], "equal contents have a number in common"
    assert [names[at] for at in columns["secret"]] == [".env"]
    assert [(lost.path, lost.only_mode, lost.is_secret) for lost in paths.lost] == [
        ("w/a", True, False), ("w/.env", False, True),
    ]  # fmt: skip
    assert columns["order"] == {}


def test_a_tar_in_an_order_of_its_own_keeps_it() -> None:
    stories = [PathStory(name, (file(name, 0, offset=offset),)) for name, offset in (("a", 900), ("b", 100))]
    assert gather_paths([Chain((0,), stories)]).columns["order"] == {"0/0": [1, 0]}


def test_of_another_stage_only_what_is_its_own_is_in_the_columns() -> None:
    base, own = PathStory("bin", (file("bin", 0),)), PathStory("src", (file("src", 1),))
    hid = PathStory("etc", (file("etc", 0, by=1, hidden="deleted"),))
    paths = gather_paths([Chain((0, 1), [base]), Chain((0, 2), [base, hid, own])])
    assert paths.columns["names"].split("\0") == ["", "bin", "etc", "src"]
    assert paths.columns["chain"] == [0, 1, 1]
    many = [PathStory(f"{n:06}", (file(f"{n:06}", 1),)) for n in range(40_001)]
    crowded = gather_paths([Chain((0, 1), [base]), Chain((0, 2), many)])
    assert crowded.left_out == {1}
    assert crowded.columns["names"].split("\0") == ["", "bin"]


def test_a_lane_is_free_again_when_nobody_reads_its_stage_any_more() -> None:
    steps = []
    for stage in range(12):
        read = (2 * stage - 1,) if stage else ()
        steps.append(ExplainedStep(1, f"s{stage}", "FROM", "FROM x", layers=(0,)))
        steps.append(ExplainedStep(2, f"s{stage}", "COPY", "", parent=2 * stage, reads=read))
    assert max(lanes(steps)) == 1
    assert [(each.source, each.target) for each in crossings(steps)] == [(2 * n - 1, 2 * n + 1) for n in range(1, 12)]
    shared = (steps[0], steps[2], steps[1]._replace(parent=1))
    assert own_parents((shared[0], shared[1], shared[2]))[2].parent == 0, "both stages load the same base"


def test_the_page_lets_in_its_own_style_and_script_only() -> None:
    page = page_bytes(inputs(PathStory("</script><script>x", (file("</script><script>x", 0),)))).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "require-trusted-types-for 'script'" in policy[1]
    assert "unsafe" not in policy[1]
    assert page.count("<script") == 4
    assert "</script><script>x" not in page
    for word in ("innerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "fetch(", "http"):
        assert word not in page_script().replace("http://www.w3.org/2000/svg", ""), word


def test_every_message_is_there_in_each_language_with_the_same_places() -> None:
    table = json.loads((ASSETS / "messages.json").read_text())
    for name, (english, spanish) in table.items():
        both = [[text] if isinstance(text, str) else text for text in (english, spanish)]
        assert len(both[0]) == len(both[1]), name
        for one, other in zip(*both):
            assert set(re.findall(r"\{(\w+)\}", one)) == set(re.findall(r"\{(\w+)\}", other)), name
    used = set(re.findall(r'\btn?\("(\w+[a-z0-9])"', page_script()))
    assert len(used) > 150
    assert used <= set(table), used - set(table)
    with pytest.raises(UsageError, match="'fr'"):
        load_messages("fr")


def test_questions_are_made_of_this_build_only() -> None:
    model, _ = parts(page_bytes(inputs()))
    assert [question["ask"][0] for question in model["quiz"]] == ["q_pack"]
    lost = PathStory("app/.env", (file("app/.env", 0, size=5000, by=1, hidden="deleted"),))
    model, _ = parts(page_bytes(inputs(lost)))
    asked = {question["ask"][0]: question for question in model["quiz"]}
    assert set(asked) == {"q_delete", "q_secret", "q_pack"}
    assert asked["q_secret"]["options"][asked["q_secret"]["right"]] == ["q_everyone", {}]
    assert asked["q_delete"]["options"][asked["q_delete"]["right"]] == ["q_none", {}]


def test_directories_have_no_size_of_their_own() -> None:
    entry = Entry("d", DIRECTORY, 0o755, size=4096)
    assert gather_paths([Chain((0,), [PathStory("d", (Version(0, entry, "added"),))])]).columns["size"] == [0]
