"""What a registry answers when it refuses: status and body → RegistryError (distribution-spec, Error Codes)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from builder.errors import RegistryError

MAX_BODY_BYTES = 1 << 20

_MEANINGS = {
    "BLOB_UNKNOWN": "the registry does not have this blob",
    "BLOB_UPLOAD_INVALID": "the upload was refused",
    "BLOB_UPLOAD_UNKNOWN": "the upload is not known to the registry",
    "DIGEST_INVALID": "the digest does not fit the content",
    "MANIFEST_BLOB_UNKNOWN": "the manifest refers to something the registry does not have",
    "MANIFEST_INVALID": "the registry does not accept this manifest",
    "MANIFEST_UNKNOWN": "not found",
    "NAME_INVALID": "the repository name is not accepted",
    "NAME_UNKNOWN": "not found: no such repository",
    "SIZE_INVALID": "the size does not fit the content",
    "UNAUTHORIZED": "authentication is required",
    "DENIED": "access is denied",
    "UNSUPPORTED": "the registry does not support this",
    "TOOMANYREQUESTS": "too many requests",
}
_STATUS_MEANINGS = {
    401: "authentication is required", 403: "access is denied", 404: "not found",
    405: "the registry does not allow this", 413: "too large for the registry",
    416: "the registry refuses to resume", 429: "too many requests", 500: "the registry failed",
    502: "the registry is not reachable behind its gateway", 503: "the registry is unavailable",
    504: "the registry does not answer its gateway", 507: "the registry has no space left",
}  # fmt: skip
_DENIED = {
    "pull": "pull access denied, repository does not exist or may require authorization",
    "push": "push access denied: the repository does not exist, or it needs a login that may write to it",
    "delete": "delete access denied: it needs a login that may delete",
}
_DENIED_HINT = "Check the name, and log in with `pybuild login` if the repository is private."
_HINTS = {
    401: _DENIED_HINT,
    403: _DENIED_HINT,
    413: "The registry, or a proxy before it, has a limit that its administrator sets.",
    429: "Wait a while, or log in: anonymous pulls are limited.",
}


class BrokenConnection(RegistryError):
    """A connection that broke where another one may hold; nobody knows how much of the request has arrived."""


def failure(
    doing: str, status: int, body: bytes, action: str = "pull", *, secrets: Sequence[str] = ()
) -> RegistryError:
    """Return the error for an answer. `doing` says what was asked for, for example a name; `action` is in its scope.

    `secrets` are not shown: some services say what was sent to them.
    """
    code, message = _first_error(body, [secret for secret in secrets if secret])
    reason = _MEANINGS.get(code) or _STATUS_MEANINGS.get(status) or "the registry refuses"
    hint = _HINTS.get(status, "")
    if status < 300:  # a page of a proxy's, or of a web server
        reason, hint = "the answer is none of a registry", "Is this address a container registry?"
    if status in (401, 403):
        reason = _DENIED[action]
    detail = f" ({message})" if message and message.lower() not in reason else ""
    answer = f"HTTP {status}" + (f" {code}" if code else "")
    return RegistryError(f"{doing}: {reason}{detail} [{answer}]", hint=hint, status=status, code=code)


def _first_error(body: bytes, secrets: Sequence[str]) -> tuple[str, str]:
    """Return code and message of a body that may be anything (any 4xx may have any body)."""
    try:
        first = json.loads(body)["errors"][0]
        return _plain(first.get("code"), secrets), _plain(first.get("message"), secrets)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return "", ""


def _plain(value: object, secrets: Sequence[str]) -> str:
    text = value if isinstance(value, str) else ""
    for secret in secrets:
        text = text.replace(secret, "***")
    return "".join(character if character.isprintable() else " " for character in text)[:200]
