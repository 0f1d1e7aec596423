"""Which names look like those of secrets, and texts without the values of these.

Names of variables as BuildKit's check SecretsUsedInArgOrEnv has them; of files, those that tools keep keys in. A name
proves nothing: what is found here is shown to a person, and its value to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

MASK = "•••"

_NAME = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|pwd|secret|token)(?:_|$)", re.IGNORECASE
)
# PWD alone is the working directory; GPG_KEY of many base images is the fingerprint of a key, which is public.
_HARMLESS_NAME = re.compile(
    r"(?:_|^)(?:public|file|version|path|dir|url)(?:_|$)|^(?:OLD)?PWD$|^GPG_KEYS?$", re.IGNORECASE
)
_ASSIGNMENT = re.compile(
    r"""(?<![\w.-])(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<sign>=|:[ ])"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'`;&|<>()]+)(?P<now>[ ]→[ ]\S+)?"""
)
# `ENV NAME value`, which is one variable to the end of the line.
_OLD_ENV = re.compile(r"(?im)^(?P<head>\s*ENV\s+)(?P<name>[A-Za-z_]\w*)(?P<sign>[ \t]+)(?P<value>[^=\s][^\n]*)$")
_IN_URL = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^/\s:@\"']*:)(?P<value>[^@/\s\"']+)(?=@)")
_BEARER = re.compile(r"(?i)(?P<head>\bauthorization:\s*(?:bearer|basic|token)\s+)(?P<value>[^\s\"']+)")
_SHORTEST_VALUE = 6
"""Characters of a value that is looked for everywhere, not only behind its name: "1" and "true" stand all over."""

_FILES = re.compile(
    r"(?:.*/)?(?:\.env(?:\.[\w-]+)?|\.npmrc|\.pypirc|\.netrc|\.pgpass|\.my\.cnf|\.git-credentials|\.htpasswd"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)|credentials(?:\.json)?|service-account[\w-]*\.json|kubeconfig"
    r"|secrets?\.(?:ya?ml|json|toml|txt|env)|[\w.-]+\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ovpn|tfstate)"
    r"|\.docker/config\.json|\.kube/config|\.aws/credentials)",
    re.IGNORECASE,
)
_PUBLIC_FILES = re.compile(
    r"(?:^|/)(?:ca-certificates|certs?|certifi|ssl/cert\.pem|pki/ca-trust|keyrings|trusted\.gpg\.d)(?:/|$)"
    r"|(?:^|/)(?:cacerts?|ca-bundle|cert)\.(?:pem|jks)$|\.(?:example|sample|template|dist)$",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Say whether a variable of this name usually holds a secret."""
    return bool(_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def is_secret_file(path: str) -> bool:
    """Say whether a file of this path usually holds a secret."""
    return bool(_FILES.fullmatch(path)) and not _PUBLIC_FILES.search(path)


def assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of each secret that `text` gives a value; "" names what a URL or a header has."""
    for pattern in (_ASSIGNMENT, _OLD_ENV):
        for match in pattern.finditer(text):
            value = match["value"].strip().strip("\"'")
            if is_secret_name(match["name"]) and _is_value(value):
                yield match["name"], value
    for pattern in (_IN_URL, _BEARER):
        yield from (("", match["value"]) for match in pattern.finditer(text) if _is_value(match["value"]))


class Masker:
    """Takes values out of texts: those it is told, and those behind a name that looks like a secret's."""

    def __init__(self, known: Iterable[str], texts: Iterable[str] = ()) -> None:
        """`known` is never shown. What `texts` give names that look like secrets' is not either; empty: only `known`
        is taken out.
        """
        texts = tuple(texts)
        self._by_name = bool(texts)
        found = {value for text in texts for _, value in assignments(text) if len(value) >= _SHORTEST_VALUE}
        self._values = sorted({*(value for value in known if value), *found}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return `text` without them."""
        if self._by_name:
            text = _ASSIGNMENT.sub(_masked, text)
            text = _OLD_ENV.sub(_masked_line, text)
            text = _IN_URL.sub(lambda match: match["head"] + MASK, text)
            text = _BEARER.sub(lambda match: match["head"] + MASK, text)
        for value in self._values:
            text = text.replace(value, MASK)
        return text

    def json(self, value: Any) -> Any:
        """Return a value of JSON without them; keys stay."""
        if isinstance(value, str):
            name, sign, rest = value.partition("=")
            if self._by_name and sign and is_secret_name(name) and _is_value(rest):
                return f"{name}={MASK}"  # a variable of an environment, whose value may have blanks
            return self.text(value)
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, dict):
            return {key: self.json(item) for key, item in value.items()}
        return value


def _is_value(value: str) -> bool:
    return bool(value) and not value.startswith("$") and value != MASK


def _masked(match: re.Match[str]) -> str:
    if not is_secret_name(match["name"]) or not _is_value(match["value"].strip("\"'")):
        return match[0]
    now = f" → {MASK}" if match["now"] else ""
    return f"{match['name']}{match['sign']}{MASK}{now}"


def _masked_line(match: re.Match[str]) -> str:
    if not is_secret_name(match["name"]) or not _is_value(match["value"].strip("\"'")):
        return match[0]
    return f"{match['head']}{match['name']}{match['sign']}{MASK}"
