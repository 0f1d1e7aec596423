"""The page as one file: style, script, messages and model in one text, under a policy that lets nothing else in.

The policy names script and style by their digests, and loads nothing: no image, no font, no frame, no request. Text
reaches the document as text nodes only (`require-trusted-types-for`), so no name in an image can become markup.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from gzip import compress
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from builder.errors import UsageError
from builder.explain.page.document import page_document
from builder.explain.page.inputs import LANGUAGES, PageInputs
from builder.explain.page.paths import gather_paths
from builder.oci.canonical import JsonObject

ASSETS = Path(__file__).resolve().parent / "assets"
SCRIPTS = (
    "base", "sha256", "files", "head", "dockerfile", "tree", "drill", "why", "whatif", "hidden", "digests",
    "container", "shared", "quiz", "tour", "start",
)  # fmt: skip
"""Parts of the script, in order; they share one scope."""
_PLAIN_BYTES = 24 << 10
"""Up to here paths are put in as plain JSON, which any browser and any reader can read."""
_LEVEL = 6


def page_bytes(inputs: PageInputs) -> bytes:
    """Return the page, in UTF-8. Raises UsageError for a language that there are no messages in."""
    messages = load_messages(inputs.language)
    paths = gather_paths(inputs.chains)
    model = page_document(inputs, paths)
    style = _asset("page.css")
    script = page_script()
    policy = (
        f"default-src 'none'; script-src '{_source(script)}'; style-src '{_source(style)}'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    kind, files = _packed(paths.columns)
    parts = {
        "language": inputs.language,
        "policy": policy,
        "title": _text(f"{model['image']['name']} · pybuild explain"),
        "noscript": _text(messages["noscript"]),
        "style": style,
        "messages": _embedded(messages),
        "model": _embedded(model),
        "kind": kind,
        "files": files,
        "script": script,
    }
    pieces = re.split(r"\{\{(\w+)\}\}", _asset("page.html"))
    pieces[1::2] = [parts[name] for name in pieces[1::2]]
    return "".join(pieces).encode("utf-8")


def page_script() -> str:
    """Return the script, whole, without comments and indentation."""
    lines = (line.strip() for name in SCRIPTS for line in _asset(f"{name}.js").splitlines())
    parts = "\n".join(line for line in lines if line and not line.startswith("//"))
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


def load_messages(language: str) -> dict[str, Any]:
    """Return the messages in a language, by name. Raises UsageError when there are none."""
    if language not in LANGUAGES:
        raise UsageError(
            f"there is no page in the language {language!r}",
            hint=f"Take one of {', '.join(LANGUAGES)}.",
        )
    column = LANGUAGES.index(language)
    table = json.loads(_asset("messages.json"))
    return {name: texts[column] for name, texts in table.items()}


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _text(text: str) -> str:
    return escape(text.encode("utf-8", "replace").decode())


def _embedded(document: Any) -> str:
    # Within <script> nothing is markup but "</" and "<!--". Names that are no UTF-8 stay as lone surrogates, escaped.
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")


def _packed(columns: JsonObject) -> tuple[str, str]:
    """Return the media type and the text of the paths."""
    plain = _embedded(columns)
    if len(plain) <= _PLAIN_BYTES:
        return "application/json", plain
    return "application/gzip", b64encode(compress(plain.encode(), _LEVEL, mtime=0)).decode()
