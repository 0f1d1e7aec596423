"""Images with attestations beside them: what BuildKit pushes by default."""

from __future__ import annotations

import json

from tests.cli.program import Program
from tests.support.registry import FakeImage, FakeRegistry, make_image, make_index
from tests.transport.test_carried import PROOF

IMAGES = [make_image([{name: b"x"}], architecture=name, compress=False) for name in ("amd64", "arm64")]


def attested(images: list[FakeImage]) -> FakeImage:
    proofs = [
        {
            "mediaType": PROOF.media_type, "digest": PROOF.digest, "size": len(PROOF.manifest),
            "platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.digest
            },
        }
        for image in images[:1]
    ]  # fmt: skip
    return make_index(images, proofs)


def test_attestations_leave_with_their_images(pybuild: Program) -> None:
    """Layers that lie here uncompressed are compressed on the way; the index names the images as they became."""
    index = attested(IMAGES)
    with FakeRegistry() as registry:
        source = registry.add_image("demo", "v1", index, [PROOF, *IMAGES])
        pybuild("copy", "--all", f"docker://{source}", "all:1").succeeded()
        pybuild("copy", "--all", "--preserve-digests", "all:1", f"docker://{registry.host}/exact:1").succeeded()
        assert registry.manifests["exact", "1"][0] == index.manifest
        pybuild("tag", "all:1", f"{registry.host}/pushed:1").succeeded()
        pybuild("push", f"{registry.host}/pushed:1").succeeded()
        entries = json.loads(registry.manifests["pushed", "1"][0])["manifests"]
        proof, *images = entries
        assert proof["digest"] == PROOF.digest
        assert proof["annotations"]["vnd.docker.reference.digest"] == images[0]["digest"] != IMAGES[0].digest
        assert [entry["platform"]["architecture"] for entry in images] == ["amd64", "arm64"]
        assert set(PROOF.blobs) <= set(registry.blobs)
    pybuild("save", "-o", str(pybuild.folder / "x.tar"), "all:1").succeeded()
    pybuild("info", "--verify").succeeded()


def test_an_artifact_goes_through_the_store(pybuild: Program) -> None:
    with FakeRegistry() as registry:
        source = registry.add_image("demo", "proof", PROOF)
        pybuild("copy", f"docker://{source}", "proof:1").failed(1, "is not a container image")
        pybuild("copy", f"docker://{source}", f"docker://{registry.host}/other:1").succeeded()
        assert registry.manifests["other", "1"][0] == PROOF.manifest
