"""The verb that looks at this machine: where the store is and what it holds, how RUN is isolated here and why."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from builder import __version__
from builder.errors import PybuildError
from builder.layer.compression import open_stored
from builder.oci.platform import host_platform
from builder.sandbox.choose import choose_isolation
from builder.sandbox.namespace import enter_build_namespace
from builder.snapshot.verify import verify_made_from_layers
from builder.solve.worker import trial_area
from builder.store.store import Notify, Store, open_store
from builder.store.verify import Finding, verify_store


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationInfo:
    """How a RUN would be kept apart from this machine."""

    choices: tuple[str, ...]
    """A sentence on what was chosen, and on each that was not; or on why there is none."""
    network: str = ""
    """The network of RUN; empty where none was tried."""
    trees: str = ""
    """The means by which layers become the file system of a step; empty where there is no isolation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """What a store holds."""

    root: str
    images: int | None
    """Names of images; None when they cannot be read, and `images_fault` says why."""
    images_fault: str = ""
    blobs: int
    blob_bytes: int
    records: int
    """Cache records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineInfo:
    """This machine, as a build finds it."""

    version: str
    python: str
    platform: str
    user_id: int
    """The user who asked, outside of any namespace of ours."""
    isolation: IsolationInfo
    store: StoreInfo
    findings: tuple[Finding, ...] = ()
    """What is wrong with the store, when that was asked for."""


def describe_machine(root: str, *, isolation: str | None = None, verify: bool = False, notify: Notify) -> MachineInfo:
    """Look at the machine, trying `isolation` (None: the first that works); `verify` reads all of the store.

    May move this process into the namespaces of builds, so it must have one thread. Raises StoreError.
    """
    user_id = os.geteuid()  # before the namespace, where everybody is root
    with open_store(root, notify=notify) as store:
        isolated = _try_isolation(isolation, store)
        findings: tuple[Finding, ...] = ()
        if verify:
            with store.lease(everything=True):
                findings = _verify(store)  # before a damaged database is read, and set aside
        return MachineInfo(
            version=__version__,
            python=platform.python_version(),
            platform=str(host_platform()),
            user_id=user_id,
            isolation=isolated,
            store=_describe_store(store),
            findings=findings,
        )


def _try_isolation(requested: str | None, store: Store) -> IsolationInfo:
    try:
        with trial_area(store) as area:
            choice = choose_isolation(requested, namespace=enter_build_namespace(), store=area)
    except PybuildError as error:
        # That nothing works here is an answer to who asks what does.
        return IsolationInfo(choices=(f"none: {error.message}",))
    return IsolationInfo(
        choices=(f"{choice.name}: {choice.reason}", *(f"not {name}: {why}" for name, why in choice.rejected)),
        network=choice.network,
        trees="overlayfs" if choice.overlay else f"plain copies ({choice.overlay_reason})",
    )


def _verify(store: Store) -> tuple[Finding, ...]:
    found = verify_store(store, open_stored)
    if any(finding.subject == store.database.path for finding in found):
        return found  # what layers there are is not known, and reading it would set it aside
    return found + verify_made_from_layers(store)


def _describe_store(store: Store) -> StoreInfo:
    sizes = [size for _, size in store.blobs.walk()]
    images, fault = None, ""
    try:
        images = len(store.names.items())
    except PybuildError as error:
        fault = error.message
    return StoreInfo(
        root=store.root,
        images=images,
        images_fault=fault,
        blobs=len(sizes),
        blob_bytes=sum(sizes),
        records=len(store.records.walk()),
    )
