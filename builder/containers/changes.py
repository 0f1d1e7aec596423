"""What a container changed: shown (diff), and made an image of (commit). Both read the same changes, as a RUN's are.

diff    A /new   C /dir   D /gone          docker's letters: added, changed, deleted
commit  layers of the image + one layer of the changes + the container's runtime config with --change put in
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from builder.containers.instructions import changed_config
from builder.containers.session import ContainerSession, open_session
from builder.image.assemble import assemble
from builder.image.timestamp import now
from builder.layer.whiteout import hidden_path
from builder.oci.digest import Digest
from builder.oci.reference import parse_reference
from builder.plan.plan import PlannedHistory, PlannedImage
from builder.plan.step import StepID
from builder.snapshot.changes import is_deletion
from builder.solve.commit import commit_layer
from builder.store.container_record import ContainerRecord
from builder.store.store import Notify
from builder.transport.present import load_manifest

_STEP = StepID(0)


class Difference(NamedTuple):
    """One path of a container that is not as in its image."""

    letter: str
    """A, C or D."""
    path: str
    """Absolute, in the container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """A container to be made an image of."""

    root: str
    """Path of the store."""
    container: str
    name: str = ""
    """Empty for an image without a name."""
    author: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    """Instructions of a Dockerfile that need no layer, such as `CMD ["x"]`."""


def container_diff(root: str, text: str, *, notify: Notify) -> tuple[Difference, ...]:
    """Return what a container changed, in tree order; it may be running.

    This process enters the namespaces of builds and must have one thread. Raises StoreError, LayerError.
    """
    with open_session(root, notify=notify) as session:
        record = session.containers.get(text)
        session.enter()
        return tuple(_differences(record, session))


def _differences(record: ContainerRecord, session: ContainerSession) -> Iterator[Difference]:
    view = session.view(record)
    for change in session.changes(record):
        path = change[0].path
        if is_deletion(change):
            yield Difference("D", f"/{hidden_path(path)}")
        else:
            yield Difference("C" if view.find(path) is not None else "A", f"/{path}")


def commit_container(request: CommitRequest, *, notify: Notify) -> Digest:
    """Make an image of a container, under the name asked for; return its ID.

    What a running one writes meanwhile may be in it or not; a file that changes while it is read is an error. As
    `container_diff`, of one thread. Raises PybuildError.
    """
    reference = parse_reference(request.name) if request.name else None
    with open_session(request.root, notify=notify) as session:
        store = session.store
        record = session.containers.get(request.container)
        image = load_manifest(store, record.manifest.digest)
        config = changed_config(replace(image.config, runtime=record.runtime, author=request.author), request.changes)
        session.enter()
        layer = commit_layer(store, session.changes(record), epoch=None).layer
        store.layers.put(layer)
        planned = PlannedImage(
            result=_STEP,
            config=config,
            history=(PlannedHistory(_command_line(record.argv), _STEP, request.message),),
        )
        made = assemble(store, planned, (*session.stack(record).layers, layer), {_STEP: now()})
        if reference is None:
            store.names.add(made)
        else:
            store.names.set(reference, made)
        return load_manifest(store, made.digest).id


def _command_line(argv: Sequence[str]) -> str:
    return " ".join(argv)
