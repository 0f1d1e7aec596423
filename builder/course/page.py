"""Makes a page of a lesson: one file of HTML with its own style, no script, no network, light and dark.

What is seen after a command is folded below it, so that a prediction can be made first. The content security policy
allows one style, by its digest, and nothing else. The lessons are ours and may hold HTML; nothing of a user goes in.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from builder.course.lessons import LANGUAGES, Lesson

_STYLE = Path(__file__).with_name("page.css")
_LINK = re.compile(r'href="(?:\./)?((?:\d\d-)[\w-]+|README)\.md"')
_HEADING = re.compile(r"<h2>(.*?)</h2>")
_NAME_AGAIN = re.compile(r"<p><code>([\w.-]+)</code></p>\n(?=<figure><figcaption>\1<)")
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_WORDS = {
    "en": {"course": "A course on container images", "shows": "what is seen", "lessons": "Lessons"},
    "es": {"course": "Un curso de imágenes de contenedor", "shows": "lo que se ve", "lessons": "Lecciones"},
}
assert set(_WORDS) == set(LANGUAGES)


def page_name(lesson: Lesson) -> str:
    """Return the name of a lesson's page: that of lesson 0 is index.html."""
    return f"{lesson.name}.html" if lesson.number else "index.html"


def render_page(lesson: Lesson, lessons: Sequence[Lesson] = ()) -> bytes:
    """Return the page of a lesson. `lessons`, in order, have their pages beside it; without any it links to none."""
    style = _STYLE.read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = _NAME_AGAIN.sub("", _with_anchors(_COMMENT.sub("", _body(lesson))))
    body = _LINK.sub(_page_link, body) if lessons else re.sub(r"<a (?=[^>]*\.md\")[^>]*>(.*?)</a>", r"\1", body)
    title = html.escape(lesson.title)
    text = (
        f'<!DOCTYPE html>\n<html lang="{lesson.language}">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n"
        f"{_navigation(lesson, lessons)}<main>\n{body}</main>\n</html>\n"
    )
    return text.encode()


def _page_link(match: re.Match[str]) -> str:
    return f'href="{"index" if match[1] == "README" else match[1]}.html"'


def _body(lesson: Lesson) -> str:
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    language = lesson.language

    def fence(_self: Any, tokens: Sequence[Any], index: int, _options: Any, _env: Any) -> str:
        return _block(tokens[index].info, tokens[index].content, _WORDS[language])

    markdown.add_render_rule("fence", fence)
    # A wide table scrolls by itself, so that the page does not.
    markdown.add_render_rule("table_open", lambda *_: '<div class="wide" tabindex="0"><table>\n')
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return str(markdown.render(lesson.text))


def _block(info: str, content: str, words: Mapping[str, str]) -> str:
    kind, _, name = info.partition(" ")
    if kind == "console":
        return f'<div class="console">{"".join(_command(part, words) for part in _commands(content))}</div>\n'
    caption = f"<figcaption>{html.escape(name)}</figcaption>" if name else ""
    return f'<figure>{caption}<pre tabindex="0">{html.escape(content)}</pre></figure>\n'


def _commands(content: str) -> list[str]:
    return [part for part in re.split(r"^(?=\$ )", content, flags=re.MULTILINE) if part]


def _command(text: str, words: Mapping[str, str]) -> str:
    typed: list[str] = []
    printed: list[str] = []
    for line in text.splitlines():
        (printed if printed or not line.startswith(("$ ", "> ")) else typed).append(line)
    shown = f"<code>{html.escape(chr(10).join(typed))}</code>"
    if not printed:
        return f'<div class="typed">{shown}</div>'
    seen = html.escape("\n".join(printed))
    return f'<details><summary>{shown}<small>{words["shows"]}</small></summary><pre tabindex="0">{seen}</pre></details>'


def _with_anchors(body: str) -> str:
    def heading(match: re.Match[str]) -> str:
        name = re.sub(r"[^\w]+", "-", match[1].lower()).strip("-")
        return f'<h2 id="{name}">{match[1]}</h2>'

    return _HEADING.sub(heading, body)


def _navigation(lesson: Lesson, lessons: Sequence[Lesson]) -> str:
    words = _WORDS[lesson.language]
    if not lessons:
        return f"<header><strong>{words['course']}</strong></header>\n"
    links = "".join(
        f'<a href="{page_name(each)}" title="{html.escape(each.title)}"'
        f"{' aria-current=page' if each.number == lesson.number else ''}>{each.number}</a>"
        for each in lessons
    )
    up = "" if lesson.language == "en" else "../"
    languages = "".join(
        f'<a href="{up}{"" if code == "en" else f"{code}/"}{page_name(lesson)}" lang="{code}">{name}</a>'
        for code, name in LANGUAGES.items()
        if code != lesson.language
    )
    return (
        f'<header><a href="index.html"><strong>{words["course"]}</strong></a>'
        f'<nav aria-label="{words["lessons"]}">{links}</nav>{languages}</header>\n'
    )
