"""The isolations that are not tried first: an OCI runtime, which has to be asked for, and a changed root directory."""

from __future__ import annotations

from typing import Literal

from builder.sandbox.chroot.runner import ChrootSandbox
from builder.sandbox.namespace import BuildNamespace
from builder.sandbox.network.source import NetworkSource
from builder.sandbox.oci.runner import OciSandbox
from builder.sandbox.runner import Sandbox


def open_fallback(name: Literal["oci", "chroot"], namespace: BuildNamespace, network: NetworkSource) -> Sandbox:
    """Open one of them. Raises OSError, SandboxError."""
    return OciSandbox(namespace, network) if name == "oci" else ChrootSandbox(network)
