"""Names of files that usually hold a secret."""

from __future__ import annotations

import posixpath
import re

_SECRET_FILES = re.compile(
    r"(?:\.env(?:\..+)?|\.netrc|\.npmrc|\.pypirc|\.git-credentials|id_(?:rsa|dsa|ecdsa|ed25519)|.+\.(?:pem|key|p12|pfx)"
    r"|credentials(?:\.json)?|\.docker/config\.json|\.aws/credentials|\.kube/config)"
)


def looks_secret(path: str) -> bool:
    """Say whether a file at `path` usually holds a secret."""
    name = posixpath.basename(path.rstrip("/"))
    return bool(_SECRET_FILES.fullmatch(name) or _SECRET_FILES.fullmatch(path.lstrip("./")))


_EXAMPLE = re.compile(r"\.env\..*(?:example|sample|dist|template|default)")
_KEY = re.compile(r".+\.(?:pem|key)")
_PRIVATE = re.compile(r"priv|secret|server|client|ssl|tls|ssh|deploy|service|id_")
_PUBLIC = re.compile(r"pub|cert|chain|bundle|gpg|apt|asc|release|repo|sign|(?:^|[-_.])ca(?:[-_.]|$)")


def is_surely_secret(path: str) -> bool:
    """Say whether a file at `path` is hardly anything else: a .pem may be a certificate, a .key one of a repository."""
    name = posixpath.basename(path.rstrip("/")).lower()
    if not looks_secret(path) or _EXAMPLE.fullmatch(name):
        return False
    if _KEY.fullmatch(name):
        return _PRIVATE.search(name) is not None and _PUBLIC.search(name) is None
    return True
