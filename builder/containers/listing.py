"""The containers of a store, for people: listed, with what they take; described."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from builder.containers.session import ContainerSession, open_session
from builder.errors import PybuildError
from builder.image.timestamp import format_timestamp
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, short_digest
from builder.oci.reference import parse_reference
from builder.store.container_record import ContainerRecord
from builder.store.containers import Containers
from builder.store.reachability import references_of
from builder.store.store import Notify, Store, open_store


class ListedContainer(NamedTuple):
    """One container as it is now."""

    record: ContainerRecord
    image: str
    """The name it was made from, or the image ID once that name stands for another image or for none."""
    own_bytes: int = 0
    """Files in its writable layer, as a commit would have them; 0 where that was not asked for."""
    image_bytes: int = 0
    """Files in the layers of its image."""


def list_containers(root: str, *, sizes: bool = False, notify: Notify) -> tuple[ListedContainer, ...]:
    """Return the containers of the store at `root`, the youngest first.

    With `sizes` this process enters the namespaces of builds and must have one thread. Raises StoreError.
    """
    with open_session(root, notify=notify) as session:
        containers = session.containers
        for identifier, reason in containers.damaged():
            notify(f"container {short_digest(identifier)} is left out: {reason}")
        records = [containers.seen(record) for record in containers.walk()]
        if sizes and records:
            session.enter()
        return tuple(_listed(record, session, sizes, notify) for record in records)


def _listed(record: ContainerRecord, session: ContainerSession, sizes: bool, notify: Notify) -> ListedContainer:
    image = image_name(record, session.store)
    if sizes:
        try:
            return _sized(record, image, session)
        except PybuildError as error:  # the others are listed all the same
            notify(f"the size of container {record.name} is not known: {error.message}")
    return ListedContainer(record, image)


def _sized(record: ContainerRecord, image: str, session: ContainerSession) -> ListedContainer:
    own = sum(entry.size for entry, _ in session.changes(record))
    return ListedContainer(record, image, own, sum(layer.bytes for layer in session.stack(record).layers))


def image_name(record: ContainerRecord, store: Store) -> str:
    """Return what the image of a container is called now."""
    try:
        reference = parse_reference(record.image)
    except PybuildError:
        return short_digest(record.image_id)
    found = store.names.find(reference)
    is_same = found is not None and record.manifest.digest in {found.digest, *_members(store, found)}
    return record.image if is_same else short_digest(record.image_id)


def _members(store: Store, descriptor: Descriptor) -> Iterator[Digest]:
    yield from (member.digest for member in references_of(store, descriptor))


def describe_containers(root: str, texts: Sequence[str], *, notify: Notify) -> tuple[dict[str, Any], ...]:
    """Return everything about each container as JSON, keys as `docker inspect` has them. Raises StoreError."""
    with open_store(root, notify=notify) as store:
        containers = Containers(store)
        return tuple(_described(containers.seen(containers.get(text)), containers) for text in texts)


def _described(record: ContainerRecord, containers: Containers) -> dict[str, Any]:
    return {
        "Id": record.id,
        "Created": format_timestamp(record.created),
        "Path": record.argv[0],
        "Args": list(record.argv[1:]),
        "State": {
            "Status": record.state,
            "Running": record.state == "running",
            "Pid": record.pid if record.state == "running" else 0,
            "ExitCode": record.exit_code,
            "StartedAt": format_timestamp(record.started),
            "FinishedAt": format_timestamp(record.finished),
        },
        "Image": str(record.image_id),
        "Name": f"/{record.name}",
        "Platform": "linux",
        "Isolation": record.isolation or "",
        "WritableLayer": {"Form": record.form, "Path": f"{containers.directory(record)}/fs"},
        "ImageManifestDescriptor": record.manifest.to_json(),
        "HostConfig": _host_config(record),
        "Mounts": [
            {"Type": one.kind, "Source": one.source, "Destination": one.target, "RW": not one.readonly}
            for one in record.mounts
        ],
        "Config": {"Image": record.image, "Hostname": record.hostname} | record.runtime.to_json(),
    }


def _host_config(record: ContainerRecord) -> dict[str, Any]:
    """Return docker's members for what the machine gives a container; 0 and "" limit nothing."""
    options = record.options
    return {
        "NetworkMode": record.network,
        "ExtraHosts": [f"{name}:{address}" for name, address in options.add_hosts],
        "Init": record.init,
        "Memory": options.memory_bytes or 0,
        "MemorySwap": options.swap_total_bytes or 0,
        "CpuShares": options.cpu_shares or 0,
        "CpuPeriod": options.cpu_period or 0,
        "CpuQuota": options.cpu_quota or 0,
        "CpusetCpus": options.cpuset_cpus,
        "CpusetMems": options.cpuset_mems,
        "CgroupParent": options.cgroup_parent,
    }
