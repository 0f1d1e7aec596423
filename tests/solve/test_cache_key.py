"""Preimages of cache keys, to the byte: a store that exists already answers only while these texts stay."""

from __future__ import annotations

from typing import Any

import pytest

from builder.errors import Location
from builder.oci.digest import EMPTY_CHAIN
from builder.oci.platform import Platform
from builder.oci.run_options import RunOptions
from builder.plan.step import ContextSource, CopyOp, LayerOp, Paths, RunOp, WorkdirOp
from builder.solve.cache_key import KeyEnvironment, definition, preimage

_AMD64 = Platform(os="linux", architecture="amd64")
_SOURCES = (Paths(ContextSource(), ("a", "b"), (Location("Dockerfile", 3),), ("",)),)
_RUN = RunOp(argv=("/bin/sh", "-c", "make"), env=("PATH=/bin",), proxy_env=("HTTP_PROXY=p",), platform=_AMD64)
_SCRIPT = RunOp(
    argv=("/dev/pipes/EOF",), env=(), user="app", cwd="/src", network="none", script="#!/bin/sh\n",
    script_path="/dev/pipes/EOF", platform=_AMD64,
)  # fmt: skip
_COPY = CopyOp(sources=_SOURCES, destination="/d/", chown="1:2", chmod="644", parents=True, exclude=("*.o",))
_VARIABLES = (("path", "x", "1"),)

_PARENT = f'"parent":"{EMPTY_CHAIN}"'
_NONE = KeyEnvironment()
_ALL = KeyEnvironment(epoch=7, single_id=True, hostname="h", run=RunOptions(shm_size=1 << 20))

DEFINITIONS: list[tuple[LayerOp, KeyEnvironment, str]] = [
    (_RUN, _NONE, '{"argv":["/bin/sh","-c","make"],"cwd":"/","env":["PATH=/bin"],"hostname":"","inputs":{},'
     '"network":"default","operation":"run",' + _PARENT + ',"platform":"linux/amd64","security":"sandbox","user":"",'
     '"version":2}'),
    (_SCRIPT, _ALL, '{"argv":["/dev/pipes/EOF"],"cwd":"/src","env":[],"epoch":7,"hostname":"h","inputs":{},'
     '"network":"none","operation":"run",' + _PARENT + ',"platform":"linux/amd64","script":"#!/bin/sh\\n",'
     '"script_path":"/dev/pipes/EOF","security":"sandbox","shm_size":1048576,"single_id":true,"user":"app",'
     '"version":2}'),
    (_COPY, _NONE, '{"chmod":"644","chown":"1:2","destination":"/d/","exclude":["*.o"],"inputs":{},"link":false,'
     '"operation":"copy",' + _PARENT + ',"parents":true,"version":2}'),
    (CopyOp(sources=_SOURCES, destination="/", link=True, is_add=True, unpack=False), _ALL,
     '{"chmod":"","chown":"","destination":"/","epoch":7,"exclude":[],"inputs":{},"link":true,"operation":"add",'
     + _PARENT + ',"parents":false,"single_id":true,"unpack":false,"version":2}'),
    (WorkdirOp(path="/w", user="app", variables=_VARIABLES), _NONE,
     '{"inputs":{},"operation":"workdir",' + _PARENT + ',"path":"/w","user":"app","version":2}'),
]  # fmt: skip


@pytest.mark.parametrize(("op", "environment", "text"), DEFINITIONS)
def test_the_preimage_of_each_op_is_this_text(op: LayerOp, environment: KeyEnvironment, text: str) -> None:
    document: dict[str, Any] = definition(op, EMPTY_CHAIN, environment)
    assert preimage(document, {}).decode() == text


def test_a_preimage_says_when_a_run_was_not_isolated() -> None:
    told = preimage(definition(_RUN, EMPTY_CHAIN, _NONE), {"mounts": []}, "chroot").decode()
    assert '"inputs":{"mounts":[]},"isolation":"chroot"' in told
