"""Plan and layers in, image out: bytes that are the same everywhere, histories that line up."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.filesystem.entry import Entry
from builder.image.assemble import assemble
from builder.image.history import PADDING_COMMENT
from builder.image.image import load_image
from builder.layer.index_layer import build_index
from builder.layer.tar_writer import write_layer
from builder.oci.config import History, ImageConfig, RuntimeConfig, parse_config
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID
from builder.oci.media_type import OCI_LAYER, OCI_LAYER_GZIP
from builder.oci.platform import Platform
from builder.plan.plan import PlannedHistory, PlannedImage
from builder.plan.step import StepID
from builder.store.layers import LayerRecord
from builder.store.store import Store
from tests.support.validate import validate_image

AMD64 = Platform("linux", "amd64")
T1, T2 = "2024-01-01T00:00:01Z", "2024-01-01T00:00:02Z"


def commit_layer(store: Store, *items: tuple[Entry, bytes | None]) -> LayerRecord:
    """Write a layer as a step does."""
    index = store.temporary.path("index")
    with store.blobs.ingest() as blob:
        statistics, _ = write_layer(items, blob.write, index)
        diff_id = DiffID(blob.commit())
    Path(index).rename(store.layers.index_path(diff_id))
    descriptor = Descriptor(media_type=OCI_LAYER, digest=diff_id, size=store.blobs.size(diff_id))
    record = LayerRecord(
        descriptor=descriptor,
        diff_id=diff_id,
        entries=statistics.entries,
        files=statistics.files,
        bytes=statistics.bytes_,
    )
    store.layers.put(record)
    return record


def file_layer(store: Store, name: str, content: bytes = b"x") -> LayerRecord:
    return commit_layer(store, (Entry(name, "file", size=len(content)), content))


def planned(config: ImageConfig | None = None, *history: tuple[str, int | None]) -> PlannedImage:
    records = tuple(PlannedHistory(text, None if step is None else StepID(step)) for text, step in history)
    last = next((record.step for record in reversed(records) if record.step is not None), None)
    return PlannedImage(result=last, config=config or ImageConfig(platform=AMD64), history=records)


def config_of(store: Store, descriptor: Descriptor) -> ImageConfig:
    assert validate_image(store.blobs, descriptor) == ()
    return load_image(store.blobs, descriptor).config


def test_layers_have_their_own_time_and_metadata_that_of_the_first_new_layer_or_the_one_before(store: Store) -> None:
    layers = [file_layer(store, "a"), file_layer(store, "b")]
    image = planned(None, ("ENV A=1", None), ("COPY a", 0), ("CMD x", None), ("COPY b", 1), ("USER y", None))
    config = config_of(store, assemble(store, image, layers, {StepID(0): T1, StepID(1): T2}))
    assert [(record.created, record.empty_layer) for record in config.history] == [
        (T1, True), (T1, False), (T1, True), (T2, False), (T2, True),
    ]  # fmt: skip
    assert config.created == T2
    assert [record.comment for record in config.history] == ["pybuild.dockerfile.v0"] * 5


def test_the_same_inputs_give_the_same_bytes(store: Store) -> None:
    layer = file_layer(store, "a")
    image = planned(None, ("COPY a", 0))
    assert assemble(store, image, [layer], {StepID(0): T1}) == assemble(store, image, [layer], {StepID(0): T1})
    assert (
        assemble(store, image, [layer], {StepID(0): T2}).digest
        != assemble(store, image, [layer], {StepID(0): T1}).digest
    )


def test_with_an_epoch_no_clock_reaches_the_image(store: Store) -> None:
    base = ImageConfig(
        platform=AMD64, diff_ids=(file_layer(store, "a").diff_id,),
        history=(History(created="2030-01-01T00:00:00Z", created_by="later"),),
    )  # fmt: skip
    layers = [file_layer(store, "a"), file_layer(store, "b")]
    image = planned(base, ("COPY b", 0), ("CMD", None))
    descriptor = assemble(store, image, layers, {StepID(0): T2}, epoch=1000)
    config = config_of(store, descriptor)
    assert {record.created for record in config.history} == {"1970-01-01T00:16:40Z"}
    assert config.created == "1970-01-01T00:16:40Z"
    assert assemble(store, image, layers, {StepID(0): T1}, epoch=1000) == descriptor


def test_history_of_the_base_before_the_epoch_is_kept(store: Store) -> None:
    layer = file_layer(store, "a")
    base = ImageConfig(
        platform=AMD64, diff_ids=(layer.diff_id,), history=(History(created="1970-01-01T00:00:01.5Z", created_by="x"),)
    )
    config = config_of(store, assemble(store, planned(base, ("ENV", None)), [layer], {}, epoch=1000))
    assert config.history[0].created == "1970-01-01T00:00:01.5Z"


def test_a_base_without_history_is_padded_where_its_layers_are(store: Store) -> None:
    old, new = file_layer(store, "old"), file_layer(store, "new")
    base = ImageConfig(platform=AMD64, created=T1, diff_ids=(old.diff_id,))
    config = config_of(store, assemble(store, planned(base, ("COPY new", 0)), [old, new], {StepID(0): T2}))
    assert [(record.comment, record.created_by, record.created) for record in config.history] == [
        (PADDING_COMMENT, "", T1), ("pybuild.dockerfile.v0", "COPY new", T2),
    ]  # fmt: skip


def test_a_base_with_more_history_than_layers_is_straightened(store: Store) -> None:
    old, new = file_layer(store, "old"), file_layer(store, "new")
    history = tuple(History(created=T1, created_by=f"{number}") for number in range(3))
    base = ImageConfig(platform=AMD64, diff_ids=(old.diff_id,), history=history)
    config = config_of(store, assemble(store, planned(base, ("COPY", 0)), [old, new], {StepID(0): T2}))
    assert [record.empty_layer for record in config.history] == [False, True, True, False]


def test_a_base_without_any_time_still_gives_valid_images(store: Store) -> None:
    layer = file_layer(store, "old")
    base = ImageConfig(platform=AMD64, diff_ids=(layer.diff_id,), history=(History(created_by="x"),))
    assert config_of(store, assemble(store, planned(base, ("ENV", None)), [layer], {})).created


def test_an_image_without_layers_is_an_image(store: Store) -> None:
    config = config_of(store, assemble(store, planned(), [], {}, epoch=0))
    assert (config.diff_ids, config.history, config.created) == ((), (), "1970-01-01T00:00:00Z")


def test_members_nobody_knows_survive_and_those_of_the_base_alone_do_not(store: Store) -> None:
    document = {
        "os": "linux", "architecture": "amd64", "os.features": ["x"], "x.y": {"deep": [1]}, "container": "c0ffee",
        "container_config": {}, "docker_version": "1", "moby.buildkit.cache.v0": "e30=",
        "config": {"Env": ["A=1"], "Image": "sha256:0", "Hostname": "h", "x.z": 2},
        "rootfs": {"type": "layers", "diff_ids": []},
    }  # fmt: skip
    base = parse_config(json.dumps(document).encode(), "it")
    written = config_of(store, assemble(store, planned(base, ("ENV", None)), [], {}, epoch=0)).to_json()
    assert written["os.features"] == ["x"]
    assert written["x.y"] == {"deep": [1]}
    assert written["config"] == {"Env": ["A=1"], "x.z": 2}
    assert not {"container", "container_config", "docker_version", "moby.buildkit.cache.v0"} & set(written)


def test_the_runtime_config_and_author_reach_the_image(store: Store) -> None:
    config = replace(
        ImageConfig(platform=Platform("linux", "arm", "v7"), author="me"),
        runtime=RuntimeConfig(cmd=(), env=("A=ü",), working_dir="/w", labels=(("k", "v"),)),
    )
    descriptor = assemble(store, planned(config, ("CMD []", None)), [], {}, epoch=0)
    assert descriptor.platform == Platform("linux", "arm", "v7")
    written = config_of(store, descriptor)
    assert written.runtime == config.runtime
    assert [record.author for record in written.history] in (["me"], [""])


def test_docker_layers_become_their_oci_twins_with_the_same_bytes(store: Store) -> None:
    layer = file_layer(store, "a")
    docker = layer._replace(
        descriptor=layer.descriptor._replace(media_type="application/vnd.docker.image.rootfs.diff.tar")
    )
    image = load_image(store.blobs, assemble(store, planned(None, ("COPY", 0)), [docker], {StepID(0): T1}))
    assert image.manifest.layers[0].media_type == OCI_LAYER
    assert image.manifest.layers[0].digest == layer.descriptor.digest


def test_layers_that_are_not_those_of_the_plan_are_refused(store: Store) -> None:
    one, two = file_layer(store, "1"), file_layer(store, "2")
    with pytest.raises(ImageError, match="2 layers, but its base has 0 and the build adds 1"):
        assemble(store, planned(None, ("COPY", 0)), [one, two], {})
    base = ImageConfig(platform=AMD64, diff_ids=(one.diff_id,))
    with pytest.raises(ImageError, match="not those that its base image names"):
        assemble(store, planned(base), [two], {})


def test_the_validator_sees_what_is_wrong(store: Store) -> None:
    layer = file_layer(store, "a")
    descriptor = assemble(store, planned(None, ("COPY", 0)), [layer], {StepID(0): T1})
    assert validate_image(store.blobs, descriptor) == ()
    assert "is 5 bytes long" not in "".join(validate_image(store.blobs, descriptor))
    assert any("bytes long, not" in text for text in validate_image(store.blobs, descriptor._replace(size=1)))
    path = Path(store.blobs.path(layer.diff_id))
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    findings = validate_image(store.blobs, descriptor)
    assert any("has other bytes" in text for text in findings)
    assert any("unpacks to" in text for text in findings)


def test_a_layer_mislabelled_as_gzip_is_read_by_its_magic_bytes(store: Store) -> None:
    layer = file_layer(store, "a")
    mislabelled = layer._replace(descriptor=layer.descriptor._replace(media_type=OCI_LAYER_GZIP))
    descriptor = assemble(store, planned(None, ("COPY", 0)), [mislabelled], {StepID(0): T1})
    assert validate_image(store.blobs, descriptor) == ()
    data = store.blobs.read(layer.diff_id, 1 << 20)
    assert build_index(io.BytesIO(data), store.temporary.path("i"))[0] == layer.diff_id
