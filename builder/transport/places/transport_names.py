"""What transports are called, before a colon. location.py reads what comes after it."""

from __future__ import annotations

from builder.suggest import most_alike

SSH_SCHEME = "ssh://"
FILE_TRANSPORTS = ("oci", "oci-archive", "dir", "docker-archive")
TRANSPORTS = (
    "docker://",
    *(f"{name}:" for name in (*FILE_TRANSPORTS, "docker-daemon", "containers-storage")),
    SSH_SCHEME,
)


def transport_meant(text: str) -> str:
    """Return the transport that a name of the store looks like, or "": docker-archve:x.tar is a name with a tag."""
    known = {known.rstrip(":/"): known for known in TRANSPORTS}
    found = most_alike(text.partition(":")[0], known, cutoff=0.8) if ":" in text else ""
    return known.get(found, "")
