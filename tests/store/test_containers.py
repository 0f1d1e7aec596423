"""Records of containers: exact as JSON, held by one at a time, found by what people type."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.errors import StoreError
from builder.oci.config import RuntimeConfig
from builder.oci.descriptor import Descriptor
from builder.oci.digest import parse_digest
from builder.oci.media_type import OCI_MANIFEST
from builder.oci.run_options import RunOptions
from builder.store.container_record import ContainerMount, ContainerRecord, check_name, new_id, record_from_json
from builder.store.containers import Containers
from builder.store.store import Store

DIGEST = parse_digest("sha256:" + "1" * 64)


def record(name: str = "c1", **changes: Any) -> ContainerRecord:
    made = ContainerRecord(
        id=new_id(),
        name=name,
        image="img",
        image_id=DIGEST,
        manifest=Descriptor(media_type=OCI_MANIFEST, digest=DIGEST, size=5),
        created=7,
        argv=("sh", "-c", "x"),
        runtime=RuntimeConfig(env=("A=b",), cmd=("sh",), labels=(("k", "v"),)),
    )
    return replace(made, **changes)


def test_a_record_survives_json() -> None:
    mounts = (
        ContainerMount(kind="bind", source="/a", target="/b", readonly=True),
        ContainerMount(kind="tmpfs", target="/t", size=9),
    )
    full = record(
        mounts=mounts,
        options=RunOptions(add_hosts=(("h", "::1"),), memory_bytes=1 << 30, cpuset_cpus="0-1"),
        isolation="oci",
        state="exited",
        exit_code=3,
        form="overlay-root",
    )
    assert record_from_json(json.loads(json.dumps(full.to_json())), "it") == full


def test_another_format_is_an_error() -> None:
    with pytest.raises(StoreError, match="of format 99, which this pybuild cannot read"):
        record_from_json(record().to_json() | {"format": 99}, "it")


@pytest.mark.parametrize("name", ["", "a", "-a", "a/b", "ñu", "a b"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(StoreError, match="Invalid container name"):
        check_name(name)


def test_the_youngest_comes_first_and_beginnings_mean_one(store: Store) -> None:
    old, young = record("old", created=1, id="a" * 64), record("young", created=2, id="ab" * 32)
    for one in (old, young):
        with Containers(store).make(one, str):
            pass
    assert [one.name for one in Containers(store).walk()] == ["young", "old"]
    assert Containers(store).get("aa") == old
    assert Containers(store).get("young") == young
    assert Containers(store).find("b") is None
    with pytest.raises(StoreError, match="the beginning of several container IDs"):
        Containers(store).find("a")


def test_a_name_is_chosen_among_those_that_are_free(store: Store) -> None:
    with Containers(store).make(record("taken"), str):
        pass
    with Containers(store).make(record(""), lambda taken: f"not-{min(taken)}") as container:
        assert container.record.name == "not-taken"


def test_one_at_a_time_holds_a_container(store: Store) -> None:
    with Containers(store).make(record(), str) as container:
        container.put(state="running", pid=os.getpid())
        assert Containers(store).is_running(Containers(store).get("c1"))
        assert Containers(store).is_run_by(Containers(store).get("c1"))
        assert not Containers(store).is_run_by(replace(container.record, pid=os.getppid()))
        said = r"cannot remove container c1: it is running \(process \d+\)"
        with pytest.raises(StoreError, match=said), Containers(store).hold("c1", "remove"):
            pass
    left = Containers(store).get("c1")
    assert not Containers(store).is_running(left)
    seen = Containers(store).seen(left)
    assert (seen.state, seen.exit_code) == ("exited", 137)


def test_looking_keeps_nobody_from_holding(store: Store) -> None:
    with Containers(store).make(record(), str):
        pass
    kept = Containers(store).get("c1")
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            Containers(store).is_running(replace(kept, state="running"))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(50):
            with Containers(store).hold("c1", "start"):
                pass
    finally:
        stop.set()
        looking.join()


def test_what_is_removed_is_in_the_trash(store: Store) -> None:
    with Containers(store).make(record(), str) as container:
        (Path(container.directory) / "fs").mkdir()
        Containers(store).remove(container)
    assert list(Containers(store).walk()) == []
    assert len(os.listdir(store.trash)) == 1
