"""The page in a real browser: every part, the keyboard, hostile names, many files, and whoever can't see it."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from builder.cli.main import main
from builder.engine.explain_page import explain_page, page_inputs
from builder.engine.explaining import open_explained
from builder.explain.page.inputs import Chain
from builder.explain.page.write import page_bytes
from builder.explain.union import PathStory, Version
from builder.filesystem.entry import DIRECTORY, FILE, Entry
from builder.oci.canonical import encode
from tests.support.busybox import BUSYBOX
from tests.support.peers import is_required

pytestmark = pytest.mark.alone  # one browser for all

# Elsewhere what is not installed is skipped; in CI it is an error.
load = importlib.import_module if is_required() else pytest.importorskip
playwright: Any = load("playwright.sync_api")
axe: Any = load("axe_playwright_python.sync_playwright")

DOCKERFILE = """\
FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "mkdir", "-p", "/cache/deep", "/old"]
FROM base AS tools
ARG VERSION=1
RUN ["/bin/busybox", "sh", "-c", "echo $VERSION > /made"]
FROM base
ENV API_TOKEN=hunter2-hunter2
COPY app /app
COPY --from=tools /made /app/made
RUN ["/bin/busybox", "sh", "-c", "b=/bin/busybox; $b chmod 600 /app/words; $b rm /app/.env; $b rm -r /old; echo > /old"]
CMD ["/bin/busybox"]
"""
HOSTILE = (
    b"<script>alert(1)</script>", "\u202egpj.exe".encode(), b"bell\x07\nline", b"__proto__", b"bad\xff",
    b"<img src=x onerror=alert(1)>",
)  # fmt: skip
READY = "html[data-ready]"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with shop:1 and shop:2, of which the second was built after edits."""
    if not BUSYBOX:
        pytest.skip("no static busybox")
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "busybox").write_bytes(Path(BUSYBOX).read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "app").mkdir()
    for name in HOSTILE:
        Path(os.fsdecode(os.path.join(os.fsencode(context / "app"), name.replace(b"/", b"%")))).write_bytes(b"x")
    (context / "app" / "words").write_text("word\n" * 400)
    (context / "app" / ".env").write_text("KEY=in-the-file\n")
    store = str(tmp_path_factory.mktemp("store"))
    run(store, "build", "-q", "-t", "shop:1", str(context))
    (context / "app" / "words").write_text("words\n" * 400)
    run(store, "build", "-q", "-t", "shop:2", "--build-arg", "VERSION=2", str(context))
    return store


