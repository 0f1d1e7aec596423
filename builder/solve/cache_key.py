"""What a step's cache key is made of.

The key is the digest of a *preimage*: canonical JSON of everything that can reach the layer, and nothing else. The
preimage is kept with the record, so a miss is explained by comparing two of them (`compare.py`), never by guessing.

    {"version": 2, "operation": "run" | "copy" | "workdir",
     "parent":  chain ID of the layers below; that of scratch for COPY --link, which does not see them,
     …          the fields of its op, expanded,
     "epoch":   the time that clamps the layer's times, when there is one,
     "isolation": "chroot", when a RUN had no more than that (solve/known_isolation.py),
     "inputs":  digests of the content that is read: selected files, bind mounts, remote files}

In no preimage: modification times, owners on the host, display text, comments, locations, values of secrets, proxy
variables, addresses of extra hosts, the number of jobs.

The *definition* is the preimage without its inputs and isolation. When no record has a step's definition, the step is
a miss whatever its files hold, and they need not be read twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from builder.context.paths import inside_root
from builder.oci.canonical import JsonObject, JsonValue, encode
from builder.oci.digest import ChainID, Digest, digest_of
from builder.oci.run_options import NO_OPTIONS, RunOptions
from builder.plan.step import CopyOp, InlineSource, LayerOp, Paths, RunOp, WorkdirOp
from builder.store import formats


@dataclass(frozen=True, slots=True)
class KeyEnvironment:
    """What reaches layers without standing in the Dockerfile. `single_id`: all files have one owner (rootless)."""

    epoch: int | None = None
    single_id: bool = False
    hostname: str = ""
    run: RunOptions = NO_OPTIONS


def definition(op: LayerOp, parent: ChainID, key_environment: KeyEnvironment) -> JsonObject:
    """Return the preimage of `op` on top of `parent`, but for its inputs."""
    # Not the key of the step below (docs/decisions/0002): after that one ran again and made the same bytes, this one is
    # still found; and when it made others, it isn't.
    document: JsonObject = {"version": formats.CACHE_KEY, "parent": str(parent)}
    if key_environment.epoch is not None:
        document["epoch"] = key_environment.epoch
    if key_environment.single_id:
        document["single_id"] = True
    match op:
        case RunOp():
            document |= _run(op, key_environment)
        case CopyOp():
            document |= _copy(op)
        case WorkdirOp():
            document |= {"operation": "workdir", "path": op.path, "user": op.user}
        case _:
            assert_never(op)
    return document


def definition_digest(document: JsonObject) -> Digest:
    """Return the digest of a definition."""
    return digest_of(encode(document))


def preimage(document: JsonObject, inputs: JsonValue, isolation: str = "") -> bytes:
    """Return the canonical bytes whose digest is the cache key; `isolation` is empty for all but a chroot."""
    told = {"isolation": isolation} if isolation else {}
    return encode(document | {"inputs": inputs} | told)


def shape_of_op(op: LayerOp) -> list[object]:
    """Return what makes a step the same step when it is found in another place of its Dockerfile."""
    match op:
        case RunOp():
            return ["run", list(op.argv), op.script]
        case CopyOp():
            names: list[str] = []
            for source in op.sources:
                if isinstance(source, Paths):
                    # Cleaned as the labels among a COPY's inputs are (copy/source.py), which
                    # shape_of_preimage compares this with.
                    names += map(inside_root, source.paths)
                elif isinstance(source, InlineSource):
                    names.append(f"<<{source.name}")
            # Each once: a wildcard has one label for all that it matches.
            return ["add" if op.is_add else "copy", op.destination, list(dict.fromkeys(names))]
        case WorkdirOp():
            return ["workdir", op.path]
        case _:
            assert_never(op)


def shape_of_preimage(document: JsonObject) -> list[object]:
    """Return the shape of the step that a preimage is of."""
    match document["operation"]:
        case "run":
            return ["run", document["argv"], document.get("script", "")]
        case "workdir":
            return ["workdir", document["path"]]
        case name:
            # As in shape_of_op, what is fetched from elsewhere does not count.
            names = dict.fromkeys(part["source"] for part in document["inputs"] if "://" not in part["source"])
            return [name, document["destination"], list(names)]


def _run(op: RunOp, key_environment: KeyEnvironment) -> JsonObject:
    document: JsonObject = {
        "operation": "run",
        "argv": list(op.argv),
        "env": list(op.env),
        # A word, not a number: what it means stands in /etc/passwd of the layers below, which `parent` names.
        # So it is with --chown.
        "user": op.user,
        "cwd": op.cwd,
        "network": op.network,
        "security": op.security,
        "platform": str(op.platform),
        # The command can write it down; it is a part of BuildKit's definition as well (pb.Meta in solver/pb/ops.proto).
        "hostname": key_environment.hostname,
    }
    if op.script:
        document |= {"script": op.script, "script_path": op.script_path}
    return document | key_environment.run.key_document()


def _copy(op: CopyOp) -> JsonObject:
    document: JsonObject = {
        "operation": "add" if op.is_add else "copy",
        "destination": op.destination,
        "chown": op.chown,
        "chmod": op.chmod,
        "link": op.link,
        "parents": op.parents,
        "exclude": list(op.exclude),
    }
    # COPY unpacks nothing (C-26); ADD's value counts also where no archive is met, for that is not known here.
    if op.is_add:
        document["unpack"] = op.unpack
    return document
