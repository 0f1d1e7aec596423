"""Values of `--build-context NAME=VALUE` that are images: by name, or by the place they lie in.

docker-image://NAME   docker://NAME      a name: podman takes either word
oci-layout://DIR[:TAG][@DIGEST]          an image layout
TRANSPORT:…                              containers-transports(5); builder.transport.places.location reads them

A place that is relative could read like the name of a registry's image: `oci:5000/x` is one on the host `oci`. Here a
place gets a form that no normalised name has, so that both can go the same way.
"""

from __future__ import annotations

import re

from builder.oci.reference import IMAGE_SCHEME, LAYOUT_SCHEME

TRANSPORTS = ("oci:", "oci-archive:", "dir:", "docker-archive:", "docker-daemon:", "containers-storage:")
KINDS = (
    "It can be a directory, a git URL, a tar by URL, or an image: docker-image://, docker://, oci-layout://, "
    f"{', '.join(TRANSPORTS)}."
)
_REGISTRY_SCHEME = "docker://"
_PLACES = (LAYOUT_SCHEME, *TRANSPORTS)
_BY_NAME = ("docker-daemon:", "containers-storage:")
_HOST_AND_PORT = re.compile(r"([A-Za-z-]+:)([0-9]+/.*)", re.S)


def image_name(value: str) -> str | None:
    """Return the name that a value of --build-context gives; None for one that is something else."""
    for scheme in (IMAGE_SCHEME, _REGISTRY_SCHEME):
        if value.startswith(scheme):
            return value.removeprefix(scheme)
    return None


def image_place(value: str) -> str | None:
    """Return the place that a value of --build-context gives, as no name reads; None for one that is something else."""
    if not value.startswith(_PLACES):
        return None
    match = _HOST_AND_PORT.fullmatch(value)
    if match is None:
        return value
    return match[1] + ("docker.io/" if match[1] in _BY_NAME else "./") + match[2]


def is_place(reference: str) -> bool:
    """Say whether a text is a place, as `image_place` returns it, and not a normalised name."""
    return reference.startswith(_PLACES) and _HOST_AND_PORT.fullmatch(reference) is None
