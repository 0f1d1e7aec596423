"""A SandboxSpec as JSON and back: how it reaches the process that carries it out. Bytes travel as base64."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import fields
from typing import Any

from builder.oci.run_options import RunOptions
from builder.sandbox.spec import (
    BindMount,
    CacheMount,
    DirectoryRoot,
    OverlayRoot,
    SandboxSpec,
    SecretMount,
    SshMount,
    TmpfsMount,
)

_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (OverlayRoot, DirectoryRoot, BindMount, CacheMount, TmpfsMount, SecretMount, SshMount, SandboxSpec)
} | {"RunOptions": RunOptions}


def to_json(spec: SandboxSpec) -> bytes:
    """Encode the spec."""
    return json.dumps(_plain(spec), separators=(",", ":")).encode()


def from_json(text: bytes) -> SandboxSpec:
    """Decode what `to_json` made; exact."""
    spec = _value(json.loads(text))
    assert isinstance(spec, SandboxSpec)
    return spec


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        # No field has the empty name: alone it marks bytes, beside others the class of a value.
        return {"": b64encode(value).decode("ascii")}
    name = type(value).__name__
    # Asked before tuples, for it is one.
    if isinstance(value, RunOptions):
        return {"": name, **{key: _plain(item) for key, item in value._asdict().items()}}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if name in _TYPES:
        return {"": name, **{one.name: _plain(getattr(value, one.name)) for one in fields(_TYPES[name])}}
    return value


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(_value(item) for item in plain)
    if not isinstance(plain, dict):
        return plain
    kind = plain.pop("")
    if not plain:
        return b64decode(kind)
    return _TYPES[kind](**{name: _value(item) for name, item in plain.items()})
