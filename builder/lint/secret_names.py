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
