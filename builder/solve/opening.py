"""Namespaces entered, a sandbox that works here, and the snapshots that go with it: what a worker is opened with."""

from __future__ import annotations

from typing import NamedTuple

from builder.sandbox.choose import IsolationChoice, open_sandbox
from builder.sandbox.namespace import enter_build_namespace
from builder.sandbox.runner import Sandbox
from builder.snapshot.copying import CopyingSnapshotter
from builder.snapshot.overlay import OverlaySnapshotter
from builder.snapshot.snapshotter import Place, Snapshotter, place_of
from builder.store.store import Store


class OpenedIsolation(NamedTuple):
    """What a worker has open, and where its snapshots live."""

    sandbox: Sandbox
    choice: IsolationChoice
    snapshotter: Snapshotter
    place: Place


def open_isolation(store: Store, requested: str | None, area: str, *, start_network: bool) -> OpenedIsolation:
    """Enter the namespaces and open the isolation asked for, or the first that works; `area` is for its trials.

    The process must have one thread. Raises SandboxError.
    """
    namespace = enter_build_namespace()
    sandbox, choice = open_sandbox(requested, namespace=namespace, store=area, start_network=start_network)
    try:
        place = place_of(store, namespace)
        snapshotter = OverlaySnapshotter(place) if choice.overlay else CopyingSnapshotter(place)
    except BaseException:
        sandbox.close()
        raise
    return OpenedIsolation(sandbox, choice, snapshotter, place)
