"""The text that says where an image came from → a source to fetch from again.

docker.io/library/x            a repository of a registry
oci-layout:///absolute/path    an image layout
"""

from __future__ import annotations

from builder.oci.reference import LAYOUT_SCHEME, parse_reference
from builder.registry.client import RegistryClient
from builder.transport.places.layout_source import LayoutSource
from builder.transport.places.registry import RegistrySource
from builder.transport.source import Source


def open_source(location: str, client: RegistryClient) -> Source:
    """Return the source a location names. Raises TransportError."""
    if location.startswith(LAYOUT_SCHEME):
        return LayoutSource(location.removeprefix(LAYOUT_SCHEME))
    return RegistrySource(parse_reference(location), client)