def run(store: str, *words: str) -> str:
    """Run pybuild in a process of its own: a RUN needs one thread, and here the browser's driver has others."""
    command = [sys.executable, "-m", "builder", *words]
    done = subprocess.run(
        command, env=os.environ | {"PYBUILD_ROOT": store}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # As root, and in containers, Chromium's own sandbox does not start.
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Seen:
    """A page that is open, and what happened in it that must not."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("dialog", self._refuse)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(READY)

    def _refuse(self, dialog: Any) -> None:
        self.faults.append(dialog.message)
        dialog.dismiss()

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def go_to(self, words: str) -> None:
        """Choose the step whose line has these words."""
        self.page.locator("#lines .step", has_text=words).first.click()


@pytest.fixture(scope="module")
def written(root: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "out.html"
    assert main(["explain", "--root", root, "shop:2", "--html", str(path), "--with", "shop:1"]) == 0
    return path


@pytest.fixture(scope="module")
def seen(browser: Any, written: Path) -> Iterator[Seen]:
    seen = Seen(browser, written)
    yield seen
    assert seen.faults == [], "nothing may be refused by the policy, thrown or asked"
    assert seen.requests == [written.as_uri()], "nothing is loaded"
    seen.page.close()


def sums(root: str, image: str, layers: int) -> tuple[int, int]:
    """Return how many files are seen with the lowest `layers` layers, and how many bytes they have."""
    with open_explained(root, image, notify=print) as explained:
        entries = [
            shown.entry
            for story in explained.stories(range(layers))
            if (shown := story.seen) and shown.entry.kind != DIRECTORY
        ]
    return len(entries), sum(entry.size for entry in entries if entry.kind == FILE)


def test_the_first_screen_says_what_matters(seen: Seen) -> None:
    verdict = seen.text("#verdict")
    assert re.search(r"5 layers hold .* of which .* cannot be seen", verdict)
    assert "ARG VERSION 1 → 2" in verdict
    assert "words changed" in verdict
    assert "/app/.env was deleted and can still be read." in verdict
    assert seen.page.locator("#strip .bar").count() == 5
    assert "L3" in seen.text("#lines")


def test_the_tree_after_each_step_is_what_the_layers_say(seen: Seen, root: str) -> None:
    slider = seen.page.locator("#slider")
    last = int(slider.get_attribute("max") or 0)
    said = []
    for stop in range(last + 1):
        slider.fill(str(stop))
        said.append(re.sub(r"\s", " ", seen.text("#sums")))
    for layers, sentence in zip((2, 3, 4, 5), [said[1], *said[-3:]]):
        files, _ = sums(root, "shop:2", layers)
        assert sentence.startswith(f"{files} file"), (layers, sentence)
    tree = seen.text("#rows")
    assert "hidden by L5" in tree
    assert "a file where a folder was" in tree
    assert "only the mode: 0644 → 0600" in tree
    seen.page.keyboard.press("l")
    assert ".wh..env" in seen.text("#rows")
    assert "whiteout: hides it in the layers below" in seen.text("#rows")
    seen.page.keyboard.press("t")
    assert "app/words" in seen.text("#rows")
    seen.page.keyboard.press("u")


def test_the_core_tells_who_has_a_file_and_who_hides_it(seen: Seen) -> None:
    seen.page.locator("#waste .secret .linkish").first.click()
    core = seen.text("#drill")
    assert "/app/.env" in core
    assert "L5 hides it: no process sees it any more. L3 still has it" in core
    seen.page.locator("#rows .file", has_text="words").first.click()
    assert "only the mode: 0644 → 0600" in seen.text("#drill .sentence")
    assert seen.page.locator("#drill .is-seen").count() == 1


def test_the_keyboard_reaches_everything(seen: Seen) -> None:
    page = seen.page
    page.keyboard.press("Escape")
    page.locator("#slider").fill("0")
    before = seen.text("#now")
    page.keyboard.press("]")
    assert seen.text("#now") != before
    page.keyboard.press("[")
    assert seen.text("#now") == before
    page.keyboard.press("/")
    page.keyboard.type("busybox")
    assert page.locator("#rows .name").last.inner_text() == "busybox"
    page.locator("#find").fill("")
    page.locator("#tree").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    active = page.locator("#tree").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowRight")
    assert page.locator("#tree").get_attribute("aria-activedescendant") != active
    page.keyboard.press("3")
    assert page.evaluate("document.activeElement.id") == "hidden-title"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_a_key_is_computed_again_as_its_preimage_is_edited(seen: Seen) -> None:
    seen.go_to("COPY app /app")
    assert "words changed" in seen.text("#preimage .reasons")
    assert "equal to the recorded key" in seen.text("#key")
    recorded = seen.text("#key .digest")
    destination = seen.page.get_by_label("destination", exact=True)
    before = destination.input_value()
    destination.fill("/elsewhere/")
    assert "the cache has not seen this" in seen.text("#key")
    assert seen.text("#key .digest") != recorded
    destination.fill(before)
    assert seen.text("#key .digest") == recorded
    seen.go_to("chmod 600")
    assert "leaves out the value of API_TOKEN" in seen.text("#key")


def test_an_edit_runs_what_reads_it_and_what_follows(seen: Seen) -> None:
    seen.page.locator("#whatif [data-edit]", has_text="app/words").click()
    fates = {
        text.split("\n")[1][:14]: text.split("\n")[0] for text in seen.page.locator("#outcome li").all_inner_texts()
    }
    assert fates["COPY app /app"] == "● runs"
    assert fates["COPY busybox /"[:14]] == "○ cached"
    assert seen.text("#outcome .total") == "3 steps run."
    seen.page.locator("#whatif [data-edit]", has_text="ARG VERSION").click()
    assert seen.text("#outcome .total") == "1 step for certain, 2 more perhaps."
    seen.page.locator("#whatif [data-edit]", has_text="only times").click()
    assert "Nothing would run" in seen.text("#outcome")


def test_digests_are_computed_from_the_bytes(seen: Seen, browser: Any, root: str, tmp_path: Path) -> None:
    assert "leaves out the value of API_TOKEN" in seen.text(".card.config"), "then the config can't be computed"
    assert "hunter2" not in seen.page.content()
    path = tmp_path / "contents.html"
    with open_explained(root, "shop:2", notify=print) as explained:
        path.write_bytes(explain_page(explained, contents=True))
        manifest = explained.explanation.manifest
    page = Seen(browser, path).page
    assert page.locator("#flow .bad").count() == 0
    assert page.locator(".card.manifest .digest").inner_text() == manifest.removeprefix("sha256:")
    page.click("#repack")
    page.wait_for_selector(".card.blob .bad")
    assert page.locator(".card.manifest .bad").count() == 1
    assert page.locator(".card.config .bad, .card.diff .bad").count() == 0, "the image ID is of what is unpacked"
    page.click("#repack")
    page.click("#flip")
    page.wait_for_selector(".card.diff .bad")
    assert all(page.locator(f".card.{kind} .bad").count() for kind in ("blob", "chain", "config", "manifest"))
    page.close()


def test_the_container_says_what_pybuild_says(seen: Seen, root: str, capsys: pytest.CaptureFixture[str]) -> None:
    for act in ("run", "write", "rmi"):
        seen.page.click(f"[data-act={act}]")
    played = seen.text("#terminal")
    identifier = re.search(r"container ([0-9a-f]{12}) is", played)
    assert identifier is not None
    for act in ("diff", "rm"):
        seen.page.click(f"[data-act={act}]")
    real = subprocess.run(
        [sys.executable, "-m", "builder", "create", "--name", "web", "shop:2"],
        env=os.environ | {"PYBUILD_ROOT": root}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert main(["rmi", "--root", root, "shop:2"]) != 0
    said = capsys.readouterr().err.strip()
    assert said.replace(real.stdout.strip()[:12], identifier[1]) in played
    assert run(root, "rm", "web").strip() in seen.text("#terminal").splitlines()
    assert re.search(r"C /app\nC /app/words", seen.text("#terminal"))


def test_two_images_share_what_they_share(seen: Seen) -> None:
    assert seen.page.locator(".pairs tr.same").count() == 2
    assert "2 blobs shared" in seen.text("#shared")
    assert "only in" not in seen.text("#shared")


def test_an_answer_says_why(seen: Seen) -> None:
    questions = seen.page.locator("fieldset")
    assert questions.count() >= 5
    secret = questions.filter(has_text="Who can read it?")
    secret.get_by_label("Nobody: it was deleted").check()
    assert "No." in secret.locator(".answer").inner_text()
    secret.get_by_label("Everyone who can pull the image").check()
    assert "Yes." in secret.locator(".answer").inner_text()


def test_the_tour_shows_each_stop_and_can_be_left(seen: Seen) -> None:
    page = seen.page
    page.click("#tour-button")
    for _ in range(5):
        assert page.locator(".lit").count() == 1
        page.locator("#tour .solid").click()
    page.keyboard.press("Escape")
    assert page.locator(".lit").count() == 0
    assert not page.locator("#tour").is_visible()


def test_names_of_files_are_text_and_nothing_else(seen: Seen) -> None:
    seen.go_to("COPY app /app")
    shown = [
        text.split("\n")[1] for text in seen.page.locator("#rows .file").all_inner_texts() if text.startswith("A\n")
    ]
    assert {"\\u{202e}gpj.exe", "bell\\x07\\nline", "__proto__", "bad\\xff"} <= set(shown)
    assert any(name.startswith("<script>alert(1)<") for name in shown)
    assert not re.search("[\u202a-\u202e\x00-\x08]", seen.page.evaluate("document.body.innerText"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_fault_for_those_who_read_it_otherwise(browser: Any, written: Path, theme: str) -> None:
    # axe is put into the page, which the page's policy would not allow.
    seen = Seen(browser, written, bypass_csp=True, color_scheme=theme)
    seen.page.click("#flip")
    seen.page.locator("#lines .step").nth(3).click()
    for width in (1280, 390):
        seen.page.set_viewport_size({"width": width, "height": 900})
        found = axe.Axe().run(seen.page).response["violations"]
        serious = [
            (each["id"], node["html"][:200], node["failureSummary"])
            for each in found
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]
        assert serious == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    seen.page.close()


def test_an_image_from_elsewhere_is_shown_by_its_history(
    browser: Any, root: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    archive = tmp_path / "shop.tar"
    run(root, "save", "-o", str(archive), "shop:2")
    path = tmp_path / "out.html"
    other = str(tmp_path_factory.mktemp("other"))
    assert main(["explain", "--root", other, f"docker-archive:{archive}", "--html", str(path), "--lang", "es"]) == 0
    page = Seen(browser, path).page
    assert page.get_attribute("html", "lang") == "es"
    assert "Construida en otro lugar" in page.inner_text("#lines-note, .note >> nth=0")
    assert page.locator("#lines .step").count() == 5
    assert "hidden" not in page.inner_text("main h2 >> nth=0")
    assert page.locator("#rows .file").count() > 3
    page.close()


def test_fifty_thousand_files_are_no_burden(browser: Any, root: str, tmp_path: Path) -> None:
    def stories() -> Iterator[PathStory]:
        for folder in range(500):
            yield PathStory(f"d{folder:03}", (Version(0, Entry(f"d{folder:03}", DIRECTORY, 0o755), "added"),))
            for number in range(100):
                name = f"d{folder:03}/f{number:02}"
                entry = Entry(name, FILE, size=folder * number, digest=sha256(name.encode()).hexdigest())
                yield PathStory(name, (Version(number % 5, entry, "added", offset=number + 512),))

    with open_explained(root, "shop:2", notify=print) as explained:
        given = page_inputs(explained)
        page = page_bytes(given._replace(chains=(Chain(given.chains[0].layers, stories()),)))
    assert len(page) < 3_000_000
    path = tmp_path / "out.html"
    path.write_bytes(page)
    seen = Seen(browser, path)
    assert seen.text("#sums").startswith("50,000 files")
    seen.page.fill("#find", "f42")
    assert seen.page.locator("#rows .file").count() < 100, "only rows in sight exist"
    assert seen.page.pdf()[:5] == b"%PDF-"
    assert seen.faults == []
    seen.page.close()


def test_canonical_json_in_the_page_is_that_of_the_program(seen: Seen) -> None:
    """The keys that the page says are equal were made by builder.oci.canonical; here of what is rare in them."""
    rare = {"b": ['\x7f\u2028\x01"\\/é', {"z": 1, "a": None}], "a": True}
    script = seen.page.evaluate("[...document.scripts].at(-1).textContent")
    cut = re.search(r"function canonical\(value\) \{.*?\n\}", script, re.S)
    assert cut is not None
    assert seen.page.evaluate(f"(value) => {{ {cut[0]} return canonical(value); }}", rare) == encode(rare).decode()
